"""Layers of tables: Normalization, Discretization, CategoryEncoding, Hashing, HashedCrossing."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, Tensor
from nyala.backends import host
from nyala.base import check, config, old
from nyala.graph import infer
from nyala.layers.preprocessing import hashes
from nyala.layers.preprocessing.base import (
    MODES,
    DataLayer,
    HostLayer,
    as_tuple,
    batches,
    encoded,
    sparse_output,
    texts,
)


class Normalization(DataLayer):
    """y = (x - mean) / sqrt(variance), or the inverse of it; along ``axis`` each place has its own mean and variance.

    Args:
        axis: an int, ints, or ``None`` for one mean of all. mean, variance: given in place of ``adapt``; both or none.
        invert: y = x * sqrt(variance) + mean.
    """

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = as_tuple(axis)
        if (mean is None) != (variance is None):
            check.fail(self, f"mean and variance are given both or neither, got mean={mean!r}, variance={variance!r}")
        self.mean: Any = None
        self.variance: Any = None
        self._given = None if mean is None else (np.asarray(mean, "float32"), np.asarray(variance, "float32"))
        self.invert = invert
        self.supports_masking = True

    config_order = (*DataLayer.config_order, "axis", "invert", "mean", "variance")

    def config_value(self, name: str) -> Any:
        if name in ("mean", "variance"):
            return None if self._given is None else self._given[name == "variance"].tolist()
        return super().config_value(name)

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(not -rank <= a < rank for a in self.axis):
            check.fail(self, f"axis {self.axis} is out of range for inputs of shape {input_shape}")
        self._kept = tuple(sorted(a % rank for a in self.axis))
        shape = tuple(input_shape[a] for a in self._kept)
        if None in shape:
            check.fail(self, f"the sizes of inputs along axis {self.axis} must be known, got shape {input_shape}")
        if self._given is None:
            make = lambda name, start: self.add_weight(shape, start, trainable=False, name=name)  # noqa: E731
            self.mean, self.variance = make("mean", "zeros"), make("variance", "ones")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
        self._build_shape = tuple(input_shape)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Compute mean and variance of an array, or of a data set (its first ``steps`` batches)."""
        if self._given is not None:
            check.fail(self, "mean and variance were given, so there is nothing to adapt; leave them out")
        count, mean, spread = 0, np.zeros(()), np.zeros(())
        for x in batches(data, steps):
            if not self.built:
                self.build((None, *x.shape[1:]) if 0 not in self.axis else x.shape)
            over = tuple(i for i in range(x.ndim) if i not in self._kept)
            n = int(np.prod([x.shape[i] for i in over]))
            if not n:
                continue
            m, v = x.mean(over, dtype="float64"), x.var(over, dtype="float64")
            # The moments of two sets together (Chan et al., 1979).
            delta, total = m - mean, count + n
            spread = spread + v * n + delta**2 * (count * n / total)
            mean, count = mean + delta * (n / total), total
        if not count:
            check.fail(self, "adapt got no data")
        self.mean.assign(mean)
        self.variance.assign(spread / count)
        self.count.assign(count)

    def finalize_state(self) -> None:
        """Nothing is left to be done: the variables are what the layer computes with."""

    def call(self, inputs: Any) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        shape = [x.shape[i] if i in self._kept else 1 for i in range(len(x.shape))]
        mean, variance = (self._value(i, shape) for i in (0, 1))
        scale = ops.maximum(ops.sqrt(variance), config.epsilon())
        if self.invert:
            return ops.add(ops.multiply(x, scale), mean)
        return ops.divide(ops.subtract(x, mean), scale)

    def _value(self, i: int, shape: list[int]) -> Tensor:
        if self._given is not None:
            value: Any = self._given[i]
            shape = shape if value.ndim == len(self._kept) else [1] * (len(shape) - value.ndim) + list(value.shape)
        else:
            variable = (self.mean, self.variance)[i]
            value = variable.value if variable.backend is self._own_backend else variable.numpy()
        return ops.cast(ops.reshape(ops.convert_to_tensor(value), shape), self.compute_dtype)

    def get_build_config(self) -> Any:
        return {"input_shape": self._build_shape} if self.built else None


