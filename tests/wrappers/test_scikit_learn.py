"""Models as estimators: what scikit-learn asks of one, the old and the new way to name their arguments, and its own checks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from nyala import Input, Model, Sequential, callbacks, layers, losses, optimizers, utils
from nyala.wrappers import (
    KerasClassifier,
    KerasRegressor,
    SKLearnClassifier,
    SKLearnRegressor,
    SKLearnTransformer,
)
from nyala.wrappers.scikit_learn import KerasClassifier as Old

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
KINDS = (X[:, 0] > 0).astype(int) + (X[:, 0] > 0.7)
NAMES = np.array(["left", "middle", "right"])[KINDS]


def of_keras_2(optimizer: str = "adam", units: int = 8, loss: str = "sparse_categorical_crossentropy") -> Model:
    model = Sequential([Input((4,)), layers.Dense(units, activation="relu"), layers.Dense(3, activation="softmax")])
    kinds = {"adam": optimizers.Adam, "sgd": optimizers.SGD}
    model.compile(optimizer=kinds[optimizer](0.03), loss=loss, metrics=["accuracy"])
    return model


def of_scikeras(units: int, meta: dict[str, Any]) -> Model:
    n = meta.get("n_classes_", 1)
    head = layers.Dense(n if n > 2 else 1, activation={1: None, 2: "sigmoid"}.get(n, "softmax"))
    return Sequential([Input((meta["n_features_in_"],)), layers.Dense(units, activation="relu"), head])


def compiled(X: Any, y: Any, loss: str, units: int = 8) -> Model:
    utils.set_random_seed(0)
    last = layers.Dense(y.shape[1], activation="softmax" if loss != "mse" else None)
    model = Sequential([Input(X.shape[1:]), layers.Dense(units, activation="relu"), last])
    model.compile(loss=loss, optimizer=optimizers.Adam(0.02))
    return model


CLASSIFIER = dict(units=16, optimizer="adam", optimizer__learning_rate=0.03, epochs=25, verbose=0, random_state=0)
SPARSE = dict(loss="sparse_categorical_crossentropy", **CLASSIFIER)


def test_old_style() -> None:
    old = Old(build_fn=of_keras_2, units=16, nb_epoch=20, batch_size=8, verbose=0, random_state=0)
    assert old.get_params()["units"] == 16 and clone(old).get_params() == old.get_params()
    assert old.fit(X, NAMES) is old
    assert list(old.classes_) == ["left", "middle", "right"] and old.n_classes_ == 3
    assert old.score(X, NAMES) > 0.8 and set(old.predict(X)) <= set(NAMES)
    assert old.predict_proba(X, batch_size=60).shape == (60, 3)
    assert old.model is old.model_ and KerasClassifier(of_keras_2).model is of_keras_2
    assert len(old.history["loss"]) == 20 and len(old.model_.layers[0].bias) == 16


def test_old_style_with_one_hot_targets_predicts_numbers() -> None:
    old = Old(build_fn=of_keras_2, loss="categorical_crossentropy", epochs=20, batch_size=8, verbose=0, random_state=0)
    one_hot = np.eye(3)[KINDS]
    assert old.fit(X, one_hot).predict(X).shape == (60,) and old.score(X, one_hot) > 0.7
    # Labels become one-hot by themselves where the loss wants that.
    assert old.fit(X, NAMES).score(X, NAMES) > 0.7
    assert KerasClassifier(of_scikeras, loss="categorical_crossentropy", **CLASSIFIER).fit(X, one_hot).predict(
        X
    ).shape == (60, 3)


def test_subclass_with_a_model_of_its_own() -> None:
    class Mine(KerasClassifier):
        def __init__(self, width: int = 4, **kwargs: Any):
            super().__init__(**kwargs)
            self.width = width

        def _keras_build_fn(self, meta: dict[str, Any]) -> Model:
            return of_scikeras(self.width, meta)

    mine = Mine(width=5, loss="sparse_categorical_crossentropy", verbose=0)
    assert clone(mine).get_params() == mine.get_params() and mine.get_params()["width"] == 5
    assert mine.set_params(width=6).fit(X, KINDS).model_.layers[0].units == 6


def test_routed_parameters(backend: str) -> None:
    stop = dict(
        callbacks=callbacks.EarlyStopping, callbacks__monitor="loss", callbacks__patience=0, callbacks__min_delta=9.0
    )
    made = KerasClassifier(
        of_scikeras, model__units=7, optimizer=optimizers.SGD, optimizer__momentum=0.5, loss=losses.CategoricalCrossentropy,
        loss__label_smoothing=0.1, metrics=["accuracy"], fit__batch_size=30, predict__batch_size=20, epochs=9, verbose=0, **stop,
    )  # fmt: skip
    made.fit(X, NAMES)
    assert made.model_.backend == backend and made.model_.layers[0].units == 7
    assert float(np.asarray(made.model_.optimizer.momentum)) == 0.5 and made.model_.loss.label_smoothing == 0.1
    assert set(made.history_) == {"accuracy", "loss"} and len(made.history_["loss"]) == 2
    made.set_params(model__units=3, optimizer__momentum=0.9, callbacks=None)
    with pytest.raises(ValueError, match="callbacks__min_delta needs a class as callbacks, got None"):
        made.fit(X, NAMES)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(unitz=3), "Invalid parameter 'unitz'.*'units'"),
        (dict(model=3), "must be a function that makes a Model"),
        (dict(), "give loss="),
        (dict(model=of_keras_2, metrics=["mse"]), r"\['metrics'\] would change nothing"),
        (dict(optimizer=optimizers.SGD(), optimizer__momentum=0.1, loss="mse"), "optimizer__momentum needs a class"),
    ],
)
def test_errors(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        KerasClassifier(
            **{"model": of_scikeras, "verbose": 0, "units" if "model" not in wrong else "epochs": 1, **wrong}
        ).fit(X, NAMES)


def test_searches_and_pipelines() -> None:
    pipe = make_pipeline(StandardScaler(), KerasClassifier(of_scikeras, **{**SPARSE, "epochs": 4}))
    grid = GridSearchCV(pipe, {"kerasclassifier__units": [2, 8]}, cv=2).fit(X, NAMES)
    assert (
        grid.best_params_["kerasclassifier__units"] in (2, 8)
        and not np.isnan(grid.cv_results_["mean_test_score"]).any()
    )
    search = RandomizedSearchCV(
        Old(build_fn=of_keras_2, verbose=0), {"optimizer": ["sgd", "adam"], "epochs": [1, 2]}, n_iter=1, cv=2, random_state=0
    )  # fmt: skip
    best = search.fit(X, KINDS).best_estimator_
    assert len(best.history_["loss"]) == best.epochs


def test_two_processes() -> None:
    regressor = KerasRegressor(of_scikeras, units=4, loss="mse", verbose=0)
    how = dict(cv=2, n_jobs=2, error_score="raise")
    scores = cross_val_score(regressor, X, X @ np.ones(4), scoring="neg_mean_squared_error", **how)
    assert scores.shape == (2,) and np.isfinite(scores).all()


def test_sample_and_class_weights() -> None:
    made = KerasClassifier(of_scikeras, **SPARSE)
    only = np.where(NAMES == "right", 1.0, 0.0)
    assert set(made.fit(X, NAMES, sample_weight=only).predict(X)) == {"right"}
    assert set(made.set_params(class_weight={"left": 0, "middle": 1, "right": 0}).fit(X, NAMES).predict(X)) == {
        "middle"
    }
    assert made.set_params(class_weight="balanced").fit(X, NAMES).score(X, NAMES) > 0.7
    with pytest.raises(TypeError, match="class_weight is for classifiers"):
        KerasRegressor(of_scikeras, units=1, loss="mse", class_weight="balanced", verbose=0).fit(X, X[:, 0])


def test_binary_and_many_labels() -> None:
    y = np.where(X[:, 1] > 0, "yes", "no")
    binary = KerasClassifier(of_scikeras, loss="binary_crossentropy", **CLASSIFIER).fit(X, y)
    assert binary.score(X, y) > 0.8 and binary.predict_proba(X).shape == (60, 2)

    def several(meta: dict[str, Any]) -> Model:
        return Sequential([Input((4,)), layers.Dense(2, activation="sigmoid")])

    labels = (X[:, :2] > 0).astype(int)
    many = KerasClassifier(
        several, loss="binary_crossentropy", optimizer="adam", optimizer__learning_rate=0.1, epochs=20, verbose=0
    )
    assert many.fit(X, labels).predict(X).shape == (60, 2) and many.score(X, labels) > 0.7
    assert many.target_type_ == "multilabel-indicator"


def test_several_outputs() -> None:
    def two_heads(meta: dict[str, Any]) -> Model:
        x = Input((4,))
        h = layers.Dense(16, activation="relu")(x)
        if "classes_" not in meta:
            return Model(x, [layers.Dense(1)(h), layers.Dense(1)(h)])
        return Model(x, [layers.Dense(n, activation="softmax")(h) for n in meta["n_classes_"]])

    fit = dict(optimizer="adam", optimizer__learning_rate=0.03, epochs=20, verbose=0, random_state=0)
    y = np.stack([KINDS, (X[:, 1] > 0) * 5], axis=1)
    classes = KerasClassifier(two_heads, loss=["sparse_categorical_crossentropy"] * 2, **fit).fit(X, y)
    assert classes.predict(X).shape == (60, 2) and set(classes.predict(X)[:, 1]) == {0, 5} and classes.score(X, y) > 0.5
    numbers = KerasRegressor(two_heads, loss=["mse", "mse"], **fit).fit(X, X[:, :2])
    assert numbers.predict(X).shape == (60, 2) and numbers.score(X, X[:, :2]) > 0.5


def test_several_inputs() -> None:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    model = Model({"a": a, "b": b}, layers.Dense(1)(layers.Concatenate()([a, b])))
    model.compile("sgd", "mse")
    made = KerasRegressor(model, verbose=0).fit({"a": X[:, :2], "b": X[:, 2:]}, X[:, 0])
    assert made.model_ is not model and made.predict({"a": X[:, :2], "b": X[:, 2:]}).shape == (60,)


def test_same_random_state_same_model() -> None:
    state = np.random.get_state()[1][:3].tolist()
    first, second = (KerasClassifier(of_scikeras, **{**SPARSE, "epochs": 2}).fit(X, NAMES) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert np.random.get_state()[1][:3].tolist() == state


def test_going_on() -> None:
    made = KerasClassifier(of_scikeras, **{**SPARSE, "epochs": 2}).partial_fit(X[:20], KINDS[:20], classes=[0, 1, 2])
    model = made.model_
    assert made.partial_fit(X, KINDS).model_ is model and len(made.history_["loss"]) == 2
    with pytest.raises(ValueError, match=r"labels \[7\] were not there"):
        made.partial_fit(X, KINDS * 0 + 7)
    made.set_params(warm_start=True).fit(X, KINDS)
    assert made.model_ is model and len(made.history_["loss"]) == 2
    assert made.set_params(warm_start=False).fit(X, KINDS).model_ is not model


def test_estimators_of_keras_3(backend: str) -> None:
    arguments = dict(model_kwargs={"loss": "categorical_crossentropy"}, fit_kwargs={"epochs": 30, "verbose": 0})
    made = SKLearnClassifier(compiled, **arguments)
    assert made.fit(X, NAMES, batch_size=8) is made and made.model_.backend == backend
    assert made.score(X, NAMES) > 0.7 and made.decision_function(X).shape == (60, 3)
    assert list(made.classes_) == ["left", "middle", "right"] and len(made.history_.history["loss"]) == 30
    mse = dict(model_kwargs={"loss": "mse"}, fit_kwargs={"verbose": 0})
    assert SKLearnRegressor(compiled, **mse).fit(X, X[:, 0]).predict(X).shape == (60,)
    assert SKLearnRegressor(compiled, **mse).fit(X, X[:, :2]).predict(X).shape == (60, 2)
    assert SKLearnTransformer(compiled, **mse).fit_transform(X, X[:, :3]).shape == (60, 3)


def test_a_model_itself() -> None:
    model = of_keras_2(loss="categorical_crossentropy")
    copied = SKLearnClassifier(model, fit_kwargs={"verbose": 0}).fit(X, NAMES)
    assert copied.model_ is not model
    assert SKLearnClassifier(model, warm_start=True, fit_kwargs={"verbose": 0}).fit(X, NAMES).model_ is model
    with pytest.raises(RuntimeError, match="must be compiled"):
        SKLearnRegressor(Sequential([Input((4,)), layers.Dense(1)])).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="a Model or a function"):
        SKLearnRegressor(3).fit(X, X[:, 0])


@pytest.mark.parametrize(
    "made",
    [
        KerasClassifier(of_keras_2, verbose=0),
        SKLearnClassifier(compiled, model_kwargs={"loss": "categorical_crossentropy"}, fit_kwargs={"verbose": 0}),
    ],
    ids=["classifier", "Keras 3's"],
)
def test_pickle(made: Any) -> None:
    assert clone(made).get_params() == made.get_params()
    made.fit(X, NAMES)
    back = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(back.predict(X), made.predict(X))


LOSS = {KerasRegressor: "mse", SKLearnRegressor: "mse", SKLearnTransformer: "mse"}


@pytest.mark.long
@pytest.mark.parametrize(
    "cls", [KerasClassifier, KerasRegressor, SKLearnClassifier, SKLearnRegressor, SKLearnTransformer]
)
def test_check_estimator(cls: Any) -> None:
    if cls in (KerasClassifier, KerasRegressor):
        loss = LOSS.get(cls, "sparse_categorical_crossentropy")
        made = cls(checked, loss=loss, optimizer=optimizers.Adam(0.05), epochs=40, verbose=0, random_state=0)
    else:
        made = cls(
            compiled,
            model_kwargs={"loss": LOSS.get(cls, "categorical_crossentropy"), "units": 32},
            fit_kwargs={"epochs": 60, "verbose": 0},
        )
    check_estimator(made, expected_failed_checks=DIFFERS.get(cls, {}))


def checked(meta: dict[str, Any], compile_kwargs: dict[str, Any]) -> Model:
    n = meta.get("n_classes_", 0)
    labels = meta["target_type_"] == "multilabel-indicator"
    head = layers.Dense(n, "sigmoid" if labels else "softmax") if n else layers.Dense(meta["n_outputs_"])
    model = Sequential([Input(meta["X_shape_"][1:]), layers.Dense(16, activation="relu"), head])
    model.compile(**{**compile_kwargs, **({"loss": "binary_crossentropy"} if labels else {})})
    return model


FLOATS = {"check_regressor_multioutput": "predictions are float32, as the model computes them"}
BATCHES = {"check_sample_weight_equivalence_on_dense_data": "batches are of samples, whatever these weigh"}
DIFFERS: dict[Any, dict[str, str]] = {
    KerasClassifier: BATCHES,
    KerasRegressor: FLOATS | BATCHES,
    SKLearnRegressor: FLOATS,
}
