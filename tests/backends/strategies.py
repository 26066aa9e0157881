"""Training under tf.distribute on two CPU devices; run in a process of its own, which configures them first."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile

sys.path.insert(0, os.getcwd())
os.environ["NYALA_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import nyala as keras  # noqa: E402
from nyala import layers  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(33, 4)).astype("float32"), RNG.integers(0, 3, size=(33,)).astype("int32")
ONE = contextlib.nullcontext
TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def same(a, b):
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def fit(scope, optimizer, built, from_dataset, *more):
    """History, evaluation, predictions, weights and slots; the last batch has one row, fewer than there are devices."""
    keras.utils.set_random_seed(0)
    with scope:
        more = [make() for make in more]
        model = keras.Sequential([layers.Dense(8, "relu", kernel_regularizer="l2"), *more, layers.Dense(3, "softmax")])
        if built:
            model.build((None, 4))
        model.compile(optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if from_dataset:
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        given, settings = (data,), {}
    else:
        data, given, settings = (X, Y), (X, Y), {"batch_size": 8}
    history = model.fit(*given, epochs=2, verbose=0, validation_data=data, **settings).history
    results = model.evaluate(*given, verbose=0, **settings)
    outputs = model.predict(X, batch_size=8, verbose=0)
    return history, results, outputs, model.get_weights(), [v.numpy() for v in model.optimizer.variables]


def fine(**settings):
    return lambda: keras.optimizers.Adam(1e-2, **settings)


for case in (
    (fine(), True, False, lambda: layers.BatchNormalization(synchronized=True)),
    (lambda: keras.optimizers.SGD(0.1, momentum=0.9), False, True),
    (fine(gradient_accumulation_steps=2, use_ema=True, clipnorm=1.0, weight_decay=0.01), True, False),
):
    same(fit(ONE(), *case), fit(TWO.scope(), *case))


def loop(strategy):
    """TensorFlow's custom training loop, everything unbuilt until the first step."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3)])
        optimizer = keras.optimizers.Adam(1e-2)
        per_example = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
        accuracy = keras.metrics.SparseCategoricalAccuracy()
    data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices((X[:32], Y[:32])).batch(8))

    def step(inputs):
        x, y = inputs
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = tf.nn.compute_average_loss(per_example(y, y_pred), global_batch_size=8)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        accuracy.update_state(y, y_pred)
        return loss

    @tf.function
    def distributed(inputs):
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(step, args=(inputs,)), axis=None)

    seen = []
    for _ in range(2):
        seen += [float(distributed(batch)) for batch in data]
        seen.append(float(accuracy.result()))
        accuracy.reset_state()
    return seen, model.get_weights(), [v.numpy() for v in optimizer.variables]


same(loop(tf.distribute.get_strategy()), loop(TWO))
same(loop(tf.distribute.get_strategy()), loop(tf.distribute.OneDeviceStrategy("CPU:1")))


# Statistics and random numbers: each replica its own, one to the outside.
with TWO.scope():
    model = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.5), layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    checkpoint = tf.train.Checkpoint(model=model)
model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
same(model.predict(X, verbose=0), model.predict(X, batch_size=5, verbose=0))
means = [v.numpy() for v in model.layers[0].moving_mean._storage.values]
same(means[0], means[1])
weights = model.get_weights()
path = checkpoint.save(os.path.join(tempfile.mkdtemp(), "c"))
model.set_weights([w * 0 for w in weights])
checkpoint.restore(path)
same(model.get_weights(), weights)
drop = layers.Dropout(0.5)
with TWO.scope():
    drop(np.ones((2, 8), "float32"), training=True)
masks = TWO.run(tf.function(lambda: drop(tf.ones((2, 64)), training=True))).values
assert not np.array_equal(masks[0], masks[1])

with tf.distribute.MultiWorkerMirroredStrategy().scope():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
model.fit(X, Y, verbose=0)
assert np.isfinite(model.evaluate(X, Y, verbose=0))

with tf.distribute.experimental.CentralStorageStrategy().scope():
    try:
        keras.Variable(1.0)
    except NotImplementedError as error:
        assert "MirroredStrategy" in str(error)
    else:
        raise AssertionError("a strategy that is not supported was taken")
