"""Distillation: values, configs and one step of training against Keras."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.distillation import DistillationLoss, Distiller, FeatureDistillation, LogitsDistillation

RNG = np.random.default_rng(0)
T, S = RNG.normal(size=(2, 4, 3)).astype("float32")
X, Y = RNG.normal(size=(8, 3)).astype("float32"), RNG.integers(0, 2, 8)

LOSSES: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "kl": ("LogitsDistillation", dict(temperature=2.0, loss="losses.KLDivergence"), T, S),
    "mse of logits": ("LogitsDistillation", dict(temperature=4, loss="mse"), T, S),
    "some outputs": ("LogitsDistillation", dict(loss=["mse", None]), [T, T], [S, S]),
    "a dict": ("LogitsDistillation", dict(loss={"a": "mae"}), {"a": T}, {"a": S}),
    "features": ("FeatureDistillation", dict(loss="cosine_similarity"), T, S),
    "several features": ("FeatureDistillation", dict(loss=["mse", "mae"]), [T, S], [S, T]),
    "names": ("FeatureDistillation", dict(teacher_layer_name="a", student_layer_name="b"), T, S),
}


def _make(library: Any, kind: str, arguments: dict[str, Any]) -> Any:
    found = {k: library.losses.KLDivergence() if v == "losses.KLDivergence" else v for k, v in arguments.items()}
    return getattr(library.distillation, kind)(**found)


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, backend: str) -> None:
    kind, arguments, t, s = LOSSES[name]
    ours, theirs = (_make(library, kind, arguments) for library in (nyala, keras))
    got, want = (float(np.asarray(one.compute_loss(t, s))) for one in (ours, theirs))
    assert got == pytest.approx(want, rel=1e-5)
    config = ours.get_config()
    assert config == theirs.get_config() and list(config) == list(theirs.get_config())
    assert type(ours).from_config(config).get_config() == config


def test_softened(deviation: Any) -> None:
    """By name, too, distributions are compared; Keras takes the logits for probabilities unless it is given an object."""
    soft = [np.exp(a / 2) / np.exp(a / 2).sum(-1, keepdims=True) for a in (T, S)]
    want = 4 * np.mean(np.sum(soft[0] * np.log(soft[0] / soft[1]), -1))
    for loss in ("kl_divergence", nyala.losses.KLDivergence()):
        assert float(LogitsDistillation(2.0, loss).compute_loss(T, S)) == pytest.approx(want, rel=1e-5)
    cross = -4 * np.mean(np.sum(soft[0] * np.log(soft[1]), -1))
    for loss in ("categorical_crossentropy", nyala.losses.CategoricalCrossentropy(from_logits=True)):
        assert float(LogitsDistillation(2.0, loss).compute_loss(T, S)) == pytest.approx(cross, rel=1e-5)
    deviation("distillation/kl_divergence")
    assert float(keras.distillation.LogitsDistillation(2.0).compute_loss(T, S)) == pytest.approx(want, rel=1e-3)


def _distiller(library: Any, weights: list[np.ndarray] | None = None) -> Any:
    layers, d = library.layers, library.distillation

    def net(name: str) -> Any:
        i = library.Input((3,), name=f"{name}_in")
        h = layers.Dense(4, activation="relu", name="h")(i)
        return library.Model(i, layers.Dense(2, name="o")(h), name=name)

    made = d.Distiller(
        net("teacher"), net("student"),
        [d.LogitsDistillation(2.0, library.losses.KLDivergence()), d.FeatureDistillation("mse", "h", "h")],
        [1.0, 0.5], student_loss_weight=0.3,
    )  # fmt: skip
    for model, values in zip((made.teacher, made.student), (weights or [])):
        model.set_weights(values)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(library.optimizers.SGD(0.1), loss=loss, metrics=["accuracy"])
    return made


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Keras's distiller: its weights before, its results of one epoch, and its weights after."""
    model = _distiller(keras)
    before = [m.get_weights() for m in (model.teacher, model.student)]
    history = model.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history
    return model, before, history, model.student.get_weights()


