# As of 2019: the discriminator is compiled, then frozen inside the GAN; some programs thaw and freeze it around each batch.
import time
import numpy as np
from keras.layers import BatchNormalization, Conv2D, Conv2DTranspose, Dense, Dropout, Flatten, Reshape
from keras.layers.advanced_activations import LeakyReLU
from keras.models import Sequential
from keras.optimizers import Adam


def define_discriminator(in_shape=(8, 8, 1)):
    model = Sequential()
    model.add(Conv2D(4, (3, 3), strides=(2, 2), padding="same", input_shape=in_shape))
    model.add(LeakyReLU(alpha=0.2))
    model.add(BatchNormalization(momentum=0.8))
    model.add(Dropout(0.4))
    model.add(Flatten())
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer=Adam(lr=0.01, beta_1=0.5), metrics=["accuracy"])
    return model


def define_generator(latent_dim):
    model = Sequential()
    model.add(Dense(4 * 4 * 4, input_dim=latent_dim))
    model.add(LeakyReLU(alpha=0.2))
    model.add(Reshape((4, 4, 4)))
    model.add(Conv2DTranspose(1, (4, 4), strides=(2, 2), padding="same", activation="tanh"))
    return model


def define_gan(g_model, d_model):
    d_model.trainable = False
    model = Sequential()
    model.add(g_model)
    model.add(d_model)
    model.compile(loss="binary_crossentropy", optimizer=Adam(lr=0.01, beta_1=0.5))
    return model


d_model, g_model = define_discriminator(), define_generator(6)
gan = define_gan(g_model, d_model)
real, noise = np.random.rand(8, 8, 8, 1), np.random.randn(8, 6)
for i in range(2):
    d_before, g_before = d_model.get_weights()[0], g_model.get_weights()[0]
    d_model.train_on_batch(real, np.ones((8, 1)))
    d_model.train_on_batch(g_model.predict(noise, verbose=0), np.zeros((8, 1)))
    d_after = d_model.get_weights()
    assert not np.array_equal(d_before, d_after[0]) and np.array_equal(g_before, g_model.get_weights()[0])
    gan.train_on_batch(noise, np.ones((8, 1)))
    assert all(np.array_equal(a, b) for a, b in zip(d_after, d_model.get_weights()))
    assert not np.array_equal(g_before, g_model.get_weights()[0])
for i in range(12):
    if i == 2:
        begun = time.process_time()
    d_model.trainable = True
    d_model.train_on_batch(real, np.ones((8, 1)))
    d_model.trainable = False
    gan.train_on_batch(noise, np.ones((8, 1)))
assert (time.process_time() - begun) / 10 < 0.3, "each batch is traced anew"
