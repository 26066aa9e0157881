# needs: tensorflow. As of 2021: tf.function, GradientTape, tf.data, metrics by hand; overridden train_step; tf.Module.
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

x = np.random.random((64, 5)).astype("float32")
y = (x.sum(1) > 2.5).astype("int64")
train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(64).batch(16).prefetch(tf.data.AUTOTUNE)

model = keras.Sequential(
    [keras.Input(shape=(5,)), layers.Dense(8, activation=tf.nn.relu), layers.Dropout(0.1), layers.Dense(2)]
)
optimizer = tf.optimizers.Adam(1e-2)
loss_fn = tf.losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = tf.metrics.SparseCategoricalAccuracy()
mean = tf.keras.metrics.Mean()


@tf.function
def step(a, b):
    with tf.GradientTape() as tape:
        logits = model(a, training=True)
        loss = loss_fn(b, logits) + tf.add_n([1e-4 * tf.nn.l2_loss(v) for v in model.trainable_variables])
    grads = tape.gradient(loss, model.trainable_weights)
    optimizer.apply_gradients(zip(grads, model.trainable_weights))
    accuracy.update_state(b, logits)
    mean(loss)
    return loss


for epoch in range(3):
    mean.reset_states()
    accuracy.reset_state()
    for n, (a, b) in enumerate(train):
        value = step(a, b)
    print(f"epoch {epoch}: loss {mean.result():.4f} accuracy {float(accuracy.result()):.3f}", value.numpy())


class Custom(keras.Model):
    def train_step(self, data):
        a, b = data
        with tf.GradientTape() as tape:
            pred = self(a, training=True)
            loss = self.compiled_loss(b, pred, regularization_losses=self.losses)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.compiled_metrics.update_state(b, pred)
        return {m.name: m.result() for m in self.metrics}


inputs = keras.Input(shape=(5,))
custom = Custom(inputs, layers.Dense(1)(tf.math.sin(inputs)))
custom.compile(optimizer="adam", loss="mse", metrics=["mae"])
history = custom.fit(x, x.sum(1), epochs=2, verbose=0)
assert {"loss", "mae"} <= set(history.history), history.history


class Linear(layers.Layer):
    def __init__(self, units=4):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer=tf.random_normal_initializer())
        self.b = tf.Variable(tf.zeros((self.units,)), trainable=True)

    def call(self, inputs):
        return tf.matmul(inputs, self.w) + self.b


layer = Linear()
assert layer(tf.ones((2, 3))).shape == (2, 4)
assert len(layer.trainable_weights) == 2
ckpt = tf.train.Checkpoint(model=model)
assert tf.keras.backend.floatx() == "float32"
