"""Models as estimators of scikit-learn, which comes with ``pip install "nyala[sklearn]"``."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('nyala.wrappers needs scikit-learn: pip install "nyala[sklearn]"') from error

from nyala.wrappers.estimators import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from nyala.wrappers.scikit_learn import KerasClassifier, KerasRegressor

__all__ = ["KerasClassifier", "KerasRegressor", "SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]
