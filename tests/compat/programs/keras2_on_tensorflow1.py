# needs: tensorflow. As of 2017 and 2018: the lines at the head of programs on TensorFlow 1, and its names in a Lambda.
import numpy as np
import tensorflow as tf
from keras.backend.tensorflow_backend import set_session
from keras.layers import Dense, Lambda
from keras.models import Sequential

config = tf.ConfigProto(gpu_options=tf.GPUOptions(per_process_gpu_memory_fraction=0.5))
config.gpu_options.allow_growth = True
set_session(tf.Session(config=config))
tf.set_random_seed(1)
tf.logging.set_verbosity(tf.logging.ERROR)

model = Sequential()
model.add(Dense(3, activation="softmax", input_dim=2))
model.add(Lambda(lambda p: tf.log(tf.to_float(p))))
model.compile(loss="mse", optimizer="sgd")
model.fit(np.ones((4, 2)), -np.ones((4, 3)), epochs=1, verbose=0)
assert (model.predict(np.ones((1, 2))) < 0).all()
