# As of 2020: a variational autoencoder by subclassing and add_loss (tf.keras).
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras import backend as K


class Sampling(layers.Layer):
    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = K.random_normal(shape=(K.shape(z_mean)[0], K.shape(z_mean)[1]))
        return z_mean + K.exp(0.5 * z_log_var) * epsilon


class Encoder(layers.Layer):
    def __init__(self, latent_dim=4, intermediate_dim=8, name="encoder", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dense_proj = layers.Dense(intermediate_dim, activation="relu")
        self.dense_mean = layers.Dense(latent_dim)
        self.dense_log_var = layers.Dense(latent_dim)
        self.sampling = Sampling()

    def call(self, inputs):
        x = self.dense_proj(inputs)
        z_mean, z_log_var = self.dense_mean(x), self.dense_log_var(x)
        return z_mean, z_log_var, self.sampling((z_mean, z_log_var))


class VAE(keras.Model):
    def __init__(self, original_dim, **kwargs):
        super().__init__(**kwargs)
        self.encoder = Encoder()
        self.decoder = keras.Sequential(
            [layers.Dense(8, activation="relu"), layers.Dense(original_dim, activation="sigmoid")]
        )

    def call(self, inputs):
        z_mean, z_log_var, z = self.encoder(inputs)
        self.add_loss(-0.5 * K.mean(z_log_var - K.square(z_mean) - K.exp(z_log_var) + 1))
        return self.decoder(z)


vae = VAE(12)
vae.compile(keras.optimizers.Adam(learning_rate=1e-2), loss=keras.losses.MeanSquaredError())
x = np.random.random((64, 12)).astype("float32")
h = vae.fit(x, x, epochs=3, batch_size=16, verbose=0)
assert h.history["loss"][-1] < h.history["loss"][0]
assert len(vae.losses) == 1
