# As of 2015/16: Keras 1 names and arguments.
import numpy as np

np.random.seed(1337)
from keras.layers.core import Activation, Dense, Dropout
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import np_utils

X_train = np.random.random((200, 20)).astype("float32")
labels = X_train[:, :2].argmax(1)
Y_train = np_utils.to_categorical(labels, 2)

model = Sequential()
model.add(Dense(output_dim=32, input_dim=20, init="glorot_uniform"))
model.add(Activation("tanh"))
model.add(Dropout(0.1))
model.add(Dense(2))
model.add(Activation("softmax"))
sgd = SGD(lr=0.3, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=sgd, metrics=["accuracy"])
hist = model.fit(X_train, Y_train, nb_epoch=5, batch_size=16, verbose=0, validation_data=(X_train, Y_train))
score = model.evaluate(X_train, Y_train, verbose=0)
print("Test score:", score[0])
print("Test accuracy:", score[1])
classes = model.predict_classes(X_train[:5], batch_size=5)
proba = model.predict_proba(X_train[:5])
assert classes.shape == (5,) and proba.shape == (5, 2)
assert "acc" in hist.history or "accuracy" in hist.history
assert hist.history["loss"][-1] < hist.history["loss"][0]
