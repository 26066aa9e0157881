# As of 2024: Keras 3 with ops, a metric, a loss, a model with its own train_step of compute_loss, callbacks.
import os
import numpy as np
import keras
from keras import layers, ops, random


@keras.saving.register_keras_serializable(package="programs")
class Huberish(keras.losses.Loss):
    def __init__(self, delta=1.0, name="huberish", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def call(self, y_true, y_pred):
        error = ops.abs(y_true - y_pred)
        small = 0.5 * ops.square(error)
        return ops.mean(ops.where(error < self.delta, small, self.delta * (error - 0.5 * self.delta)), axis=-1)


class Share(keras.metrics.Metric):
    def __init__(self, name="share", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.hits.assign_add(ops.sum(ops.cast(ops.abs(y_true - y_pred) < 0.5, "float32")))
        self.seen.assign_add(ops.cast(ops.size(y_true), "float32"))

    def result(self):
        return self.hits / self.seen


class Block(layers.Layer):
    def __init__(self, units, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rate = units, rate
        self.dense = layers.Dense(units)
        self.norm = layers.LayerNormalization()
        self.seed = random.SeedGenerator(3)

    def call(self, x, training=False):
        y = ops.gelu(self.norm(self.dense(x)))
        if training:
            y = random.dropout(y, self.rate, seed=self.seed)
        return y

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


inputs = keras.Input((6,))
x = Block(16)(inputs)
x = layers.Concatenate()([x, ops.sin(inputs)])
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
model.compile(optimizer=keras.optimizers.AdamW(schedule), loss=Huberish(), metrics=[Share(), "mae"])
x = np.random.random((64, 6)).astype("float32")
y = x.sum(1, keepdims=True)
h = model.fit(x, y, epochs=3, validation_split=0.25, verbose=0, callbacks=[keras.callbacks.EarlyStopping(patience=5)])
assert set(h.history) == {"loss", "share", "mae", "val_loss", "val_share", "val_mae"}
assert h.history["loss"][-1] < h.history["loss"][0]
r = model.evaluate(x, y, verbose=0, return_dict=True)
assert 0 <= r["share"] <= 1
print(keras.backend.backend(), keras.config.backend(), os.environ.get("KERAS_BACKEND"))
