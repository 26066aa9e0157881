"""``KerasClassifier`` and ``KerasRegressor``, as Keras 1 and 2 (``build_fn``) and as scikeras (``model``) name their arguments."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from nyala import optimizers
from nyala.base import check, seeds
from nyala.models import Model

_ROUTES = ("model", "fit", "predict", "compile", "optimizer", "loss", "metrics", "callbacks")
_COMPILED = ("optimizer", "loss", "metrics", "loss_weights", "run_eagerly")
_OLD = {"nb_epoch": "epochs"}


def _accepted(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


_FIT = set(_accepted(Model.fit)) - {"self", "x", "y"} | set(_OLD)
_PREDICT = set(_accepted(Model.predict)) - {"self", "x"}
_COMPILE = set(_accepted(Model.compile)) - {"self"}


class _Wrapper(BaseEstimator):
    """A model as an estimator of scikit-learn; it is made anew for each ``fit``.

    Args:
        model: a function that makes the model, or a ``Model``, of which each ``fit`` takes a copy.
        build_fn: the same, by its name in Keras 1 and 2.
        warm_start: go on with the model of the last ``fit``. random_state: seed of the weights and of shuffling.
        optimizer, loss, metrics: what a model that is not compiled is compiled with (default optimizer ``"rmsprop"``).
        batch_size to epochs: arguments of ``Model.fit`` and ``predict``; class_weight may also be ``"balanced"``.
        kwargs: further arguments of the function and of ``fit`` by name, or routed: ``model__units``, ``fit__epochs``,
            ``predict__batch_size``, ``compile__jit_compile``, ``optimizer__learning_rate``, and ``loss__``, ``metrics__``,
            ``callbacks__`` for the arguments of classes given as ``loss``, ``metrics``, ``callbacks``.

    The function is given those arguments that it names, and ``meta``, a dict of what is known of the data
    (``n_features_in_``, ``X_shape_``, ``y_shape_``, ``n_outputs_``, for classifiers ``classes_``, ``n_classes_``,
    ``target_type_``), and ``compile_kwargs``, if it names these. A subclass may define ``_keras_build_fn`` or ``__call__``
    in its place.

    After ``fit``: ``model_``, and ``history_``, a dict of lists by epoch.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model] | None = None,
        *,
        build_fn: Model | Callable[..., Model] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        batch_size: int | None = None,
        validation_batch_size: int | None = None,
        verbose: int | str = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        run_eagerly: bool = False,
        epochs: int = 1,
        class_weight: Mapping[Any, float] | str | None = None,
        **kwargs: Any,
    ):
        self.model = model
        self.build_fn = build_fn
        self.warm_start = warm_start
        self.random_state = random_state
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.batch_size = batch_size
        self.validation_batch_size = validation_batch_size
        self.verbose = verbose
        self.callbacks = callbacks
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.run_eagerly = run_eagerly
        self.epochs = epochs
        self.class_weight = class_weight
        self._set_others(kwargs)

    @property
    def model(self) -> Any:
        """As given; once fitted the model itself, as in Keras 1 and 2 (scikeras names it ``model_`` only)."""
        return vars(self).get("model_", vars(self).get("model"))

    @model.setter
    def model(self, value: Any) -> None:
        vars(self)["model"] = value

    # -- parameters --------------------------------------------------------------------------------------------------

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Also those of the bases to which a subclass hands its ``**kwargs``."""
        names: set[str] = set()
        for klass in cls.__mro__:
            if "__init__" in klass.__dict__:
                parameters = list(_accepted(klass.__init__).values())[1:]
                names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
                if klass is _Wrapper or not any(p.kind is p.VAR_KEYWORD for p in parameters):
                    break
        return sorted(names)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, routed ones and those of the function included."""
        own = {name: vars(self)[name] for name in self._get_param_names()}
        return own | {n: vars(self)[n] for n in sorted(vars(self)) if n not in own and n[0] != "_" and n[-1] != "_"}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor. Raises ValueError for one that nothing takes."""
        names = set(self._get_param_names())
        for name in names & params.keys():
            setattr(self, name, params[name])
        self._set_others({n: v for n, v in params.items() if n not in names})
        return self

    def _set_others(self, params: dict[str, Any]) -> None:
        builder = self._builder()
        if params and callable(builder):
            taken = _accepted(builder) if not isinstance(builder, Model) else {}
            known = _FIT | _PREDICT | _COMPILE | set(taken)
            anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
            for name in params:
                if not anything and name not in known and name.partition("__")[0] not in _ROUTES:
                    near = check.nearest(name, {*known, *self._get_param_names()} - {"self"})
                    check.fail(
                        type(self), f"Invalid parameter {name!r}: neither the model's function nor fit takes it.{near}"
                    )
        for name, value in params.items():
            setattr(self, name, value)

    def _routed(self, route: str) -> dict[str, Any]:
        start = f"{route}__"
        return {n[len(start) :]: v for n, v in self.get_params(deep=False).items() if n.startswith(start)}

    def _named(self, names: Any) -> dict[str, Any]:
        """The parameters of these names that were given."""
        return {n: v for n, v in self.get_params(deep=False).items() if n in names and v is not None}

    # -- the model ---------------------------------------------------------------------------------------------------

    def _builder(self) -> Any:
        found = vars(self).get("model")
        if found is None:
            found = vars(self).get("build_fn")
        if found is None:
            found = getattr(self, "_keras_build_fn", self if callable(self) else None)
        return found

    def _make(self, meta: dict[str, Any]) -> Model:
        builder = self._builder()
        if not isinstance(builder, Model) and not callable(builder):
            check.fail(
                self,
                f"model (or build_fn) must be a function that makes a Model, or a Model; got {builder!r}",
                TypeError,
            )
        arguments = self._compile_arguments()
        used: set[str] = set()
        if isinstance(builder, Model):
            model = copy.deepcopy(builder)
        else:
            taken = _accepted(builder)
            anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
            given = self._named(taken)
            if anything:
                others = self.get_params(deep=False).items()
                named = {*self._get_param_names(), *_FIT, *_PREDICT, *_COMPILE}
                given |= {n: v for n, v in others if n not in named and "__" not in n}
            given |= {n: v for n, v in (("meta", meta), ("compile_kwargs", arguments)) if n in taken}
            used = set(given)
            model = builder(**given, **self._routed("model"))
        if not isinstance(model, Model):
            check.fail(self, f"the function must return a Model, got {model!r}", TypeError)
        if not model.compiled:
            if arguments.get("loss") is None:
                check.fail(self, "the model is not compiled: give loss=..., or compile it in the function")
            model.compile(**arguments)
        elif "compile_kwargs" not in used and (lost := arguments.keys() - used - {"run_eagerly"}):
            check.fail(
                self,
                f"{sorted(lost)} would change nothing: the model is compiled, its function takes none of them",
            )
        return model

    def _compile_arguments(self) -> dict[str, Any]:
        found = self._named(_COMPILED)
        if not found.pop("run_eagerly", False):
            routed = self._routed("compile")
        else:
            routed = {"run_eagerly": True, **self._routed("compile")}
        for name in ("optimizer", "loss", "metrics"):
            parts = self._routed(name)
            if name == "optimizer" and parts:
                found[name] = _with_arguments(self, name, _optimizer_class(found.get(name, "rmsprop")), parts)
            elif name in found or parts:
                found[name] = _with_arguments(self, name, found.get(name), parts)
        # The parameters stay as they were given: what a fit builds belongs to its model.
        if isinstance(found.get("optimizer"), optimizers.Optimizer):
            found["optimizer"] = type(found["optimizer"]).from_config(found["optimizer"].get_config())
        if "metrics" in found:
            found["metrics"] = copy.deepcopy(found["metrics"])
        return found | routed

    def _fit_model(self, X: Any, y: Any, sample_weight: Any, kwargs: dict[str, Any], epochs: int | None = None) -> None:
        arguments = {_OLD.get(n, n): v for n, v in {**self._named(_FIT), **self._routed("fit"), **kwargs}.items()}
        arguments.pop("class_weight", None)
        weights = kwargs.get("class_weight", self.class_weight)
        if weights is not None:
            arguments["class_weight"] = self._class_weight(weights)
        if arguments.get("callbacks") is not None or self._routed("callbacks"):
            made = _with_arguments(self, "callbacks", arguments.get("callbacks"), self._routed("callbacks"))
            made = list(made.values()) if isinstance(made, dict) else made
            arguments["callbacks"] = copy.copy(made)
        if sample_weight is not None:
            arguments["sample_weight"] = sample_weight
        if epochs is not None:
            done = len(next(iter(self.history_.values()), ())) if hasattr(self, "history_") else 0
            arguments |= {"initial_epoch": done, "epochs": done + epochs}
        found = self.model_.fit(X, y, **arguments).history
        if epochs is not None and hasattr(self, "history_"):
            found = {n: self.history_.get(n, []) + v for n, v in found.items()}
        self.history_ = found

    def _class_weight(self, weights: Any) -> dict[int, float]:
        return check.fail(self, "class_weight is for classifiers", TypeError)

    # -- scikit-learn ------------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Fit a new model, or with ``warm_start`` the last one. kwargs: arguments of ``Model.fit``, before all others."""
        return self._fit(X, y, sample_weight, kwargs, anew=not (self.warm_start and hasattr(self, "model_")))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Train one epoch more; the first call makes the model."""
        return self._fit(X, y, sample_weight, kwargs, anew=not hasattr(self, "model_"), epochs=1)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, kwargs: dict[str, Any], *, anew: bool, epochs: int | None = None
    ) -> Self:
        if y is None:
            check.fail(self, "requires y to be passed, but the target y is None")
        X, y = self._checked(X, y, reset=anew)
        targets = self._encode(y, anew)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, y)
        with _seeded(self.random_state):
            if anew:
                for name in ("model_", "history_"):
                    self.__dict__.pop(name, None)
                model = self._make(self._meta(X, y))
                self.model_ = model
            self._fit_model(X, self._for_outputs(targets), sample_weight, kwargs, epochs)
        return self

    def _checked(self, X: Any, y: Any = None, reset: bool = False) -> Any:
        several = isinstance(X, dict) and not hasattr(X, "toarray")  # a sparse matrix may be a dict
        if isinstance(X, (list, tuple)) and len(X) > 1:
            # Arrays for several inputs, not a list of samples.
            lengths = {len(x) if np.ndim(x) > 1 else -1 for x in X}
            several = self._inputs() == len(X) if y is None else lengths == {len(y)} != {len(X)}
        if several:
            return X if y is None else (X, np.asarray(y))
        text = np.asarray(X).dtype.kind in "US" if not hasattr(X, "toarray") else False
        how: Any = {"allow_nd": True, "dtype": None if text else "numeric", "reset": reset}
        check_data: Any = validate_data  # its stub takes X for a str
        if y is None:
            return check_data(self, X, **how)
        return check_data(self, X, y, multi_output=True, y_numeric=isinstance(self, RegressorMixin), **how)

    def _meta(self, X: Any, y: np.ndarray) -> dict[str, Any]:
        shape = np.shape(X) if not isinstance(X, (dict, list, tuple)) else None
        meta = {"X_shape_": shape, "y_shape_": y.shape, "n_outputs_": 1 if y.ndim == 1 else y.shape[1]}
        for name in ("n_features_in_", "feature_names_in_", "classes_", "n_classes_", "target_type_"):
            if hasattr(self, name):
                meta[name] = getattr(self, name)
        meta["n_outputs_expected_"] = meta["n_outputs_"] if "multioutput" in meta.get("target_type_", "") else 1
        return meta

    def _inputs(self) -> int:
        return len(getattr(self.model_, "inputs", None) or [None])

    def _outputs(self) -> int:
        return len(getattr(self.model_, "outputs", None) or [None])

    def _for_outputs(self, y: np.ndarray) -> Any:
        n = self._outputs()
        return y if n == 1 else [y[:, i] for i in range(n)]

    def _encode(self, y: np.ndarray, anew: bool) -> np.ndarray:
        raise NotImplementedError

    def _raw(self, X: Any, kwargs: dict[str, Any]) -> Any:
        check_is_fitted(self, "model_")
        arguments = {**self._named(_PREDICT - {"callbacks"}), **self._routed("predict"), **kwargs}
        return self.model_.predict(self._checked(X), **arguments)

    @property
    def history(self) -> dict[str, list[Any]]:
        """``history_``: in Keras 2 ``fit`` returned the ``History``, here the estimator."""
        check_is_fitted(self, "history_")
        return self.history_


class KerasClassifier(ClassifierMixin, _Wrapper):
    __doc__ = (_Wrapper.__doc__ or "").replace("as an estimator", "as a classifier", 1) + (
        """    ``classes_`` are the labels: anything that can be sorted. Targets of shape (samples,) become class numbers,
    one-hot where the model has an output for each class and its loss is not a sparse one.
    """
    )

    def _encode(self, y: np.ndarray, anew: bool) -> np.ndarray:
        check_classification_targets(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if anew:
            kind = self.target_type_ = type_of_target(y)
            if kind == "multilabel-indicator" and (y.sum(1) == 1).all():
                kind = self.target_type_ = "multiclass-onehot"
            if kind in ("binary", "multiclass"):
                self.classes_: Any = np.unique(y)
                if len(self.classes_) < 2:
                    check.fail(self, f"needs at least 2 classes, y has one class: {self.classes_.tolist()}")
            elif kind == "multiclass-multioutput":
                self.classes_ = [np.unique(column) for column in y.T]
            else:
                self.classes_ = np.arange(y.shape[1])
            self.n_classes_: Any = (
                [len(c) for c in self.classes_] if isinstance(self.classes_, list) else len(self.classes_)
            )
        if self.target_type_ == "multiclass-multioutput":
            return np.stack([self._numbers(c, column) for c, column in zip(self.classes_, y.T)], axis=1)
        if y.ndim == 2:
            return y.astype("float32")
        return self._numbers(self.classes_, y)

    def _numbers(self, classes: Any, y: np.ndarray) -> np.ndarray:
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            check.fail(
                self, f"the labels {unknown.tolist()} were not there when the model was made: {classes.tolist()}"
            )
        return np.searchsorted(classes, y)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Train one epoch more; the first call makes the model and learns the labels, from ``classes`` if given."""
        if classes is not None and not hasattr(self, "model_"):
            X, checked = self._checked(X, y, reset=True)
            self.classes_ = np.unique(classes)
            self.n_classes_ = len(self.classes_)
            self.target_type_ = "binary" if self.n_classes_ == 2 else "multiclass"
            with _seeded(self.random_state):
                self.model_ = self._make(self._meta(X, checked))
        return super().partial_fit(X, y, sample_weight, **kwargs)

    def _for_outputs(self, y: np.ndarray) -> Any:
        if y.ndim == 1 and self._wants_one_hot():
            return np.eye(self.n_classes_, dtype="float32")[y]
        if self.target_type_ == "multiclass-onehot" and "sparse" in self._loss_name():
            return y.argmax(1)
        return super()._for_outputs(y)

    def _loss_name(self) -> str:
        loss = self.model_.loss
        name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", type(loss).__name__))
        return str(name).lower()

    def _wants_one_hot(self) -> bool:
        name = self._loss_name()
        shapes: list[Any] = [x.shape for x in getattr(self.model_, "outputs", None) or []]
        if "sparse" in name:
            return False
        return shapes[0][-1] == self.n_classes_ > 1 if len(shapes) == 1 else name.startswith("categorical")

    def _class_weight(self, weights: Any) -> dict[int, float]:
        if isinstance(weights, str):
            found = compute_class_weight(weights, classes=np.arange(self.n_classes_), y=self._y_seen)
            return dict(enumerate(found.tolist()))
        return {int(self._numbers(self.classes_, np.asarray([label]))[0]): w for label, w in weights.items()}

    def _fit_model(self, X: Any, y: Any, sample_weight: Any, kwargs: dict[str, Any], epochs: int | None = None) -> None:
        if isinstance(y, np.ndarray):
            self._y_seen = y.argmax(1) if y.ndim == 2 else y
        super()._fit_model(X, y, sample_weight, kwargs, epochs)
        self.__dict__.pop("_y_seen", None)

    def predict_proba(self, X: Any, **kwargs: Any) -> Any:
        """Probabilities of shape (samples, classes), for several outputs a list of them; kwargs: of ``Model.predict``."""
        raw = self._raw(X, kwargs)
        found = [_both(np.asarray(p)) for p in (raw if isinstance(raw, (list, tuple)) else [raw])]
        return found[0] if len(found) == 1 else found

    def predict(self, X: Any, **kwargs: Any) -> np.ndarray:
        """The most probable labels; kwargs: arguments of ``Model.predict``.

        For one-hot targets they are one-hot too, but numbers where the model came by ``build_fn``, as in Keras 2.
        """
        p = self.predict_proba(X, **kwargs)
        if self.target_type_ == "multiclass-multioutput":
            parts = p if isinstance(p, list) else [p]
            return np.stack([c[x.argmax(1)] for c, x in zip(self.classes_, parts)], axis=1)
        if self.target_type_ == "multilabel-indicator":
            if isinstance(p, list):
                p = np.stack([x[:, -1] for x in p], axis=1)
            return (p > 0.5).astype(int)
        numbers = p.argmax(1)
        if self.target_type_ == "multiclass-onehot" and self.build_fn is None:
            return np.eye(self.n_classes_, dtype=int)[numbers]
        return self.classes_[numbers]

    def score(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:
        """The accuracy; of several outputs the part of samples with all of them right. kwargs: of ``Model.predict``."""
        found, y = self.predict(X, **kwargs), np.asarray(y)
        if y.ndim == 2 and found.ndim == 1:
            y = y.argmax(1) if y.shape[1] > 1 else y[:, 0]
        if self.target_type_ == "multiclass-multioutput":
            return float(np.average((found == y).all(1), weights=sample_weight))
        return float(accuracy_score(y, found, sample_weight=sample_weight))

    predict_classes = predict


class KerasRegressor(RegressorMixin, _Wrapper):
    __doc__ = (_Wrapper.__doc__ or "").replace("as an estimator", "as a regressor", 1)

    def _encode(self, y: np.ndarray, anew: bool) -> np.ndarray:
        if anew:
            self.target_type_ = "continuous" if y.ndim == 1 else "continuous-multioutput"
        return y.astype("float32")

    def predict(self, X: Any, **kwargs: Any) -> np.ndarray:
        """The predictions, (samples,) or (samples, outputs); kwargs: arguments of ``Model.predict``."""
        raw = self._raw(X, kwargs)
        if isinstance(raw, (list, tuple)):
            return np.stack([np.squeeze(p, -1) if np.ndim(p) == 2 else p for p in raw], axis=1)
        return np.squeeze(raw, -1) if raw.ndim == 2 and raw.shape[1] == 1 else raw

    def score(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:
        """The coefficient of determination R². kwargs: arguments of ``Model.predict``."""
        return float(r2_score(y, self.predict(X, **kwargs), sample_weight=sample_weight))


def _both(p: np.ndarray) -> np.ndarray:
    """The probability of class 1 alone as those of classes 0 and 1."""
    p = p[:, None] if p.ndim == 1 else p
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p


def _optimizer_class(optimizer: Any) -> Any:
    return type(optimizers.get(optimizer)) if isinstance(optimizer, str) else optimizer


def _with_arguments(owner: Any, name: str, value: Any, arguments: dict[str, Any]) -> Any:
    """``value`` with the classes in it called. ``arguments``: of all of them, or by index or key as ``1__name`` in a nest."""
    if isinstance(value, (list, tuple, dict)):
        keys = [str(k) for k in (value if isinstance(value, dict) else range(len(value)))]
        shared = {n: v for n, v in arguments.items() if n.partition("__")[0] not in keys}
        parts = value.values() if isinstance(value, dict) else value
        made = [
            _with_arguments(
                owner, f"{name}__{k}", part, (shared if isinstance(part, type) else {}) | _below(arguments, k)
            )
            for k, part in zip(keys, parts)
        ]
        return dict(zip(value, made)) if isinstance(value, dict) else made
    if isinstance(value, type):
        return value(**arguments)
    if arguments:
        check.fail(owner, f"{name}__{next(iter(arguments))} needs a class as {name}, got {value!r}")
    return value


def _below(arguments: dict[str, Any], key: str) -> dict[str, Any]:
    return {n[len(key) + 2 :]: v for n, v in arguments.items() if n.startswith(f"{key}__")}


@contextmanager
def _seeded(random_state: Any) -> Iterator[None]:
    """What is drawn inside follows ``random_state``; Python's and NumPy's generators go on afterwards as if nothing had been."""
    if random_state is None:
        yield
        return
    before = random.getstate(), np.random.get_state()
    seeds.set_random_seed(int(check_random_state(random_state).randint(2**31 - 1)))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


__all__ = ["KerasClassifier", "KerasRegressor"]
