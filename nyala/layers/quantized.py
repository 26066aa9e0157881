"""What layers do when they are quantized or adapted: the parts that ``swap`` puts in front of a layer's own class.

A part says how the main weight is stored (``_encode``, ``_decoded``) and how the layer computes with it. Other parts go on from
there by ``super()``: LoRA adds its product to whatever the layer under it gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, Shape, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, policy
from nyala.base.variable import Variable
from nyala.graph import infer
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers import _weights, swap
from nyala.layers.base import Layer
from nyala.layers.core import Dense, EinsumDense, Embedding, ReversibleEmbedding
from nyala.quantizers import functions, quantizers
from nyala.quantizers.quantizers import AbsMaxQuantizer


def quantize(layer: Any, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
    """Store the weights of a built layer in few bits; see ``Layer.quantize``."""
    if not layer.built:
        check.fail(layer, "quantize needs a built layer: call it on data or use build(input_shape) first")
    if layer.quantization_mode is not None:
        check.fail(layer, f"is quantized already, by the policy {layer.dtype_policy.name!r}")
    if mode is None and config is None:
        config = getattr(layer, "quantization_config", None)
    config = quantizers.resolve(layer, mode, config)
    if config.mode in _BY_DATA:
        check.fail(
            layer,
            f"{config.mode} looks at data, which a layer alone does not see: use model.quantize(config=...)",
            NotImplementedError,
        )
    plain = getattr(type(layer), "_swapped_from", (type(layer),))[0]
    found = swap.parts_for(plain, config.mode)
    if found is None or (type_check and found[0] is not plain):
        why = (
            f"a subclass of {found[0].__name__} is only quantized with type_check=False" if found else "has no weights"
        )
        check.fail(layer, f"cannot be quantized to {config.mode!r}: {why}", NotImplementedError)
    become_quantized(layer, config)


_BY_DATA = ("gptq", "awq")


def become_quantized(layer: Any, config: Any) -> None:
    """Give a layer the class and the policy of the config's mode, and the ints for its floats."""
    wanted = policy.get(f"{config.policy_mode(layer.dtype_policy)}_from_{layer.dtype_policy.name}")
    with backends.backend_scope(layer._find_backend()):
        layer.quantization_config = config
        swap.become(layer, mode=config.mode)
        layer._set_policy(wanted)
        layer._take_over()


def quantize_below(model: Layer, mode: Any, config: Any, filters: Any, type_check: bool) -> None:
    """Quantize the layers below ``model`` that have a form for it and that ``filters`` lets through."""
    config = quantizers.resolve(model, mode, config)
    patterns = [filters] if isinstance(filters, str) else filters

    def wanted(layer: Layer) -> bool:
        if patterns is None or callable(patterns):
            return patterns is None or bool(patterns(layer))
        return any(re.search(p, layer.name) for p in patterns)

    def has_form(layer: Layer) -> bool:
        plain = getattr(type(layer), "_swapped_from", (type(layer),))[0]
        found = swap.parts_for(plain, config.mode)
        return found is not None and (not type_check or found[0] is plain) and wanted(layer)

    if config.mode in _BY_DATA:
        from nyala.layers import calibration

        return calibration.quantize(model, config, has_form)
    chosen = [layer for layer in model._flatten_layers(include_self=False) if has_form(layer)]
    if not chosen:
        check.fail(model, f"has no layer to quantize to {config.mode!r}" + (" by those filters" if patterns else ""))
    for layer in chosen:
        if not layer.built or layer.quantization_mode is not None:
            check.fail(layer, f"cannot be quantized: its policy is {layer.dtype_policy.name!r}, built: {layer.built}")
    for layer in chosen:
        layer.quantize(config.mode, type_check=type_check, config=config)
    return None


def change_mode(layer: Any, wanted: Any) -> None:
    """Make ``layer`` the one that a policy of another quantization mode asks for."""
    if wanted.quantization_mode is None:
        check.fail(layer, "is quantized and has no floats to go back to; make a new layer")
    if layer.built:
        check.fail(layer, f"has its weights already; use quantize({wanted.quantization_mode!r}) in place of its policy")
    swap.become(layer, mode=wanted.quantization_mode)


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


