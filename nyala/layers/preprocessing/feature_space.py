"""FeatureSpace: the columns of a table, each prepared by its own layer, and crosses of them, as one vector or a dict."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from nyala import ops
from nyala._typing import Config, Tensor
from nyala.backends import host
from nyala.base import check, configurable, naming
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers.base import Layer
from nyala.layers.input import Input
from nyala.layers.merge import Concatenate
from nyala.layers.preprocessing.base import DataLayer
from nyala.layers.preprocessing.lookup import IntegerLookup, StringLookup
from nyala.layers.preprocessing.rescaling import Rescaling
from nyala.layers.preprocessing.tabular import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    Normalization,
)

_MODULE = "keras.src.layers.preprocessing.feature_space"
_OUTPUTS = ("int", "one_hot", "float")


class TFDIdentity(DataLayer):
    """The inputs as they are."""

    keras_module = _MODULE
    config_order = ("name", "dtype", "trainable")

    def call(self, x: Tensor) -> Tensor:
        return x


class TFDConcat(Concatenate, DataLayer):
    """Tensors joined along ``axis``, on the backend of the data."""

    keras_module = _MODULE


class Feature:
    """One column: the layer that prepares it, its dtype, and whether the result is one-hot encoded.

    Args: dtype: "float32", "int32" or "string". output_mode: "int", "one_hot" or "float".
    """

    def __init__(self, dtype: str, preprocessor: Layer | Config, output_mode: str):
        self.output_mode = check.one_of("Feature", "output_mode", output_mode, _OUTPUTS)
        self.dtype = dtype
        if isinstance(preprocessor, Mapping):
            preprocessor = configurable.deserialize(preprocessor, role="layer")
        if not callable(preprocessor):
            check.fail("Feature", f"preprocessor must be a layer, got {preprocessor!r}", TypeError)
        self.preprocessor: Any = preprocessor

    def get_config(self) -> Config:
        return {
            "dtype": self.dtype,
            "preprocessor": configurable.serialize(self.preprocessor),
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**config)


class Cross:
    """Several columns hashed together into ``crossing_dim`` buckets. ``output_mode``: "int" or "one_hot"."""

    def __init__(
        self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot", name: str | None = None
    ):
        self.output_mode = check.one_of("Cross", "output_mode", output_mode, _OUTPUTS[:2])
        if isinstance(feature_names, str) or len(feature_names) < 2:
            check.fail("Cross", f"feature_names must be at least two names, got {feature_names!r}")
        self.feature_names = tuple(feature_names)
        self.crossing_dim = check.positive_int("Cross", "crossing_dim", crossing_dim)
        self._name = name

    @property
    def name(self) -> str:
        return self._name or "_X_".join(self.feature_names)

    def get_config(self) -> Config:
        return {
            "feature_names": self.feature_names,
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**config)


def _entry(part: Feature | Cross) -> Config:
    kind = type(part).__name__
    return {"module": _MODULE, "class_name": kind, "config": part.get_config(), "registered_name": kind}


class FeatureSpace(DataLayer):
    """The columns of a table prepared for a model: each by a layer, crosses of them hashed, all as one vector.

    It takes dicts of columns or of single values, tables (pandas, polars, pyarrow), symbolic inputs, and works in ``tf.data``.

    Args:
        features: name -> what it is: "float", "float_normalized", "float_rescaled", "float_discretized",
            "integer_categorical", "string_categorical", "integer_hashed", "string_hashed", or what the methods of these
            names give, or ``FeatureSpace.feature(...)`` with a layer of your own.
        output_mode: "concat": one vector; "dict": each feature and cross by its name.
        crosses: tuples of names, or what ``FeatureSpace.cross`` gives.
        crossing_dim, hashing_dim, num_discretization_bins: sizes of crosses, hashed and discretized features that are
            given by name alone.
    """

    keras_module = "keras.utils"

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        if not features:
            check.fail(self, "features must be a dict of at least one feature, name -> what it is")
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.output_mode = check.one_of(self, "output_mode", output_mode, ("concat", "dict"))
        self.features = {n: self._feature(n, f) for n, f in features.items()}
        self.crosses = [self._cross(c) for c in crosses or ()]
        self.crosses_by_name = {c.name: c for c in self.crosses}
        self.inputs = {n: Input((1,), name=n, dtype=f.dtype) for n, f in self.features.items()}
        self.preprocessors = {n: f.preprocessor for n, f in self.features.items()}
        self.crossers = {c.name: HashedCrossing(c.crossing_dim, name=c.name) for c in self.crosses}
        self.one_hot_encoders: dict[str, Layer] = {}
        self.concat = TFDConcat(axis=-1) if output_mode == "concat" else None
        self.encoded_features: Any = None
        self._is_adapted = False

    # -- kinds of features -----------------------------------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Layer, output_mode: str) -> Feature:
        """A column for a layer of your own; it is adapted if it can be."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", TFDIdentity(name=_name("float", name)), "float")

    @classmethod
    def float_rescaled(
        cls, scale: builtins.float = 1.0, offset: builtins.float = 0.0, name: str | None = None
    ) -> Feature:
        """x * scale + offset."""
        return Feature("float32", Rescaling(scale, offset, name=_name("float_rescaled", name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """(x - mean) / standard deviation of the data to adapt to."""
        return Feature("float32", Normalization(axis=-1, name=_name("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int, bin_boundaries: Any = None, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """The number of the bin; ``bin_boundaries`` replace the quantiles of the data to adapt to."""
        bins = num_bins if bin_boundaries is None else None
        layer = Discretization(bin_boundaries, bins, name=_name("float_discretized", name))
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """The number of the int in a vocabulary; as ``IntegerLookup``."""
        layer = IntegerLookup(max_tokens, num_oov_indices, name=_name("integer_categorical", name))
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """The number of the string in a vocabulary; as ``StringLookup``."""
        layer = StringLookup(max_tokens, num_oov_indices, name=_name("string_categorical", name))
        return Feature("string", layer, output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """The bucket of the int."""
        return Feature("int32", Hashing(num_bins, name=_name("integer_hashed", name)), output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """The bucket of the string."""
        return Feature("string", Hashing(num_bins, name=_name("string_hashed", name)), output_mode)

    def _feature(self, name: str, feature: Any) -> Feature:
        if isinstance(feature, Feature):
            return feature
        if isinstance(feature, Mapping):
            return Feature.from_config(feature.get("config", feature))
        sizes = {
            "float_discretized": (self.num_discretization_bins,),
            "integer_hashed": (self.hashing_dim,),
            "string_hashed": (self.hashing_dim,),
        }
        check.one_of(self, f"features[{name!r}]", feature, _KINDS)
        return getattr(type(self), feature)(*sizes.get(feature, ()), name=name)

    def _cross(self, cross: Any) -> Cross:
        if isinstance(cross, Mapping):
            cross = Cross.from_config(cross.get("config", cross))
        elif not isinstance(cross, Cross):
            cross = Cross(cross, self.crossing_dim)
        unknown = [n for n in cross.feature_names if n not in self.features]
        if unknown:
            check.fail(self, f"crosses names {unknown[0]!r}, no feature.{check.nearest(unknown[0], self.features)}")
        return cross

    # -- adapting --------------------------------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Let each layer that can be adapted see its column.

        Args: dataset: a dict of columns, a table, or an iterable of such dicts, or of (dict, ...), one or a batch each, as a
            ``tf.data.Dataset``; an iterator is kept in memory.
        """
        if not _is_columns(dataset):
            if not hasattr(dataset, "__iter__") or hasattr(dataset, "__array__"):
                check.fail(
                    self, f"adapt takes a dict of columns, a table or a data set of dicts, got {type(dataset).__name__}"
                )
            dataset = list(dataset) if iter(dataset) is dataset else _in_batches(dataset)
        for name, layer in self.preprocessors.items():
            if _can_adapt(layer):
                layer.adapt(self._column(dataset, name))
        self._is_adapted = True

    def _column(self, dataset: Any, name: str) -> Iterator[np.ndarray]:
        for part in [dataset] if _is_columns(dataset) else dataset:
            part = part[0] if isinstance(part, (list, tuple)) else part
            if not _is_columns(part):
                check.fail(
                    self, f"the data set must yield dicts, or tuples that begin with one, got {type(part).__name__}"
                )
            if name not in _names(part):
                check.fail(self, f"the data have no column {name!r}")
            values = part[name]
            owner = host.owner([values])
            values = np.asarray(values if owner is None else owner.to_numpy(values))
            yield values.reshape(-1, 1) if values.ndim < 2 else values

    # -- the call --------------------------------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, Any]:
        """Name -> symbolic input, (None, 1), for a Functional model."""
        self._check_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """What the inputs of ``get_inputs`` become, symbolic."""
        self._check_adapted()
        if self.encoded_features is None:
            self.encoded_features = self(self.inputs)
        return self.encoded_features

    def _check_adapted(self) -> None:
        if not self._is_adapted:
            if any(map(_can_adapt, self.preprocessors.values())):
                check.fail(self, "has not seen data yet: call adapt(dataset) first")
            self._is_adapted = True

    def __call__(self, data: Any) -> Any:
        """The encoded features of a dict or table of columns, or of a dict of single values."""
        self._check_adapted()
        if not _is_columns(data):
            check.fail(self, f"takes a dict of columns or a table, got {type(data).__name__}", TypeError)
        missing = [n for n in self.features if n not in _names(data)]
        if missing:
            check.fail(self, f"the data have no column {missing[0]!r}")
        columns = {n: _tensor(data[n], f.dtype) for n, f in self.features.items()}
        single = all(len(x.shape) == 0 for x in columns.values())
        columns = {n: _with_rank_2(x) for n, x in columns.items()}
        found = self._merged(columns)
        self.built = True
        if not single:
            return found
        return {n: x[0] for n, x in found.items()} if isinstance(found, dict) else found[0]

    def _merged(self, columns: dict[str, Any]) -> Any:
        columns = {n: self.preprocessors[n](columns[n]) for n in self.features}
        known = {n: (columns[n], self.features[n].output_mode) for n in sorted(self.features)}
        for name in sorted(self.crosses_by_name):
            cross = self.crosses_by_name[name]
            known[name] = (self.crossers[name]([columns[n] for n in cross.feature_names]), cross.output_mode)
        encoded = {name: self._encoded(name, x, mode) for name, (x, mode) in known.items()}
        if self.concat is None:
            return encoded
        for name, x in encoded.items():
            if "float" not in ops.dtype(x):
                check.fail(
                    self, f"feature {name!r} has output_mode 'int' and cannot be concatenated; use output_mode='dict'"
                )
        return self.concat(list(encoded.values())) if len(encoded) > 1 else next(iter(encoded.values()))

    def _encoded(self, name: str, x: Any, mode: str) -> Any:
        if mode != "one_hot":
            return ops.cast(x, self.compute_dtype) if mode == "float" else x
        if name not in self.one_hot_encoders:
            self.one_hot_encoders[name] = CategoryEncoding(self._size(name), output_mode="multi_hot")
        return self.one_hot_encoders[name](x)

    def _size(self, name: str) -> int:
        """How many ints the layer gives."""
        layer = self.crossers[name] if name in self.crossers else self.preprocessors[name]
        if hasattr(layer, "vocabulary_size"):
            return layer.vocabulary_size()
        if getattr(layer, "bin_boundaries", None) is not None:
            return len(layer.bin_boundaries) + 1
        if getattr(layer, "num_bins", None) is None:
            check.fail(
                self, f"{name!r}: how many ints {type(layer).__name__} gives is not known; use output_mode='float'"
            )
        return layer.num_bins

    # -- configs and files -----------------------------------------------------------------------------------------------

    def get_config(self) -> Config:
        return {
            "features": {n: _entry(f) for n, f in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [_entry(c) for c in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**config)

    def get_build_config(self) -> Config:
        return {n: (getattr(x, "get_build_config", dict)() or {}) for n, x in self.preprocessors.items()}

    def build_from_config(self, config: Config) -> None:
        """Make the variables of the layers; what they hold comes from the file."""
        for name, shapes in config.items():
            layer = self.preprocessors[name]
            if shapes and not layer.built:
                layer.build_from_config(shapes)
        self._is_adapted = True

    def save(self, filepath: Any) -> None:
        """Write it to a ``.keras`` file, for ``nyala.saving.load_model`` and Keras's."""
        from nyala.saving import save_model

        save_model(self, filepath)


_KINDS = (
    "float",
    "float_normalized",
    "float_rescaled",
    "float_discretized",
    "integer_categorical",
    "string_categorical",
    "integer_hashed",
    "string_hashed",
)


def _name(kind: str, name: str | None) -> str:
    return f"{name or naming.unique(kind)}_preprocessor"


def _names(data: Any) -> list[str]:
    """The columns of a dict or a table."""
    return list(data.keys() if hasattr(data, "keys") else getattr(data, "column_names", None) or data.columns)


def _is_columns(data: Any) -> bool:
    """Whether it is a dict or a table."""
    return isinstance(data, Mapping) or (hasattr(data, "columns") and hasattr(data, "shape"))


def _in_batches(dataset: Any) -> Any:
    """A data set of TensorFlow whose elements are single samples, in batches."""
    spec = getattr(dataset, "element_spec", None)
    first = spec[0] if isinstance(spec, tuple) else spec
    single = isinstance(first, Mapping) and all(x.shape.rank == 0 for x in first.values())
    return dataset.batch(1024) if single else dataset


def _can_adapt(layer: Any) -> bool:
    """Whether what the layer computes with comes from data."""
    fixed = isinstance(layer, Discretization) and layer.num_bins is None
    fixed = fixed or getattr(getattr(layer, "_lookup_layer", layer), "_given", None) is not None
    return hasattr(layer, "adapt") and not fixed


def _tensor(values: Any, dtype: str) -> Any:
    """A column as what the layers take: tensors as they are, all else as an array."""
    if isinstance(values, SymbolicTensor) or host.owner([values]) is not None:
        return values
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    return array if dtype == "string" else array.astype(dtype)


def _with_rank_2(x: Any) -> Any:
    if len(x.shape) >= 2:
        return x
    if isinstance(x, np.ndarray):
        return x.reshape(-1, 1)
    x = ops.expand_dims(x, -1)
    return x if len(x.shape) == 2 else ops.expand_dims(x, 0)
