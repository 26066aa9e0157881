"""The kernels of ``Dense`` and ``EinsumDense`` in 8 and 4 bits and in float8, and LoRA beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check
from nyala.base.variable import Variable
from nyala.layers.quantized.parts import _Encoded, _LoRA, _Part, applied, blocks_of, from_blocks
from nyala.quantizers import functions, quantizers
from nyala.quantizers.quantizers import AbsMaxQuantizer


class _Axes:
    """Where the axes of inputs and kernel stand, by the letters of the equation."""

    def __init__(self, equation: str, rank: int):
        left, out = equation.replace(" ", "").split("->")
        x, self.w = left.split(",")
        self.front = x.startswith("...")
        dots = "".join(map(str, range(rank - len(x.replace("...", ""))))) if "..." in x else ""
        self.x, self.out = x.replace("...", dots), out.replace("...", dots)
        self.letters = {"x": x.replace("...", ""), "out": out.replace("...", "")}
        self.reduced = tuple(i for i, c in enumerate(self.w) if c not in self.out)
        self.kept = tuple(i for i in range(len(self.w)) if i not in self.reduced)
        self.of_scale = self.letters["out"] if self.front else self.out

    def spread(self, scale: Tensor, sizes: Any) -> Tensor:
        """A scale for each kept place of the kernel, laid out as the output is."""
        scale = ops.reshape(scale, [sizes[i] for i in self.kept])
        return _laid_out(scale, "".join(self.w[i] for i in self.kept), self.of_scale)

    def gathered(self, scale: Tensor) -> Tensor:
        """The same laid out as the kernel is."""
        letters = [c for c in self.of_scale if c in self.w]
        sizes = [n for n, c in zip(scale.shape, self.of_scale) if c in self.w]
        return _laid_out(ops.reshape(scale, sizes), "".join(letters), self.w)

    def rows(self, x: np.ndarray) -> np.ndarray:
        """An array of inputs with a row for each sum, in the order of the kernel's rows."""
        summed = [self.x.index(self.w[i]) for i in self.reduced]
        others = [i for i in range(x.ndim) if i not in summed]
        return x.transpose(*others, *summed).reshape(-1, int(np.prod([x.shape[i] for i in summed])))

    def back(self, dy: Tensor, w: Tensor, x: Tensor) -> Tensor:
        """The gradient by ``x`` of its product with the kernel."""
        there = "".join(c for c in self.x if c in self.w + self.out)
        dx = ops.einsum(f"{self._named(self.out)},{self.w}->{self._named(there)}", dy, w)
        return ops.add(_laid_out(dx, there, self.x), ops.zeros_like(x)) if there != self.x else dx

    def _named(self, letters: str) -> str:
        """The numbers that stand for the dots as letters that the equation does not have."""
        free = iter(sorted(set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") - set(self.x + self.w + self.out)))
        names = {str(i): c for i, c in zip(range(10), free)}
        return "".join(names.get(c, c) for c in letters)


def _laid_out(t: Tensor, have: str, want: str) -> Tensor:
    """``t``, whose axes go by the letters ``have``, with those of ``want``; what it lacks has size 1."""
    order = [have.index(c) for c in want if c in have]
    t = ops.transpose(t, order) if order != sorted(order) else t
    for i, c in enumerate(want):
        if c not in have:
            t = ops.expand_dims(t, i)
    return t


class _Kernel(_Part):
    """The call of a Dense or EinsumDense in steps that parts can replace."""

    _product: Callable[[Any, Any], Tensor]

    def call(self, inputs: TensorLike, training: bool | None = None) -> Tensor:
        y = self._linear(inputs, training)
        bias, activation = self.__dict__.get("bias"), self.__dict__.get("activation")
        y = y if bias is None else ops.add(y, bias)
        return y if activation is None else activation(y)

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        return self._product(x, self._main.value)

    def _axes(self, rank: int | None = None) -> _Axes:
        known: int = rank or getattr(self.input_spec, "ndim", None) or 2
        return _Axes(getattr(self, "equation", "...a,ab->...b"), known)


class _LoRAKernel(_LoRA, _Kernel):
    @property
    def kernel(self) -> Tensor:
        """The sum of the frozen kernel and what was learned."""
        return self._merged()

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        return ops.add(super()._linear(x, training), ops.multiply(self._low(x), self._strength))

    def _low(self, x: Any) -> Tensor:
        a, b = self._pair
        return self._product(x, ops.matmul(a, b))


class _LoRADense(_LoRAKernel):
    def _low(self, x: Any) -> Tensor:
        a, b = self._pair
        return ops.matmul(ops.matmul(x, a), b)


class _Ints(_Encoded, _Kernel):
    """Kernels of ints with a scale for each output."""

    def _inputs_quantizer(self, default: Any) -> Any:
        return quantizers.QuantizationConfig.activation_quantizer_or_default(self.quantization_config, default)

    def _int_product(self, x: Any, w: Tensor, scale: Tensor, quantizer: Any) -> Tensor:
        """x * w / scale; with a quantizer of ints, whose gradient is that of floats."""
        kind = self.compute_dtype
        if quantizer is None:
            return ops.divide(self._product(x, ops.cast(w, kind)), scale)
        axes = self._axes(len(x.shape))
        of_x = tuple(i for i, c in enumerate(axes.x) if c not in axes.out)

        @ops.custom_gradient
        def product(x: Tensor) -> Any:
            q, x_scale = applied(quantizer, x, of_x)
            left = "".join(c for c in axes.x if c in axes.out)
            x_scale = _laid_out(ops.squeeze(x_scale, of_x) if of_x else x_scale, left, axes.out)
            y = ops.divide(ops.cast(self._product(q, w), kind), ops.multiply(x_scale, scale))
            return y, lambda dy: axes.back(ops.divide(dy, scale), ops.cast(w, kind), x)

        return product(ops.convert_to_tensor(x))


class _Int8Kernel(_Ints):
    _beside = ("kernel_scale",)

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        axes = self._axes()
        q, scale = applied(self._weight_quantizer((-127, 127)), w, axes.reduced)
        return {"kernel": q, "kernel_scale": axes.spread(scale, w.shape)}

    def _decoded(self) -> Tensor:
        scale = self.__dict__["kernel_scale"].raw_value
        return ops.divide(ops.cast(self._main.raw_value, ops.dtype(scale)), self._axes().gathered(scale))

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        scale = self.__dict__["kernel_scale"].value
        return self._int_product(x, self._main.value, scale, self._inputs_quantizer(AbsMaxQuantizer()))


class _Int4Kernel(_Ints):
    """The kernel as a matrix with as many rows as are summed over, two ints in a byte across."""

    _beside = ("kernel_scale", "kernel_zero", "g_idx")

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        rows, columns = self._sizes()
        matrix = ops.reshape(w, (rows, columns))
        if self._block:
            q, scale, zero = functions.in_blocks(ops, matrix, self._block)
            more = {"kernel_zero": ops.cast(zero, "int8"), "g_idx": blocks_of(rows, self._block)}
        else:
            q, scale = applied(self._weight_quantizer((-8, 7)), matrix, 0)
            scale, more = ops.reshape(scale, (-1,)), {}
        packed = functions.pack_int4(ops.cast(q, "int8"), axis=-1)[0]
        return {"kernel": packed, "kernel_scale": scale, **more}

    def _sizes(self) -> tuple[int, int]:
        rows = int(np.prod([self._main_shape[i] for i in self._axes().reduced]))
        return rows, int(np.prod(self._main_shape)) // rows

    @property
    def kernel(self) -> Tensor:
        """The matrix of ints, unpacked."""
        return functions.unpack_int4(self._main.raw_value, self._sizes()[1], axis=-1)

    def _decoded(self) -> Tensor:
        q = _Int4Kernel.kernel.fget(self)  # type: ignore[attr-defined]
        scale = self.__dict__["kernel_scale"].raw_value
        if self._block:
            zero, blocks = (self.__dict__[n].raw_value for n in ("kernel_zero", "g_idx"))
            matrix = from_blocks(q, scale, zero, blocks, 0)
        else:
            matrix = ops.divide(ops.cast(q, ops.dtype(scale)), scale)
        return ops.reshape(matrix, self._main_shape)

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        quantizer = self._inputs_quantizer(None)
        if quantizer is not None:
            axes = self._axes(len(x.shape))
            x = _rounded(x, quantizer, tuple(i for i, c in enumerate(axes.x) if c not in axes.out))
        return self._product(x, ops.cast(self._decoded(), self.compute_dtype))


class _GroupedKernel(_Int4Kernel):
    """The kernel as a matrix of ints (outputs, inputs), with a scale and a zero for each output and group of inputs.

    4-bit ints stand two in a byte across the outputs, those of other sizes one.
    """

    dtype_policy: Any

    def _stored(self) -> dict[str, Variable]:
        found = super()._stored()
        return {n: found[n] for n in ("bias", *(n for n in found if n != "bias")) if n in found}

    @staticmethod
    def axes_of(layer: Any, rank: int) -> _Axes:
        axes = _Axes(getattr(layer, "equation", "...a,ab->...b"), rank)
        if axes.reduced != tuple(range(len(axes.reduced))):
            check.fail(layer, "is quantized by data only where the kernel's first axes are those that are summed over")
        return axes

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        rows, columns = self._sizes()
        size = rows if self.dtype_policy.group_size == -1 else self.dtype_policy.group_size
        most = 2**self.dtype_policy.weight_bits - 1
        q, scale, zero = functions.in_blocks(ops, ops.reshape(w, (rows, columns)), size, (0, most))
        return self._grouped(ops.cast(ops.transpose(q), "uint8"), ops.transpose(scale), ops.transpose(zero))

    def _grouped(self, q: Tensor, scale: Any, zero: Any, groups: Any = None, factors: Any = None) -> dict[str, Tensor]:
        rows = self._sizes()[0]
        size = rows if self.dtype_policy.group_size == -1 else self.dtype_policy.group_size
        packed = functions.pack_int4(q, axis=0, dtype="uint8")[0] if self.dtype_policy.weight_bits == 4 else q
        found = {
            "kernel": packed,
            "kernel_scale": ops.convert_to_tensor(scale),
            "kernel_zero": ops.cast(zero, "uint8"),
            "awq_scales": ops.ones((rows,)) if factors is None else ops.convert_to_tensor(factors),
            "g_idx": blocks_of(rows, size) if groups is None else ops.cast(groups, "float32"),
        }
        return {n: v for n, v in found.items() if n in ("kernel", *self._beside)}

    @property
    def kernel(self) -> Tensor:
        """The matrix of ints, unpacked."""
        q = self._main.raw_value
        if self.dtype_policy.weight_bits != 4:
            return q
        return functions.unpack_int4(q, self._sizes()[1], axis=0, dtype="uint8")

    def _decoded(self) -> Tensor:
        q = _GroupedKernel.kernel.fget(self)  # type: ignore[attr-defined]
        scale, zero, groups = (self.__dict__[n].raw_value for n in ("kernel_scale", "kernel_zero", "g_idx"))
        matrix = from_blocks(q, scale, zero, groups, -1)
        if "awq_scales" in self._beside:
            matrix = ops.divide(matrix, self.__dict__["awq_scales"].raw_value)
        return ops.reshape(ops.transpose(matrix), self._main_shape)

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        return self._product(x, ops.cast(self._decoded(), self.compute_dtype))


class _ScaledKernel(_GroupedKernel):
    """And inputs multiplied by factors, by which the matrix is divided."""

    _beside = ("kernel_scale", "kernel_zero", "awq_scales", "g_idx")


def _rounded(x: Any, quantizer: Any, axis: Any) -> Tensor:
    """``x`` as ``quantizer`` keeps it; the gradient passes."""

    @ops.custom_gradient
    def rounded(x: Tensor) -> Any:
        q, scale = applied(quantizer, x, axis)
        return ops.divide(ops.cast(q, ops.dtype(x)), scale), lambda dy: dy

    return rounded(ops.convert_to_tensor(x))


class _Float8Kernel(_Kernel):
    """Products of 8-bit floats, in units that follow the largest values of the last steps.

    What is trained stays a float of the policy. The "gradient" of a unit or a history is its next value.
    """

    _beside = tuple(f"{x}_{what}" for x in ("inputs", "kernel", "outputs_grad") for what in ("scale", "amax_history"))

    def _add_units(self) -> None:
        length = getattr(self.dtype_policy, "amax_history_length", 1024)
        for name in self._beside:
            scale = name.endswith("scale")
            self.__dict__[name] = self.add_weight(
                () if scale else (length,), "ones" if scale else "zeros", "float32",
                autocast=False, overwrite_with_gradient=True, name=name,
            )  # fmt: skip

    def _add_main(self, shape: Shape) -> None:
        self._add_units()
        super()._add_main(shape)  # type: ignore[misc]

    def _take_over(self) -> None:
        self._add_units()

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        x = self._in_units("inputs", "float8_e4m3fn", ops.convert_to_tensor(x), training)
        w = self._in_units("kernel", "float8_e4m3fn", self._main.value, training)
        return self._gradient_in_units(self._product(x, w))

    def _units(self, name: str) -> tuple[Tensor, Tensor]:
        return tuple(self.__dict__[f"{name}_{n}"].raw_value for n in ("scale", "amax_history"))  # type: ignore[return-value]

    def _in_units(self, name: str, kind: str, x: Tensor, training: bool | None) -> Tensor:
        """``x`` rounded; the gradient passes."""

        @ops.custom_gradient
        def rounded(x: Tensor, scale: Tensor, history: Tensor) -> Any:
            y = functions.quantize_and_dequantize(x, scale, kind, self.compute_dtype)
            return y, lambda dy: (dy, *(_next_units(x, scale, history, kind) if training else (scale, history)))

        return rounded(x, *self._units(name))

    def _gradient_in_units(self, y: Tensor) -> Tensor:
        """``y`` itself; its gradient is rounded on the way back."""
        kind = "float8_e5m2"

        @ops.custom_gradient
        def passed(y: Tensor, scale: Tensor, history: Tensor) -> Any:
            def gradient(dy: Tensor) -> Any:
                rounded = functions.quantize_and_dequantize(dy, scale, kind, self.compute_dtype)
                return rounded, *_next_units(dy, scale, history, kind)

            return ops.multiply(y, 1.0), gradient

        return passed(y, *self._units("outputs_grad"))


def _next_units(x: Tensor, scale: Tensor, history: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """The scale of the next step, by the history so far, and the history with ``x``."""
    new = functions.compute_float8_scale(ops.max(history), scale, functions.FLOAT8_MAX[kind])
    return new, functions.compute_float8_amax_history(x, history)
