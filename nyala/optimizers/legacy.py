"""``keras.optimizers.legacy``: the optimizers of Keras 2, which are those of today under another path."""

from nyala.optimizers.adagrad import Adadelta, Adagrad, Ftrl, RMSprop
from nyala.optimizers.adam import Adam, Adamax, Nadam
from nyala.optimizers.base import Optimizer
from nyala.optimizers.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop"]
