# As of 2018: the IMDB LSTM without the data, a stateful LSTM, a bidirectional one, attention by Lambda and K.
from __future__ import print_function
import numpy as np
from keras.preprocessing import sequence
from keras.preprocessing.text import Tokenizer
from keras.models import Sequential, Model
from keras.layers import Dense, Dropout, Activation, Embedding, LSTM, GRU, SpatialDropout1D, Bidirectional
from keras.layers import Conv1D, GlobalMaxPooling1D, Input, Lambda, RepeatVector, Permute, TimeDistributed, Flatten, multiply
from keras.callbacks import EarlyStopping, ModelCheckpoint
import keras.backend as K

texts = ["the movie was good", "the movie was bad", "a good film", "a bad bad film"] * 8
labels = np.array([1, 0, 1, 0] * 8)
tokenizer = Tokenizer(num_words=50)
tokenizer.fit_on_texts(texts)
x = sequence.pad_sequences(tokenizer.texts_to_sequences(texts), maxlen=6)

model = Sequential()
model.add(Embedding(50, 8, input_length=6, mask_zero=True))
model.add(SpatialDropout1D(0.1))
model.add(Bidirectional(LSTM(6, dropout=0.1, recurrent_dropout=0.1)))
model.add(Dense(1, activation="sigmoid"))
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
print(model.summary())
es = EarlyStopping(monitor="val_acc", patience=1, mode="max")
h = model.fit(x, labels, batch_size=8, epochs=2, validation_split=0.25, callbacks=[es], verbose=0, shuffle=True)

inp = Input(shape=(6,))
e = Embedding(50, 8)(inp)
units = GRU(6, return_sequences=True)(e)
a = TimeDistributed(Dense(1, activation="tanh"))(units)
a = Flatten()(a)
a = Activation("softmax")(a)
a = Permute([2, 1])(RepeatVector(6)(a))
s = Lambda(lambda t: K.sum(t, axis=-2), output_shape=(6,))(multiply([units, a]))
out = Dense(1, activation="sigmoid")(Dropout(0.5)(s))
att = Model(inp, out)
att.compile(loss="binary_crossentropy", optimizer="nadam", metrics=["acc"])
att.fit(x, labels, epochs=1, verbose=0, class_weight={0: 1.0, 1: 2.0}, sample_weight=None)

conv = Sequential()
conv.add(Embedding(50, 8))
conv.add(Conv1D(filters=5, kernel_size=3, padding="valid", activation="relu", strides=1))
conv.add(GlobalMaxPooling1D())
conv.add(Dense(1))
conv.add(Activation("sigmoid"))
conv.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
conv.fit(x, labels, batch_size=16, epochs=1, validation_data=(x, labels), verbose=0)

stateful = Sequential()
stateful.add(LSTM(4, batch_input_shape=(2, 3, 1), return_sequences=True, stateful=True))
stateful.add(LSTM(4, stateful=True))
stateful.add(Dense(1))
stateful.compile(loss="mse", optimizer="rmsprop")
series = np.random.rand(8, 3, 1)
for i in range(2):
    stateful.fit(series, series[:, 0], epochs=1, batch_size=2, verbose=0, shuffle=False)
    stateful.reset_states()
assert stateful.predict(series, batch_size=2).shape == (8, 1)
