"""What only older Keras had: functions and classes that programs still name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala import layers, ops, optimizers
from nyala.base import check, naming, old
from nyala.models import Functional


class Reduction:
    """Keras 2's names of what a loss does with its values; today they are plain strings."""

    AUTO = SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        return cls.SUM_OVER_BATCH_SIZE, cls.NONE, cls.SUM

    @classmethod
    def validate(cls, key: str) -> None:
        check.one_of("Reduction", "key", key, cls.all())


_MERGES: dict[str, Callable[..., Any]] = {
    "sum": layers.add,
    "mul": layers.multiply,
    "ave": layers.average,
    "max": layers.maximum,
}


def merge(
    inputs: Sequence[Any],
    mode: str | Callable[[Sequence[Any]], Any] = "sum",
    concat_axis: int = -1,
    dot_axes: int | tuple[int, int] = -1,
    output_shape: Any = None,
    name: str | None = None,
) -> Any:
    """Keras 1: several tensors made one by ``mode``: sum, mul, ave, max, concat, dot, cos or a function of the list.

    concat_axis, dot_axes: for ``concat``, and for ``dot`` and ``cos`` (the normalised product).
    output_shape: for a function, see ``Lambda``.
    """
    old.tell("keras.layers.merge(inputs, mode)", "keras.layers.add, concatenate, dot, ...")
    inputs = list(inputs)
    if callable(mode):
        return layers.Lambda(mode, output_shape=output_shape, name=name)(inputs)
    if mode == "concat":
        return layers.concatenate(inputs, axis=concat_axis, name=name)
    if mode in ("dot", "cos"):
        return layers.dot(inputs, axes=dot_axes, normalize=mode == "cos", name=name)
    return _MERGES[check.one_of("merge", "mode", mode, (*_MERGES, "concat", "dot", "cos"))](inputs, name=name)


def Merge(
    layers: Sequence[Any] | None = None,
    mode: str | Callable[[Sequence[Any]], Any] = "sum",
    concat_axis: int = -1,
    dot_axes: int | tuple[int, int] = -1,
    output_shape: Any = None,
    name: str | None = None,
) -> Any:
    """Keras 1: models side by side, their outputs made one by ``merge``; a model of all their inputs, first in a Sequential.

    Without models: a function of a list of tensors.
    """
    if layers is None:
        return lambda inputs: merge(inputs, mode, concat_axis, dot_axes, output_shape, name)
    inputs = [x for model in layers for x in getattr(model, "inputs", ())]
    if not inputs:
        check.fail("Merge", "takes models whose input shape is known: give their first layer input_shape=")
    outputs = [y for model in layers for y in model.outputs]
    return Functional(
        inputs, merge(outputs, mode, concat_axis, dot_axes, output_shape), name=name or naming.unique("merge")
    )


class MergeLayer(layers.Add):
    """``_Merge`` of Keras 2: a layer of several inputs whose subclass says in ``_merge_function`` what becomes of them."""

    def _merge_function(self, inputs: Any) -> Any:
        return check.fail(self, "defines no _merge_function(self, inputs)", NotImplementedError)

    def call(self, inputs: Any) -> Any:
        return self._merge_function(inputs)


class OldConvolution:
    """``Convolution2D`` as Keras 1 called it, ``(nb_filter, nb_row, nb_col)``; else the class of today in every respect."""

    def __init__(self, today: type):
        self.today = today
        self.__name__ = today.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.today(*old.folded_kernel(self.today, old.parameters(self.today.__init__), args), **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.today, name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self.today,)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self.today)

    def __reduce__(self) -> str:
        return self.__name__.replace("Conv", "Convolution")


Convolution2D, Convolution3D = OldConvolution(layers.Conv2D), OldConvolution(layers.Conv3D)


def TimeDistributedMerge(mode: str = "sum", **kwargs: Any) -> Any:
    """Keras 0: a sequence made one vector by ``mode``: sum, mul or ave of its steps."""
    old.tell("TimeDistributedMerge(mode)", "GlobalAveragePooling1D(), or Lambda(lambda x: ops.sum(x, 1))")
    of_steps: dict[str, Callable[..., Any]] = {"sum": ops.sum, "mul": ops.prod, "ave": ops.mean}
    fn = of_steps[check.one_of("TimeDistributedMerge", "mode", mode, tuple(of_steps))]
    return layers.Lambda(lambda x: fn(x, axis=1), **kwargs)


def TFOptimizer(optimizer: Any, iterations: Any = None) -> Any:
    """Keras 1 and 2: an optimizer of TensorFlow 1, which is one of ours of the same rule."""
    old.tell("TFOptimizer(optimizer)", "an optimizer of keras.optimizers")
    return optimizers.get(optimizer)


def multi_gpu_model(model: Any, gpus: Any = None, cpu_merge: bool = True, cpu_relocation: bool = False) -> Any:
    """Keras 2.0 to 2.3: a copy of the model on each GPU. Here the model itself: it trains on one device, and says so."""
    old.tell("multi_gpu_model(model)", "a distribution of keras.distribution; the model stays on one device")
    return model


class HDF5Matrix:
    """Rows ``start`` to ``end`` of a data set in an HDF5 file, read when they are asked for.

    Args: datapath: the file. dataset: its name within. normalizer: applied to what is read.
    Shapes: (rows, ...) like the data set.
    """

    def __init__(
        self,
        datapath: str,
        dataset: str,
        start: int = 0,
        end: int | None = None,
        normalizer: Callable[[np.ndarray], Any] | None = None,
    ):
        import h5py

        self.data: Any = h5py.File(datapath, "r")[dataset]
        self.start, self.end, _ = slice(start, end).indices(len(self.data))
        self.normalizer = normalizer

    def __len__(self) -> int:
        return max(0, self.end - self.start)

    def __getitem__(self, key: Any) -> Any:
        rows = np.arange(self.start, self.end)[key]
        if isinstance(rows, np.ndarray):
            # h5py takes each row once, in order.
            unique, back = np.unique(rows, return_inverse=True)
            found = self.data[unique][back]
        else:
            found = self.data[rows]
        return found if self.normalizer is None else self.normalizer(found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *np.shape(self[0:1])[1:])

    @property
    def dtype(self) -> Any:
        return np.asarray(self[0:1]).dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))