class Discretization(DataLayer):
    """The number of the bin of each value: how many boundaries are at or below it.

    Args:
        bin_boundaries: ascending numbers, or ``num_bins`` for quantiles that ``adapt`` finds. epsilon: how far from the exact
            quantiles these may be, as a part of the data; it matters for data sets of many batches.
        output_mode: "int", "one_hot", "multi_hot" or "count". sparse: see ``DataLayer``.
    """

    def __init__(
        self,
        bin_boundaries: Any = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ):
        check.one_of(type(self), "output_mode", output_mode, MODES)
        if dtype is None and output_mode == "int":
            dtype = "float32"
        super().__init__(name=name, dtype=dtype)
        if (bin_boundaries is None) == (num_bins is None):
            check.fail(self, "give either bin_boundaries or num_bins (and then adapt)")
        self.num_bins = None if num_bins is None else check.positive_int(self, "num_bins", num_bins)
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in np.ravel(bin_boundaries)]
        if self.bin_boundaries != sorted(self.bin_boundaries or []) and self.bin_boundaries is not None:
            check.fail(self, f"bin_boundaries must ascend, got {self.bin_boundaries}")
        self.epsilon = check.number_in(self, "epsilon", epsilon, 0, 1)
        self.output_mode = output_mode
        self.sparse = sparse_output(self, sparse, output_mode)
        self.reset_state()

    def get_config(self) -> Config:
        names = ("bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse", "name", "dtype")
        return {n: getattr(self, n) for n in names}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The layer; after ``adapt`` the config holds both the number of bins and the boundaries."""
        config = dict(config)
        found = config.pop("bin_boundaries", None) if config.get("num_bins") is not None else None
        made = cls(**config)
        made.bin_boundaries = made.bin_boundaries if found is None else [float(b) for b in found]
        return made

    @property
    def output_dtype(self) -> str:
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def reset_state(self) -> None:
        """Forget the data of ``update_state``."""
        self._values, self._weights = np.zeros(0), np.zeros(0)

    def update_state(self, data: Any) -> None:
        """Take a batch into account; ``finalize_state`` then sets the boundaries."""
        values = np.ravel(np.asarray(data, "float64"))
        values, weights = np.append(self._values, values), np.append(self._weights, np.ones(len(values)))
        order = np.argsort(values, kind="stable")
        self._values, self._weights = values[order], weights[order]
        if self.epsilon and len(values) > max(2**20, 4 / self.epsilon):
            n = max(2**16, int(np.ceil(1 / self.epsilon)))
            self._values, self._weights = self._quantiles(np.arange(1, n + 1) / n), np.full(n, weights.sum() / n)

    def _quantiles(self, parts: np.ndarray) -> np.ndarray:
        below = np.cumsum(self._weights)
        return np.interp(parts, below / below[-1], self._values)

    def finalize_state(self) -> None:
        if self.num_bins is not None and len(self._values):
            found = self._quantiles(np.arange(1, self.num_bins) / self.num_bins)
            self.bin_boundaries = found.astype("float32").tolist()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Set the boundaries to quantiles of an array, or of a data set (its first ``steps`` batches)."""
        if self.num_bins is None:
            check.fail(self, "bin_boundaries were given, so there is nothing to adapt; give num_bins in their place")
        self.reset_state()
        for batch in batches(data, steps):
            self.update_state(batch)
        if not len(self._values):
            check.fail(self, "adapt got no data")
        self.finalize_state()

    def call(self, inputs: Any) -> Tensor:
        if self.bin_boundaries is None:
            check.fail(self, "has no bin_boundaries yet: call adapt(data) first")
        x = ops.cast(inputs, "float32") if "int" in ops.dtype(inputs) or ops.dtype(inputs) == "bool" else inputs
        edges = ops.convert_to_tensor(np.asarray(self.bin_boundaries, "float32"), ops.dtype(x))
        ids = ops.cast(ops.digitize(x, edges), "int32")
        return encoded(ids, self.output_mode, len(self.bin_boundaries) + 1, self.compute_dtype)


class CategoryEncoding(DataLayer):
    """Ints in [0, num_tokens) one-hot, multi-hot (which there are in a row) or counted.

    Args: num_tokens: the number of categories. output_mode: "one_hot", "multi_hot" or "count". sparse: see ``DataLayer``.
    """

    config_skip = DataLayer.config_skip | {"sparse"}

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ):
        super().__init__(**kwargs)
        output_mode = old.value("output_mode", output_mode)
        self.output_mode = check.one_of(self, "output_mode", output_mode, MODES[1:])
        if num_tokens is None:
            check.fail(self, "num_tokens must be given: the number of categories")
        self.num_tokens = check.positive_int(self, "num_tokens", num_tokens)
        self.sparse = sparse_output(self, sparse, output_mode)

    def call(self, inputs: Any, count_weights: Any = None) -> Tensor:
        """count_weights: with "count", what each input adds, of the inputs' shape."""
        if count_weights is not None and self.output_mode != "count":
            check.fail(self, f"count_weights are for output_mode='count', not {self.output_mode!r}")
        ids = ops.cast(inputs, "int32")
        return encoded(ids, self.output_mode, self.num_tokens, self.compute_dtype, count_weights)


def _hashed_dtype(output_mode: str, dtype: Any) -> Any:
    return "int64" if dtype is None and output_mode == "int" else dtype


