"""The JAX backend."""

from nyala.backends.jax.core import CONTROL, Core
from nyala.backends.jax.distribute import Layouts
from nyala.backends.jax.natives import NATIVES
from nyala.backends.jax.nn import NN
from nyala.backends.jax.random import RANDOM
from nyala.backends.jax.rnn import RNN
from nyala.backends.jax.step import Step


class Backend(Layouts, Step, Core):
    """Tensors are ``jax.Array``; a compiled step is one jitted pure function with donated state."""

    natives = {**NATIVES, **NN, **RANDOM, **RNN, **CONTROL}
