# As of 2017: the functional API of Keras 2, two inputs and two outputs, and K.
import keras
import numpy as np
from keras import backend as K
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from keras.layers import Dense, Embedding, Flatten, Input, Lambda
from keras.layers.merge import add, concatenate
from keras.models import Model
from keras.optimizers import RMSprop

main_input = Input(shape=(6,), dtype="int32", name="main_input")
x = Embedding(output_dim=8, input_dim=50, input_length=6)(main_input)
x = Flatten()(x)
auxiliary_output = Dense(1, activation="sigmoid", name="aux_output")(x)
auxiliary_input = Input(shape=(5,), name="aux_input")
x = concatenate([x, auxiliary_input])
x = Dense(16, activation="relu")(x)
x = add([x, Dense(16, activation="relu")(x)])
x = Lambda(lambda t: K.l2_normalize(t, axis=1), output_shape=(16,))(x)
main_output = Dense(1, activation="sigmoid", name="main_output")(x)
model = Model(inputs=[main_input, auxiliary_input], outputs=[main_output, auxiliary_output])


def smooth(y_true, y_pred):
    return K.mean(K.square(K.clip(y_pred, K.epsilon(), 1.0) - y_true), axis=-1)


model.compile(
    optimizer=RMSprop(lr=0.01),
    loss={"main_output": "binary_crossentropy", "aux_output": smooth},
    loss_weights={"main_output": 1.0, "aux_output": 0.2},
    metrics={"main_output": ["acc"]},
)
headlines = np.random.randint(1, 50, (40, 6))
extra = np.random.random((40, 5))
y = np.random.randint(0, 2, (40, 1))
history = model.fit(
    {"main_input": headlines, "aux_input": extra},
    {"main_output": y, "aux_output": y},
    epochs=2,
    batch_size=8,
    verbose=2,
    callbacks=[LearningRateScheduler(lambda epoch: 0.01 / (epoch + 1)), ReduceLROnPlateau(monitor="loss", patience=1)],
)
print(history.history.keys())
assert "main_output_acc" in history.history
a, b = model.predict([headlines, extra])
assert a.shape == b.shape == (40, 1)
K.set_value(model.optimizer.lr, 0.5)
assert abs(K.get_value(model.optimizer.lr) - 0.5) < 1e-6
assert K.int_shape(model.output[0]) == (None, 1)
f = K.function([model.layers[0].input], [model.get_layer("aux_output").output])
assert f([headlines])[0].shape == (40, 1)
print(keras.__version__)
