# needs: tensorflow. As of 2020 to 2023: the guides of tensorflow.org (GAN step, losses by hand, add_metric, ragged of it).
import tensorflow as tf
from tensorflow.keras import layers, losses, Model, Input
from tensorflow.python.keras.utils import np_utils
import numpy as np

print(tf.__version__, tf.keras.__version__)
mnist_x, mnist_y = np.random.rand(64, 8, 8), np.random.randint(0, 10, 64)
mnist_x = mnist_x[..., tf.newaxis].astype("float32")
train_ds = tf.data.Dataset.from_tensor_slices((mnist_x, mnist_y)).shuffle(100).batch(16)


class MyModel(Model):
    def __init__(self):
        super().__init__()
        self.conv1 = layers.Conv2D(4, 3, activation="relu")
        self.flatten = layers.Flatten()
        self.d2 = layers.Dense(10)

    def call(self, x):
        return self.d2(self.flatten(self.conv1(x)))


model = MyModel()
loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=tf.keras.losses.Reduction.NONE)
optimizer = tf.keras.optimizers.legacy.SGD(learning_rate=0.01, momentum=0.9)
train_loss = tf.keras.metrics.Mean(name="train_loss")


@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
        per_example = loss_object(labels, predictions)
        loss = tf.reduce_sum(per_example) * (1.0 / 16)
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    train_loss(loss)


for epoch in range(2):
    for images, labels in train_ds:
        train_step(images, labels)
    print("Loss:", train_loss.result().numpy(), f"{train_loss.result():.3f}")

generator = tf.keras.Sequential([Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(64), layers.Reshape((8, 8, 1))])
discriminator = tf.keras.Sequential([Input((8, 8, 1)), layers.Flatten(), layers.LeakyReLU(), layers.Dropout(0.3), layers.Dense(1)])
cross_entropy = losses.BinaryCrossentropy(from_logits=True)
g_opt, d_opt = tf.keras.optimizers.Adam(1e-4), tf.keras.optimizers.Adam(1e-4)


@tf.function
def gan_step(images):
    noise = tf.random.normal([16, 4])
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        generated = generator(noise, training=True)
        real, fake = discriminator(images, training=True), discriminator(generated, training=True)
        gen_loss = cross_entropy(tf.ones_like(fake), fake)
        disc_loss = cross_entropy(tf.ones_like(real), real) + cross_entropy(tf.zeros_like(fake), fake)
    g_opt.apply_gradients(zip(gen_tape.gradient(gen_loss, generator.trainable_variables), generator.trainable_variables))
    d_opt.apply_gradients(zip(disc_tape.gradient(disc_loss, discriminator.trainable_variables), discriminator.trainable_variables))
    return gen_loss, disc_loss


g, d = gan_step(mnist_x[:16])
assert np.isfinite(g.numpy()) and np.isfinite(d.numpy())

inputs = tf.keras.Input(shape=(8, 8, 1))
x = tf.image.flip_left_right(inputs)
x = tf.reduce_mean(x, axis=[1, 2]) * 2.0
functional = tf.keras.Model(inputs, tf.nn.softmax(layers.Dense(10)(tf.concat([x, x], -1))))
functional.compile(optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.9, staircase=True)), loss=tf.keras.losses.sparse_categorical_crossentropy, metrics=[tf.keras.metrics.SparseTopKCategoricalAccuracy(k=3)])
functional.fit(train_ds, epochs=1, verbose=0, validation_data=train_ds.take(1))
results = functional.evaluate(train_ds, verbose=0)
assert len(results) == 2 and functional.predict(train_ds, verbose=0).shape == (64, 10)
x = tf.Variable(3.0)
with tf.GradientTape(persistent=True) as tape:
    y = tf.keras.activations.relu(x * 2)
assert float(tape.gradient(y, x)) == 2.0