def test_a_step_as_keras(backend: str, theirs: Any, tmp_path: Path) -> None:
    keras_model, before, history, after = theirs
    d = _distiller(nyala, before)
    assert not d.teacher.trainable and len(d.trainable_variables) == 4
    got = d.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history
    assert set(got) == set(history)
    for name, values in got.items():
        np.testing.assert_allclose(values, history[name], rtol=1e-5, err_msg=name)
    for a, b in zip(d.student.get_weights(), after):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(d.teacher.get_weights(), before[0]):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(d.predict(X, verbose=0), d.student.predict(X, verbose=0))
    assert list(d.get_config()) == list(keras_model.get_config())

    d.save(tmp_path / "d.keras")
    again = nyala.models.load_model(tmp_path / "d.keras")
    assert again.get_config() == d.get_config() and again.get_compile_config() == d.get_compile_config()
    np.testing.assert_array_equal(again.student.get_weights()[0], d.student.get_weights()[0])


def test_custom_loss_and_regularization(backend: str) -> None:
    class Gap(DistillationLoss):
        def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
            return nyala.ops.mean(nyala.ops.abs(teacher_outputs - student_outputs))

    teacher = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
    student = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, kernel_regularizer="l2")])
    d = Distiller(teacher, student, Gap(), student_loss_weight=0)
    d.compile("sgd")
    got = d.evaluate(X, verbose=0, return_dict=True)
    gap = np.abs(teacher.predict(X, verbose=0) - student.predict(X, verbose=0)).mean()
    decay = 0.01 * np.square(student.get_weights()[0]).sum()
    assert got["distillation_loss"] == pytest.approx(gap, rel=1e-5) and got["loss"] == pytest.approx(
        gap + decay, rel=1e-5
    )


def test_errors() -> None:
    def net(n: int) -> Any:
        return nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(n, name="h")])

    class Plain(nyala.Model):
        def __init__(self) -> None:
            super().__init__()
            self.h = nyala.layers.Dense(2, name="h")

        def call(self, x: Any) -> Any:
            return self.h(x)

    a, b = net(2), net(2)
    logits = LogitsDistillation()
    for make, message in (
        (lambda: LogitsDistillation(0), "temperature must be a number above 0"),
        (lambda: FeatureDistillation([None]), "at least one that is not None"),
        (lambda: FeatureDistillation().compute_loss(T, S[:, :2]), "must be equal"),
        (lambda: logits.compute_loss([T], T), "nested alike"),
        (lambda: LogitsDistillation(loss=["mse"]).compute_loss([T, T], [S, S]), "1 entries for 2 outputs"),
        (lambda: Distiller(3, b, logits), "teacher must be a model, got int"),
        (lambda: Distiller(a, b, 3), "must be DistillationLoss objects, got int"),  # pyright: ignore[reportArgumentType]
        (lambda: Distiller(a, b, logits, [1, 2]), "a weight for each, got 1 and 2"),
        (lambda: Distiller(a, b, []), "one or more"),
        (lambda: Distiller(a, b, logits, student_loss_weight=2), "student_loss_weight must be a number"),
        (lambda: Distiller(a, net(3), logits), r"gives shape \(None, 2\) and the student \(None, 3\)"),
        (lambda: Distiller(a, b, FeatureDistillation("mse", "g", "h")), "has no layer 'g'"),
        (lambda: Distiller(a, b, logits).compile(), "student_loss_weight of 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    d = Distiller(a, Plain(), FeatureDistillation("mse", "h", "h"), student_loss_weight=0)
    d.compile()
    with pytest.raises(ValueError, match="no graph of layers"):
        d.fit(X, verbose=0)
    with pytest.raises(NotImplementedError, match="compute_loss"):
        DistillationLoss().compute_loss(T, S)


@pytest.mark.parametrize("name", ("DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"))
def test_signatures(name: str) -> None:
    parameters = [inspect.signature(getattr(m.distillation, name)).parameters.values() for m in (nyala, keras)]
    if name != "DistillationLoss":
        assert [(p.name, p.default) for p in parameters[0]] == [(p.name, p.default) for p in parameters[1]]
    theirs = {n for n in vars(getattr(keras.distillation, name)) if not n.startswith("_")}
    assert {n for n in theirs if not hasattr(getattr(nyala.distillation, name), n)} == set()