def _apply(quantizer: Any, x: Tensor, axis: Any) -> tuple[Tensor, Tensor]:
    return quantizer(x, axis=axis) if isinstance(quantizer, AbsMaxQuantizer) else quantizer(x)


def _blocks_of(n: int, size: int) -> Tensor:
    """The number of the block that each of ``n`` rows is in, as Keras's files have it: floats."""
    return ops.cast(ops.floor_divide(ops.arange(n), size), "float32")


def _from_blocks(q: Tensor, scale: Tensor, zero: Tensor, blocks: Tensor, axis: int) -> Tensor:
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


# -- kernels: Dense and EinsumDense ----------------------------------------------------------------------------------------


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
            q, x_scale = _apply(quantizer, x, of_x)
            left = "".join(c for c in axes.x if c in axes.out)
            x_scale = _laid_out(ops.squeeze(x_scale, of_x) if of_x else x_scale, left, axes.out)
            y = ops.divide(ops.cast(self._product(q, w), kind), ops.multiply(x_scale, scale))
            return y, lambda dy: axes.back(ops.divide(dy, scale), ops.cast(w, kind), x)

        return product(ops.convert_to_tensor(x))


class _Int8Kernel(_Ints):
    _beside = ("kernel_scale",)

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        axes = self._axes()
        q, scale = _apply(self._weight_quantizer((-127, 127)), w, axes.reduced)
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
            more = {"kernel_zero": ops.cast(zero, "int8"), "g_idx": _blocks_of(rows, self._block)}
        else:
            q, scale = _apply(self._weight_quantizer((-8, 7)), matrix, 0)
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
            matrix = _from_blocks(q, scale, zero, blocks, 0)
        else:
            matrix = ops.divide(ops.cast(q, ops.dtype(scale)), scale)
        return ops.reshape(matrix, self._main_shape)

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        quantizer = self._inputs_quantizer(None)
        if quantizer is not None:
            axes = self._axes(len(x.shape))
            x = _rounded(x, quantizer, tuple(i for i, c in enumerate(axes.x) if c not in axes.out))
        return self._product(x, ops.cast(self._decoded(), self.compute_dtype))


class GroupedKernel(_Int4Kernel):
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
            "g_idx": _blocks_of(rows, size) if groups is None else ops.cast(groups, "float32"),
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
        q = GroupedKernel.kernel.fget(self)  # type: ignore[attr-defined]
        scale, zero, groups = (self.__dict__[n].raw_value for n in ("kernel_scale", "kernel_zero", "g_idx"))
        matrix = _from_blocks(q, scale, zero, groups, -1)
        if "awq_scales" in self._beside:
            matrix = ops.divide(matrix, self.__dict__["awq_scales"].raw_value)
        return ops.reshape(ops.transpose(matrix), self._main_shape)

    def _linear(self, x: Any, training: bool | None) -> Tensor:
        return self._product(x, ops.cast(self._decoded(), self.compute_dtype))


class _ScaledKernel(GroupedKernel):
    """And inputs multiplied by factors, by which the matrix is divided."""

    _beside = ("kernel_scale", "kernel_zero", "awq_scales", "g_idx")


def _rounded(x: Any, quantizer: Any, axis: Any) -> Tensor:
    """``x`` as ``quantizer`` keeps it; the gradient passes."""

    @ops.custom_gradient
    def rounded(x: Tensor) -> Any:
        q, scale = _apply(quantizer, x, axis)
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


# -- tables: Embedding and ReversibleEmbedding -----------------------------------------------------------------------------


class _LoRATable(_LoRA):
    @property
    def embeddings(self) -> Tensor:
        """The sum of the frozen table and what was learned."""
        return self._merged()

    def _vectors(self, indices: Any) -> Tensor:
        a, b = self._pair
        x = super()._vectors(indices)  # type: ignore[misc]
        low = ops.multiply(ops.matmul(ops.take(a, indices, axis=0), b), self._strength)
        return ops.add(x, ops.cast(low, ops.dtype(x)))


