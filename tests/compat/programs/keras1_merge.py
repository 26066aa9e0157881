# As of 2016: branches side by side in Merge, the functions merge and Lambda, the GPU word of recurrent layers.
import numpy as np
from keras.layers import LSTM, Activation, Dense, Embedding, Input, Lambda, Merge, merge
from keras.layers.core import Reshape
from keras.models import Model, Sequential

left = Sequential()
left.add(Dense(8, input_dim=6))
left.add(Activation("relu"))
right = Sequential()
right.add(Embedding(10, 4, input_length=3))
right.add(LSTM(8, consume_less="gpu"))
model = Sequential()
model.add(Merge([left, right], mode="concat"))
model.add(Dense(2, activation="softmax"))
model.compile("rmsprop", "categorical_crossentropy", ["accuracy"])
a, b, y = np.random.rand(8, 6), np.random.randint(0, 10, (8, 3)), np.eye(2)[np.arange(8) % 2]
model.fit([a, b], y, nb_epoch=1, batch_size=4)
assert model.predict([a, b]).shape == (8, 2)
assert len(model.evaluate([a, b], y)) == 2

x = Input((3,))
z = merge([x, Dense(3)(x)], mode="sum")
z = merge([z, x], mode=lambda t: t[0] * t[1], output_shape=lambda shapes: shapes[0])
assert Model(input=x, output=z).predict(np.ones((1, 3))).shape == (1, 3)
model = Sequential([Lambda(lambda x: x[:, :2], output_shape=(5,), input_shape=(4,)), Dense(1)])
assert model.layers[1].get_weights()[0].shape == (2, 1)
