"""Callbacks under the name Keras gave them."""

from nyala.training.callbacks import *  # noqa: F403
from nyala.training.callbacks import __all__ as __all__