class _LoRAReversible(_LoRATable):
    tie_weights: bool

    def _scores(self, x: Any, dtype: str) -> Tensor:
        scores = super()._scores(x, dtype)  # type: ignore[misc]
        if not self.tie_weights or dtypes.is_float(self._main.dtype):
            return scores  # of its own table, or of the sum
        a, b = (ops.cast(v, dtype) for v in self._pair)
        low = ops.matmul(ops.matmul(ops.cast(x, dtype), ops.transpose(b)), ops.transpose(a))
        return ops.add(scores, ops.multiply(low, self._strength))


class _Int8Table(_Encoded):
    """Rows of ints with a scale each."""

    _beside = ("embeddings_scale",)

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        q, scale = _apply(self._weight_quantizer((-127, 127)), w, -1)
        return {"embeddings": q, "embeddings_scale": scale[:, 0]}

    def _decoded(self) -> Tensor:
        scale = self.__dict__["embeddings_scale"].raw_value
        return ops.divide(ops.cast(self._main.raw_value, ops.dtype(scale)), scale[:, None])

    def _vectors(self, indices: Any) -> Tensor:
        rows = ops.take(self._main.value, indices, axis=0)
        scale = ops.take(self.__dict__["embeddings_scale"].value, indices, axis=0)
        return ops.divide(ops.cast(rows, self.compute_dtype), ops.expand_dims(scale, -1))


class _Int4Table(_Encoded):
    """Rows of ints, two in a byte, in blocks along a row."""

    _beside = ("embeddings_scale", "embeddings_zero", "g_idx")

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        if self._block:
            q, scale, zero = map(ops.transpose, functions.in_blocks(ops, ops.transpose(w), self._block))
            blocks = _blocks_of(w.shape[1], self._block)
            more = {"embeddings_zero": ops.cast(zero, "int8"), "g_idx": blocks}
        else:
            q, scale = _apply(self._weight_quantizer((-8, 7)), w, -1)
            scale, more = scale[:, 0], {}
        packed = functions.pack_int4(ops.cast(q, "int8"), axis=-1)[0]
        return {"embeddings": packed, "embeddings_scale": scale, **more}

    @property
    def embeddings(self) -> Tensor:
        """The ints, unpacked."""
        return functions.unpack_int4(self._main.raw_value, self._main_shape[1], axis=-1)

    def _decoded(self) -> Tensor:
        return self._floats(lambda v: v.raw_value)

    def _vectors(self, indices: Any) -> Tensor:
        return self._floats(lambda v: ops.take(v.value, indices, axis=0))

    def _floats(self, rows_of: Callable[[Variable], Tensor]) -> Tensor:
        q = functions.unpack_int4(rows_of(self._main), self._main_shape[1], axis=-1)
        scale = rows_of(self.__dict__["embeddings_scale"])
        if not self._block:
            return ops.divide(ops.cast(q, ops.dtype(scale)), ops.expand_dims(scale, -1))
        blocks = self.__dict__["g_idx"].raw_value
        return _from_blocks(q, scale, rows_of(self.__dict__["embeddings_zero"]), blocks, -1)


