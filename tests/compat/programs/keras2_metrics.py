# As of 2018: losses and metrics from the backend's functions, a weighted loss that divides in place, JSON without compile.
import numpy as np
from keras import backend as K
from keras.layers import Dense
from keras.models import Sequential, model_from_json


def recall_m(y_true, y_pred):
    true_positives = K.sum(K.round(K.clip(y_true * y_pred, 0, 1)))
    return true_positives / (K.sum(K.round(K.clip(y_true, 0, 1))) + K.epsilon())


def focal_loss(gamma=2.0, alpha=0.25):
    def focal_loss_fixed(y_true, y_pred):
        pt = K.switch(K.equal(y_true, 1), y_pred, 1 - y_pred)
        pt = K.clip(pt, K.epsilon(), 1.0 - K.epsilon())
        return -K.mean(alpha * K.pow(1.0 - pt, gamma) * K.log(pt))

    return focal_loss_fixed


def weighted_categorical_crossentropy(weights):
    weights = K.variable(weights)

    def loss(y_true, y_pred):
        y_pred /= K.sum(y_pred, axis=-1, keepdims=True)
        y_pred = K.clip(y_pred, K.epsilon(), 1 - K.epsilon())
        return -K.sum(y_true * K.log(y_pred) * weights, -1)

    return loss


X, y = np.random.rand(16, 5), np.random.randint(0, 2, (16, 1))
model = Sequential([Dense(1, activation="sigmoid", input_dim=5)])
model.compile(loss=[focal_loss(gamma=2, alpha=0.25)], optimizer="adam", metrics=["acc", recall_m])
history = model.fit(X, y, validation_split=0.5, epochs=1, verbose=0).history
assert set(history) == {"loss", "acc", "recall_m", "val_loss", "val_acc", "val_recall_m"}, history
loaded = model_from_json(model.to_json())
loaded.set_weights(model.get_weights())
loaded.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
assert loaded.metrics_names[0] == "loss" and np.allclose(loaded.predict(X), model.predict(X))

model = Sequential([Dense(3, activation="softmax", input_dim=5)])
model.compile("adam", weighted_categorical_crossentropy([0.5, 2, 10]), metrics=["categorical_accuracy"])
model.fit(X, np.eye(3)[np.random.randint(0, 3, 16)], verbose=0)
