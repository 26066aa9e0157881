# As of 2018: generators, a Sequence, a custom layer with build and compute_output_shape, a custom callback.
import numpy as np
import keras
from keras import backend as K
from keras.engine.topology import Layer
from keras.layers import Dense
from keras.models import Sequential
from keras.utils.data_utils import Sequence


class MyDense(Layer):
    def __init__(self, output_dim, **kwargs):
        self.output_dim = output_dim
        super(MyDense, self).__init__(**kwargs)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[1], self.output_dim), initializer="uniform", trainable=True
        )
        super(MyDense, self).build(input_shape)

    def call(self, x):
        return K.relu(K.dot(x, self.kernel))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.output_dim)


class Rows(Sequence):
    def __init__(self, x, y, batch_size):
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return int(np.ceil(len(self.x) / float(self.batch_size)))

    def __getitem__(self, idx):
        s = slice(idx * self.batch_size, (idx + 1) * self.batch_size)
        return self.x[s], self.y[s]


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs={}):
        self.losses = []

    def on_batch_end(self, batch, logs={}):
        self.losses.append(logs.get("loss"))


def generator(x, y):
    while True:
        for i in range(0, len(x), 10):
            yield x[i : i + 10], y[i : i + 10]


x, y = np.random.random((40, 8)), np.random.random((40, 1))
model = Sequential([MyDense(16, input_shape=(8,)), Dense(1)])
model.compile(loss=keras.losses.mean_squared_error, optimizer=keras.optimizers.adam(lr=0.01), metrics=["mae"])
history = LossHistory()
model.fit_generator(generator(x, y), steps_per_epoch=4, epochs=2, verbose=0, callbacks=[history])
assert len(history.losses) == 8, history.losses
model.fit_generator(Rows(x, y, 10), epochs=1, verbose=0, validation_data=(x, y), workers=1, use_multiprocessing=False)
loss, mae = model.evaluate_generator(Rows(x, y, 10), steps=4)
assert model.predict_generator(Rows(x, y, 10)).shape == (40, 1)
print(model.metrics_names, loss, mae)
assert model.metrics_names[0] == "loss"
assert model.train_on_batch(x, y) is not None and model.layers[0].get_weights()[0].shape == (8, 16)
