# As of 2015: Keras 0, where a layer was told its input's size and images had their channels first.
import numpy as np
from keras.layers.advanced_activations import PReLU
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.layers.core import Activation, Dense, Flatten, Reshape, TimeDistributedMerge
from keras.layers.embeddings import Embedding
from keras.layers.normalization import BatchNormalization
from keras.layers.recurrent import LSTM
from keras.models import Sequential
from keras.utils import np_utils

images = np.random.rand(12, 3, 8, 8).astype("float32")
model = Sequential()
model.add(Convolution2D(2, 3, 3, 3, border_mode="full", dim_ordering="th"))
model.add(MaxPooling2D(poolsize=(2, 2), dim_ordering="th"))
model.add(Flatten())
model.add(Dense(2 * 5 * 5, 4, init="uniform"))
model.add(PReLU((4,)))
model.add(BatchNormalization((4,)))
model.add(Reshape(1, 4))
model.add(TimeDistributedMerge(mode="ave"))
model.add(Dense(4, 2, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam")
labels = np.arange(12) % 2
loss, accuracy = model.train(images, np_utils.to_categorical(labels, 2), accuracy=True)
assert 0 <= accuracy <= 1 and np.ndim(model.test(images, np_utils.to_categorical(labels, 2))[0]) == 0

model = Sequential()
model.add(Embedding(9, 4))
model.add(LSTM(4, 3, truncate_gradient=-1))
model.add(Dense(3, 1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", class_mode="binary")
words = np.arange(24).reshape(12, 2) % 9
model.fit(words, labels, nb_epoch=1, show_accuracy=True, verbose=0)
assert np_utils.accuracy(model.predict_classes(words), labels) in np.arange(13) / 12