class _Reversible(_Encoded):
    """The way back of quantized tables: by the rows of the table, or by the columns of a table of its own."""

    tie_weights: bool

    def _encoders(self) -> dict[str, Any]:
        return {**super()._encoders(), **({} if self.tie_weights else {"reverse_embeddings": self._encode_reverse})}

    def _add_reverse(self, shape: Any) -> None:
        self._add_for(self._encode_reverse, shape)

    def _encode_reverse(self, w: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def _back_product(self, x: Any, w: Tensor, scale: Tensor, dtype: str) -> Tensor:
        """x @ w / scale for ints w (n, rows) and a scale for each row; with a quantizer, of ints."""
        x = ops.cast(x, dtype)
        default = AbsMaxQuantizer() if self.quantization_mode == "int8" else None
        quantizer = quantizers.QuantizationConfig.activation_quantizer_or_default(self.quantization_config, default)
        if quantizer is None:
            return ops.divide(ops.matmul(x, ops.cast(w, dtype)), scale)

        @ops.custom_gradient
        def product(x: Tensor) -> Any:
            q, x_scale = _apply(quantizer, x, -1)
            y = ops.divide(ops.cast(ops.matmul(q, w), dtype), ops.multiply(x_scale, scale))
            return y, lambda dy: ops.matmul(ops.divide(dy, scale), ops.transpose(ops.cast(w, dtype)))

        return product(x)


class _Int8Reversible(_Reversible, _Int8Table):
    def _encode_reverse(self, w: Tensor) -> dict[str, Tensor]:
        q, scale = _apply(self._weight_quantizer((-127, 127)), w, 0)
        return {"reverse_embeddings": q, "reverse_embeddings_scale": scale[0]}

    def _scores(self, x: Any, dtype: str) -> Tensor:
        if self.tie_weights:
            w, scale = ops.transpose(self._main.value), self.__dict__["embeddings_scale"].value
        else:
            w, scale = (self.__dict__[n].value for n in ("reverse_embeddings", "reverse_embeddings_scale"))
        return self._back_product(x, w, ops.cast(scale, dtype), dtype)


class _Int4Reversible(_Reversible, _Int4Table):
    def _encode_reverse(self, w: Tensor) -> dict[str, Tensor]:
        if self._block:
            q, scale, zero = functions.in_blocks(ops, w, self._block)
            more = {"reverse_embeddings_zero": zero}
        else:
            q, scale = _apply(self._weight_quantizer((-8, 7)), w, 0)
            scale, more = scale[0], {}
        packed = functions.pack_int4(ops.cast(q, "int8"), axis=0)[0]
        return {"reverse_embeddings": packed, "reverse_embeddings_scale": scale, **more}

    def _scores(self, x: Any, dtype: str) -> Tensor:
        if self.tie_weights:
            if self._block:
                return ops.matmul(ops.cast(x, dtype), ops.cast(ops.transpose(self._decoded()), dtype))
            w, scale = (
                ops.transpose(functions.unpack_int4(self._main.raw_value, self._main_shape[1], axis=-1)),
                "embeddings_scale",
            )
        else:
            w = functions.unpack_int4(self.__dict__["reverse_embeddings"].raw_value, self._main_shape[1], axis=0)
            scale = "reverse_embeddings_scale"
            if self._block:
                zero, blocks = (self.__dict__[n].raw_value for n in ("reverse_embeddings_zero", "g_idx"))
                w = _from_blocks(w, self.__dict__[scale].raw_value, zero, blocks, 0)
                return ops.matmul(ops.cast(x, dtype), ops.cast(w, dtype))
        return self._back_product(x, w, ops.cast(self.__dict__[scale].value, dtype), dtype)


PARTS: dict[tuple[str, type], type] = {
    ("lora", Dense): _LoRADense,
    ("lora", EinsumDense): _LoRAKernel,
    ("lora", Embedding): _LoRATable,
    ("lora", ReversibleEmbedding): _LoRAReversible,
    ("int8", Dense): _Int8Kernel,
    ("int8", EinsumDense): _Int8Kernel,
    ("int8", Embedding): _Int8Table,
    ("int8", ReversibleEmbedding): _Int8Reversible,
    ("int4", Dense): _Int4Kernel,
    ("int4", EinsumDense): _Int4Kernel,
    ("int4", Embedding): _Int4Table,
    ("int4", ReversibleEmbedding): _Int4Reversible,
    ("gptq", Dense): GroupedKernel,
    ("gptq", EinsumDense): GroupedKernel,
    ("awq", Dense): _ScaledKernel,
    ("awq", EinsumDense): _ScaledKernel,
    ("float8", Dense): _Float8Kernel,
    ("float8", EinsumDense): _Float8Kernel,
}
"""What a class of ours is, or does, in each mode."""
