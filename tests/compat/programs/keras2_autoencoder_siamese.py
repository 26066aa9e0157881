# As of 2016 to 2019: the autoencoders of the Keras blog, a siamese network, layers with a required `training`.
from keras.layers import Input, Dense, Conv2D, MaxPooling2D, UpSampling2D, Layer, Lambda, Dropout
from keras.models import Model, Sequential
from keras import regularizers, initializers, constraints, metrics, losses, activations
from keras import backend as K
import numpy as np

encoding_dim = 8
input_img = Input(shape=(16,))
encoded = Dense(encoding_dim, activation="relu", activity_regularizer=regularizers.l1(10e-5))(input_img)
decoded = Dense(16, activation="sigmoid", kernel_initializer=initializers.he_normal(seed=0))(encoded)
autoencoder = Model(input_img, decoded)
encoder = Model(input_img, encoded)
encoded_input = Input(shape=(encoding_dim,))
decoder_layer = autoencoder.layers[-1]
decoder = Model(encoded_input, decoder_layer(encoded_input))
autoencoder.compile(optimizer="adadelta", loss="binary_crossentropy")
x_train = np.random.rand(32, 16)
autoencoder.fit(x_train, x_train, epochs=1, batch_size=8, shuffle=True, validation_data=(x_train, x_train), verbose=0)
assert decoder.predict(encoder.predict(x_train)).shape == (32, 16)

image = Input(shape=(8, 8, 1))
x = MaxPooling2D((2, 2), padding="same")(Conv2D(4, (3, 3), activation="relu", padding="same")(image))
x = UpSampling2D((2, 2))(Conv2D(4, (3, 3), activation="relu", padding="same", kernel_constraint=constraints.max_norm(2.0))(x))
conv = Model(image, Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x))
conv.compile(optimizer="sgd", loss=losses.binary_crossentropy, metrics=[metrics.mae])
conv.fit(np.random.rand(8, 8, 8, 1), np.random.rand(8, 8, 8, 1), verbose=0)


def euclidean_distance(vects):
    a, b = vects
    return K.sqrt(K.maximum(K.sum(K.square(a - b), axis=1, keepdims=True), K.epsilon()))


def contrastive_loss(y_true, y_pred):
    margin = 1
    return K.mean(y_true * K.square(y_pred) + (1 - y_true) * K.square(K.maximum(margin - y_pred, 0)))


def accuracy(y_true, y_pred):
    return K.mean(K.equal(y_true, K.cast(y_pred < 0.5, y_true.dtype)))


base = Sequential([Dense(8, input_shape=(16,), activation="relu"), Dropout(0.1), Dense(8)])
input_a, input_b = Input(shape=(16,)), Input(shape=(16,))
distance = Lambda(euclidean_distance, output_shape=lambda s: (s[0][0], 1))([base(input_a), base(input_b)])
siamese = Model([input_a, input_b], distance)
siamese.compile(loss=contrastive_loss, optimizer="rmsprop", metrics=[accuracy])
h = siamese.fit([x_train, x_train[::-1]], np.random.randint(0, 2, 32).astype("float32"), epochs=2, verbose=0)
assert "accuracy" in h.history


class Drop(Layer):
    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.inner = Dropout(rate)

    def call(self, inputs, training):
        return self.inner(inputs, training=training)


class Net(Model):
    def __init__(self):
        super(Net, self).__init__()
        self.dense = Dense(4, activation=activations.relu)
        self.drop = Drop(0.5)

    def call(self, inputs, training=None):
        return self.drop(self.dense(inputs))


net = Net()
net.compile("adam", "mse")
net.fit(x_train, x_train[:, :4], verbose=0)
weights = net.get_weights()
net.set_weights(weights)
assert len(weights) == 2 and net.layers[0].name.startswith("dense")
