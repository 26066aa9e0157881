# needs: tensorflow
# As of 2021: Grad-CAM by a model cut in two, gradient ascent on an image, a gradient penalty.
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

inputs = keras.Input((16, 16, 3))
x = layers.Conv2D(4, 3, activation="relu")(inputs)
x = layers.MaxPooling2D()(x)
x = layers.Conv2D(6, 3, activation="relu", name="last_conv")(x)
x = layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="predictions")(x))
img = np.random.rand(1, 16, 16, 3).astype("float32")
model.layers[-1].activation = None
grad_model = tf.keras.models.Model([model.inputs], [model.get_layer("last_conv").output, model.output])
with tf.GradientTape() as tape:
    conv_out, preds = grad_model(img)
    class_channel = preds[:, tf.argmax(preds[0])]
grads = tape.gradient(class_channel, conv_out)
heatmap = tf.squeeze(conv_out[0] @ tf.reduce_mean(grads, axis=(0, 1, 2))[..., tf.newaxis])
heatmap = tf.maximum(heatmap, 0) / (tf.math.reduce_max(heatmap) + 1e-8)
assert heatmap.numpy().shape == (5, 5)

features = keras.Model(model.inputs, [layer.output for layer in model.layers if isinstance(layer, layers.Conv2D)])
image = tf.Variable(img)
optimizer = tf.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)


@tf.function()
def train_step(image):
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_mean((out - 1.0) ** 2) for out in features(image)])
        loss += 1e-6 * tf.image.total_variation(image)[0]
    optimizer.apply_gradients([(tape.gradient(loss, image), image)])
    image.assign(tf.clip_by_value(image, 0.0, 1.0))


train_step(image)
assert not np.allclose(img, image.numpy())
with tf.GradientTape() as outer:
    x = tf.constant(img)
    with tf.GradientTape() as inner:
        inner.watch(x)
        y = model(x)
    penalty = (tf.norm(inner.gradient(y, x)) - 1.0) ** 2
assert outer.gradient(penalty, model.trainable_variables)[0] is not None
