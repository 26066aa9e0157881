"""Seeds: where random numbers inside models come from, as state that compiled steps carry along."""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any

import numpy as np

from nyala import backends
from nyala._typing import Tensor
from nyala.backends.base import BackendBase
from nyala.base import check, draws, naming
from nyala.base.configurable import Configurable
from nyala.base.variable import Variable

__all__ = ["SeedGenerator", "draw_seed", "random_state", "set_random_seed", "set_random_state"]


class SeedGenerator(Configurable):
    """A stream of seeds: a counter that every draw advances, kept in a Variable.

    Args: seed: an int in [0, 2**32); default a random one.
    """

    role = "seed"
    keras_module = "keras.random"

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any):
        check.no_extra("SeedGenerator", kwargs, ("seed", "name"))
        self.name = naming.auto("seed_generator", name)
        self.seed = seed
        self._first = _check_seed(self, random.randint(1, 10**9) if seed is None else seed)
        self._drawn = itertools.count(1)
        with naming.scope(self.name):
            self.state = Variable(
                np.array([self._first, 0]), dtype="uint32", trainable=False, name="seed_generator_state"
            )

    def next(self, ordered: bool = True) -> Tensor:
        """The next seed, a uint32 tensor of shape (2,).

        ``ordered``: whether draws must follow program order; they do in either case.
        """
        return self.state.backend.next_seed(self.state)

    def next_key(self) -> tuple[int, int]:
        """The next seed of the stream on the host, which first values of weights are drawn from."""
        return self._first, 2**63 + next(self._drawn)

    def restart(self, seed: int) -> None:
        """Begin again with another seed, in the same Variable."""
        self._first, self._drawn = seed, itertools.count(1)
        self.state.assign(np.array([seed, 0], "uint32"))


def _check_seed(owner: Any, seed: Any) -> int:
    if not check.is_int(seed) or not 0 <= seed < 2**32:
        check.fail(owner, f"seed must be an int in [0, 2**32), got {seed!r}")
    return int(seed)


_globals: dict[str, SeedGenerator] = {}
_global_seed: int | None = None
_lock = threading.Lock()


def global_generator(backend: BackendBase | None = None) -> SeedGenerator:
    """The generator that ``seed=None`` stands for, one a backend."""
    backend = backend or backends.current()
    found = _globals.get(backend.name)
    if found is None:
        with _lock, naming.at(()), backends.backend_scope(backend):
            found = _globals.get(backend.name)
            if found is None:
                found = SeedGenerator(_global_seed, name="global_seed_generator")
                _globals[backend.name] = found
    return found


def draw_seed(seed: Any) -> Tensor:
    """The seed tensor for one draw: of an int always the same, of a ``SeedGenerator`` (``None``: global) the next."""
    if seed is None:
        return global_generator().next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    return backends.current().convert(np.array([_check_seed("seed", seed), 0], "uint32"))


def set_random_seed(seed: int) -> None:
    """Seed all that is random: Python's ``random``, NumPy, Nyala on every backend, and the loaded backends' libraries.

    Raises: ValueError unless ``seed`` is an int in [0, 2**32).
    """
    global _global_seed
    _global_seed = _check_seed("set_random_seed", seed)
    random.seed(seed)
    np.random.seed(seed)
    draws.set_seed(seed)
    # The same Variables go on: compiled steps hold them.
    for generator in _globals.values():
        generator.restart(seed)
    for backend in backends.loaded():
        backend.set_seed(seed)


def is_seeded() -> bool:
    """Whether ``set_random_seed`` was called."""
    return _global_seed is not None


def random_state() -> dict[str, Any]:
    """Where the generators stand that belong to no model: Python's, NumPy's and those of the libraries that are loaded."""
    version, words, gauss = random.getstate()
    return {
        "python": [version, np.array(words, "uint32"), gauss],
        "numpy": np.random.get_state(legacy=False),
        "libraries": {b.name: state for b in backends.in_process() if (state := b.random_state()) is not None},
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Go back to what ``random_state`` gave."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(int(n) for n in words), gauss))
    np.random.set_state(state["numpy"])
    for name, value in state["libraries"].items():
        backends.get(name).set_random_state(value)
