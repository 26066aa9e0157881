"""What all parts share, and LoRA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, Shape, Tensor
from nyala.backends import dtypes
from nyala.base import check
from nyala.base.variable import Variable
from nyala.graph import infer
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers import _weights, swap
from nyala.layers.base import Layer
from nyala.quantizers import quantizers
from nyala.quantizers.quantizers import AbsMaxQuantizer


class _Part(Layer):
    """What all parts share: what a file holds, and the main weight whatever stands before it."""

    _adapted: str
    _main_shape: tuple[int, ...]
    _swapped_from: ClassVar[tuple[type, str, bool]]
    _beside: ClassVar[tuple[str, ...]] = ()
    """What a file holds after the main weight and the bias."""
    quantization_config: Any
    _main: Variable

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        """The variables that hold the main weight ``w``."""
        return {self._adapted: w}

    def _decoded(self) -> Tensor:
        """The main weight as floats."""
        return self._main.raw_value

    def _stored(self) -> dict[str, Variable]:
        """The variables in the order of a file."""
        names = (self._adapted, "bias", *self._beside, "reverse_embeddings", *(f"reverse_{n}" for n in self._beside))
        return {n: v for n in names if isinstance(v := self.__dict__.get(n), Variable)}

    def _values(self) -> dict[str, Any]:
        return {name: v.numpy() for name, v in self._stored().items()}

    def save_own_variables(self, store: Any) -> None:
        """Write the weights as a file has them into ``store``, by their numbers."""
        for i, value in enumerate(self._values().values()):
            store[str(i)] = value

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the weights from what ``save_own_variables`` wrote. Raises ValueError where they do not fit."""
        own = self._stored()
        wanted = {str(i): v.shape for i, v in enumerate(own.values())}
        found = {k: tuple(np.shape(v)) for k, v in store.items()}
        if wanted != found:
            check.fail(self, f"has the weights {', '.join(own)} of shapes {wanted}, the file has {found}")
        for i, variable in enumerate(own.values()):
            variable.assign(np.asarray(store[str(i)]))

    @classmethod
    def from_config(cls, config: Config) -> Any:
        return cls._swapped_from[0].from_config(config)  # type: ignore[attr-defined]  # which is swapped in its turn

    def __reduce_ex__(self, protocol: Any) -> Any:  # type: ignore[override]
        return swap.restored, self._swapped_from, self.__dict__


class _Encoded(_Part):
    """A part whose variables are not the weight itself."""

    def _encoders(self) -> dict[str, Callable[[Tensor], dict[str, Tensor]]]:
        return {self._adapted: self._encode}

    def _add_main(self, shape: Shape) -> None:
        self._main_shape = _weights.known(self, self._adapted, shape)
        self._add_for(self._encode, self._main_shape)

    def _add_for(self, encode: Callable[[Tensor], dict[str, Tensor]], shape: Any) -> None:
        backend = self._find_backend()
        specs: Any = infer.infer(encode, (SymbolicTensor(shape, self.variable_dtype, backend=backend),), {}, backend)
        for name, spec in specs.items():
            self._keep(name, tuple(spec.shape), spec.dtype)

    def _keep(self, name: str, shape: tuple[int, ...], dtype: str) -> Variable:
        start = "ones" if name.endswith("_scale") else "zeros"
        variable = self.add_weight(shape, start, dtype, trainable=False, autocast=name != "g_idx", name=name)
        self.__dict__[name] = variable
        return variable

    def _take_over(self) -> None:
        """Put what the encoders give in the place of the floats."""
        for name, encode in self._encoders().items():
            old = self.__dict__.pop(name)
            self._own_variables[:] = [v for v in self._own_variables if v is not old]
            for key, value in encode(old.raw_value).items():
                self._keep(key, tuple(value.shape), backends.current().dtype_of(value)).assign(value)

    def _weight_quantizer(self, value_range: tuple[int, int]) -> Any:
        default = AbsMaxQuantizer(value_range=value_range)
        return quantizers.QuantizationConfig.weight_quantizer_or_default(self.quantization_config, default)

    @property
    def _block(self) -> int:
        """Inputs that share a scale; 0: all."""
        config = self.quantization_config
        size = getattr(self.dtype_policy, "block_size", None) if config is None else config.block_size
        return 0 if size in (None, -1) else size  # type: ignore[return-value]


def applied(quantizer: Any, x: Tensor, axis: Any) -> tuple[Tensor, Tensor]:
    return quantizer(x, axis=axis) if isinstance(quantizer, AbsMaxQuantizer) else quantizer(x)


def blocks_of(n: int, size: int) -> Tensor:
    """The number of the block that each of ``n`` rows is in, as Keras's files have it: floats."""
    return ops.cast(ops.floor_divide(ops.arange(n), size), "float32")


def from_blocks(q: Tensor, scale: Tensor, zero: Tensor, blocks: Tensor, axis: int) -> Tensor:
    """(q - zero) * scale, with the blocks along ``axis`` spread over their rows."""
    blocks = ops.cast(blocks, "int32")
    scale = ops.take(scale, blocks, axis=axis)
    zero = ops.cast(ops.take(zero, blocks, axis=axis), ops.dtype(scale))
    return ops.multiply(ops.subtract(ops.cast(q, ops.dtype(scale)), zero), scale)


class _LoRA(_Part):
    """A frozen weight and the product of two thin matrices, which is trained."""

    lora_enabled = True
    lora_rank: int
    lora_alpha: float

    @property
    def _pair(self) -> tuple[Variable, Variable]:
        return tuple(self.__dict__[f"lora_{self._adapted}_{side}"] for side in "ab")  # type: ignore[return-value]

    @property
    def _strength(self) -> float:
        return self.lora_alpha / self.lora_rank

    def _merged(self) -> Tensor:
        a, b = self._pair
        whole = self._decoded()
        return ops.add(whole, ops.cast(ops.multiply(ops.matmul(a, b), self._strength), ops.dtype(whole)))

    def _own_weights(self) -> list[Variable]:
        # A frozen weight of floats keeps its place in ``weights``.
        main = self.__dict__.get(self._adapted)
        return sorted(super()._own_weights(), key=lambda v: not (v is main and dtypes.is_float(v.dtype)))

    def _values(self) -> dict[str, Any]:
        with backends.backend_scope(self._find_backend()):
            merged = {k: ops.convert_to_numpy(v) for k, v in self._encode(self._merged()).items()}
        return {**super()._values(), **merged}

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        super().load_own_variables(store)
        for variable in self._pair:  # what they had learned is in the sum
            variable.assign(np.zeros(variable.shape, "float32"))
