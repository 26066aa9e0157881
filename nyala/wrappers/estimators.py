"""The estimators of Keras 3: ``SKLearnClassifier``, ``SKLearnRegressor``, ``SKLearnTransformer``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from nyala.base import check
from nyala.models import Model


class _Estimator(BaseEstimator):
    """A model as an estimator of scikit-learn.

    Args:
        model: a compiled ``Model``, which is copied before it is fitted, or a function ``(X, y, **model_kwargs) -> Model``.
        warm_start: go on with the weights of the last ``fit``, and fit a ``Model`` itself rather than a copy.
        model_kwargs: further arguments of the function. fit_kwargs: arguments of ``Model.fit``.

    After ``fit``: ``model_`` is the model and ``history_`` its ``History``.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ):
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.target_tags.multi_output = not isinstance(self, ClassifierMixin)
        return tags

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:
        """Fit the model; ``kwargs`` are arguments of ``Model.fit`` and go before ``fit_kwargs``."""
        X, y = validate_data(self, X, y, multi_output=True, **self._check_y)
        targets = self._encode(y)
        arguments = {**(self.fit_kwargs or {}), **kwargs}
        if arguments.get("sample_weight") is not None:
            arguments["sample_weight"] = _check_sample_weight(arguments["sample_weight"], X)
        model = getattr(self, "model_", None) if self.warm_start else None
        if model is None:
            model = self._make(X, targets)
        self.history_ = model.fit(X, targets, **arguments)
        self.model_ = model
        return self

    _check_y: dict[str, Any] = {"y_numeric": True}

    def _make(self, X: np.ndarray, y: np.ndarray) -> Model:
        if isinstance(self.model, Model):
            if self.model_kwargs:
                check.fail(self, "model_kwargs are for a function that makes a model; model is a Model already")
            model = self.model if self.warm_start else copy.deepcopy(self.model)
        elif callable(self.model):
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        else:
            check.fail(self, f"model must be a Model or a function that makes one, got {self.model!r}", TypeError)
        if not getattr(model, "compiled", False):
            check.fail(
                self, "the model must be compiled: call model.compile(loss=..., optimizer=...) on it", RuntimeError
            )
        return model

    def _encode(self, y: np.ndarray) -> np.ndarray:
        self._flat = y.ndim == 1
        return y.reshape(len(y), -1)

    def _decode(self, y: np.ndarray) -> np.ndarray:
        return y.reshape(len(y)) if self._flat and y.ndim == 2 and y.shape[1] == 1 else y

    def _raw(self, X: Any) -> Any:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False)
        return self.model_.predict(X, verbose=(self.fit_kwargs or {}).get("verbose", "auto"))

    def predict(self, X: Any) -> np.ndarray:
        """The predictions, in the form of the ``y`` of ``fit``."""
        return self._decode(self._raw(X))


class SKLearnClassifier(ClassifierMixin, _Estimator):
    __doc__ = (_Estimator.__doc__ or "").replace("as an estimator", "as a classifier", 1) + (
        "\n    ``classes_`` are the labels. The model is fitted to ``y`` one-hot, of shape (samples, classes).\n    "
    )
    _check_y = {}

    def _encode(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        if self.warm_start and hasattr(self, "model_"):
            unknown = np.setdiff1d(y, self.classes_)
            if len(unknown):
                check.fail(self, f"warm_start: the labels {unknown.tolist()} were not there in the first fit")
        else:
            self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            check.fail(self, f"the classifier needs at least 2 classes, y has one class: {self.classes_.tolist()}")
        return np.eye(len(self.classes_))[np.searchsorted(self.classes_, y)]

    def _decode(self, y: np.ndarray) -> np.ndarray:
        return self.classes_[np.argmax(y, axis=1)]

    def decision_function(self, X: Any) -> np.ndarray:
        """The model's outputs, of shape (samples, classes); for two classes that of the second one, (samples,)."""
        raw = self._raw(X)
        return raw[:, 1] - raw[:, 0] if raw.shape[1] == 2 else raw


class SKLearnRegressor(RegressorMixin, _Estimator):
    __doc__ = (_Estimator.__doc__ or "").replace("as an estimator", "as a regressor", 1)


class SKLearnTransformer(TransformerMixin, _Estimator):
    __doc__ = (_Estimator.__doc__ or "").replace("as an estimator", "as a transformer", 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: Any) -> np.ndarray:
        """The model's outputs."""
        return self._raw(X)


__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]