class Hashing(HostLayer):
    """The bucket in [0, num_bins) of each string or int, by FarmHash's Fingerprint64, or SipHash where there is a ``salt``.

    Args:
        num_bins: number of buckets, with that of the mask. mask_value: the input that gives 0; others then give 1 or more.
        salt: an int or two. output_mode: "int", "one_hot", "multi_hot" or "count". sparse: see ``DataLayer``.
    """

    config_order = (*DataLayer.config_order, "num_bins", "salt", "mask_value", "output_mode", "sparse")

    def __init__(
        self,
        num_bins: int,
        mask_value: int | str | None = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ):
        kwargs["dtype"] = _hashed_dtype(output_mode, kwargs.get("dtype"))
        super().__init__(**kwargs)
        self.num_bins = check.positive_int(self, "num_bins", num_bins)
        self.output_mode = check.one_of(self, "output_mode", output_mode, MODES)
        self.mask_value = mask_value
        self.salt = salt if salt is None or not check.is_int(salt) else [salt, salt]
        if self.salt is not None and (not isinstance(self.salt, (list, tuple)) or len(self.salt) != 2):
            check.fail(self, f"salt must be an int or two ints, got {salt!r}")
        self.sparse = sparse_output(self, sparse, output_mode)

    def look_up(self, x: np.ndarray) -> np.ndarray:
        words = texts(x)
        if self.mask_value is None or self.num_bins == 1:
            return hashes.buckets(words, self.num_bins, self.salt)
        found = hashes.buckets(words, self.num_bins - 1, self.salt) + 1
        return np.where(words == str(self.mask_value), 0, found)

    def look_up_in(self, words: Any, x: Tensor) -> Tensor:
        x = words.texts(x)
        if self.mask_value is None or self.num_bins == 1:
            return words.buckets(x, self.num_bins, self.salt)
        found = words.buckets(x, self.num_bins - 1, self.salt) + 1
        return words.where(words.equal(x, str(self.mask_value)), words.cast(0, "int64"), found)

    def call(self, inputs: Any) -> Tensor:
        dtype = self.compute_dtype
        ids = self.looked_up(inputs)
        if self.output_mode == "int":
            return ops.cast(ids, dtype)
        return encoded(ids, self.output_mode, self.num_bins, "float32" if "int" in dtype else dtype)


class HashedCrossing(HostLayer):
    """The bucket in [0, num_bins) of each combination of several inputs of shape (batch,) or (batch, 1), strings or ints.

    Args: num_bins: number of buckets. output_mode: "int" or "one_hot". sparse: see ``DataLayer``.
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, dtype=_hashed_dtype(output_mode, dtype), **kwargs)
        self.num_bins = check.positive_int(self, "num_bins", num_bins)
        self.output_mode = check.one_of(self, "output_mode", output_mode, MODES[:2])
        self.sparse = sparse_output(self, sparse, output_mode)

    def get_config(self) -> Config:
        return {n: getattr(self, n) for n in ("num_bins", "output_mode", "sparse", "name", "dtype")}

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            check.fail(self, f"takes a list of at least two inputs, got {type(inputs).__name__}")
        parts = [np.asarray(x) if isinstance(x, (list, tuple)) or np.isscalar(x) else x for x in inputs]
        return super().__call__(tuple(parts), *args, **kwargs)

    def call(self, inputs: Any) -> Tensor:
        shapes = {tuple(x.shape) for x in inputs}
        if len(shapes) > 1 or len(next(iter(shapes))) > 2:
            check.fail(self, f"inputs must have one shape, (), (batch,) or (batch, 1); got {sorted(shapes, key=str)}")
        if all(isinstance(x, np.ndarray) for x in inputs) and not infer.is_abstract():
            ids = ops.convert_to_tensor(self.cross(*inputs), "int64")
        else:
            # Fingerprints of a tensor of strings are made on the host; all of one dtype then travel together.
            parts = [ops.convert_to_tensor(x if not isinstance(x, np.ndarray) else _prints(x)) for x in inputs]
            parts = [ops.cast(_printed(x), "int64") for x in parts]
            stacked = ops.stack(parts)
            ids = self.crossed(stacked, tuple(parts[0].shape))
        dtype = self.compute_dtype
        if self.output_mode == "int":
            return ops.cast(ids, dtype)
        return encoded(ids, "one_hot", self.num_bins, "float32" if "int" in dtype else dtype)

    def cross(self, *parts: np.ndarray) -> np.ndarray:
        return hashes.crossed([p if p.dtype.kind in "iub" else texts(p) for p in parts], self.num_bins)

    def crossed(self, stacked: Any, shape: Any) -> Tensor:
        return host.call(backends.current(), lambda x: self.cross(*x), stacked, "int64", shape, self.look_up_in)

    def look_up_in(self, words: Any, x: Tensor) -> Tensor:
        return words.crossed(x, self.num_bins, hashes.FACTOR, hashes.KEY)


def _prints(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind in "iub" else hashes.fingerprint64(texts(x)).view("int64")


def _printed(x: Any) -> Tensor:
    if ops.dtype(x) != "string":
        return x
    return host.call(backends.current(), _prints, x, "int64", None, lambda words, x: words.fingerprints(x))
