"""Dense layers, embeddings and the layers that only pass on, wrap a function or mask."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from nyala import activations, backends, ops
from nyala._typing import Identifier, Shape, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, tree
from nyala.layers import _weights
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec
from nyala.ops.nn import affine, einsum_affine


class Dense(_weights.Adaptable):
    """Fully connected layer on the last axis: y = activation(x @ kernel + bias).

    Args:
        units: width of the output, a positive int.
        activation: name or function; ``None``: linear. use_bias: whether a bias is added.
        lora_rank, lora_alpha: see ``enable_lora``. quantization_config: see ``quantize``.

    Shapes: (batch, ..., n) -> (batch, ..., units); kernel (n, units), bias (units,).
    """

    supports_masking = True
    config_skip = frozenset({"activity_regularizer"})

    def __init__(
        self,
        units: int,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = check.positive_int(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        n = input_shape[-1]
        self._add_main((n, self.units))
        self.bias = _weights.add(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})

    def call(self, inputs: TensorLike, training: bool | None = None) -> Tensor:
        if self.bias is None:
            return self._activate(self._product(inputs, self.kernel))
        return self._activate(affine(inputs, self.kernel, self.bias))

    def _product(self, x: TensorLike, kernel: TensorLike) -> Tensor:
        return ops.matmul(x, kernel)

    def _activate(self, x: Tensor) -> Tensor:
        return x if self.activation is None else self.activation(x)  # programs set the attribute to None for the logits


class EinsumDense(_weights.Adaptable):
    """Fully connected layer on the axes that an equation names: y = activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: such as ``"abc,cd->abd"``; ``...`` may stand first or last in input and output.
        output_shape: sizes of the named output axes, ``None`` where the input says it. The first axis is the batch and
            is left out, unless ``...`` stands in front.
        bias_axes: the output's axes that have a bias, such as ``"d"``; ``None``: no bias.

    Raises: ValueError for an equation that is not of this form, and where input and ``output_shape`` disagree.
    """

    config_order = (
        *Layer.config_order, "output_shape", "equation", "activation", "bias_axes", "kernel_initializer",
        "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer",
    )  # fmt: skip
    config_skip = frozenset({"gptq_unpacked_column_size"})

    def __init__(
        self,
        equation: str,
        output_shape: int | Shape,
        activation: Identifier = None,
        bias_axes: str | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        *,
        activity_regularizer: Identifier = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.equation = equation
        shape: Any = (output_shape,) if check.is_int(output_shape) else tuple(output_shape)  # type: ignore[arg-type]
        self.partial_output_shape: tuple[Any, ...] = shape
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        self.gptq_unpacked_column_size = gptq_unpacked_column_size

    def config_value(self, name: str) -> Any:
        return self.partial_output_shape if name == "output_shape" else super().config_value(name)

    def build(self, input_shape: Shape) -> None:
        kernel, bias = _einsum_shapes(self, input_shape)
        self.input_spec = InputSpec(ndim=len(input_shape))
        self._add_main(kernel)
        self.bias = None if bias is None else _weights.add(self, "bias", bias)

    def call(self, inputs: TensorLike, training: bool | None = None) -> Tensor:
        if self.bias is None:
            return self.activation(self._product(inputs, self.kernel))
        return self.activation(einsum_affine(inputs, self.kernel, self.bias, self.equation))

    def _product(self, x: TensorLike, kernel: TensorLike) -> Tensor:
        return ops.einsum(self.equation, x, kernel)


def _einsum_shapes(layer: EinsumDense, input_shape: Shape) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """The shapes of kernel and bias (``None`` without one)."""
    equation = layer.equation.replace(" ", "")
    left, arrow, out = equation.partition("->")
    x, comma, w = left.partition(",")
    if not (arrow and comma and w.isalpha() and out) or {x.count("..."), out.count("...")} not in ({0}, {1}):
        check.fail(
            layer,
            f"equation must look like 'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...', got {layer.equation!r}",
        )
    elided = "front" if x.startswith("...") else "back" if x.endswith("...") else None
    x, out = x.replace("...", ""), out.replace("...", "")
    if len(x) > len(input_shape) or (elided is None and len(x) != len(input_shape)):
        check.fail(layer, f"equation {layer.equation!r} does not fit an input of shape {tuple(input_shape)}")

    sizes = dict(zip(x, input_shape[len(input_shape) - len(x) :] if elided == "front" else input_shape))
    named = out if elided == "front" else out[1:]
    if len(layer.partial_output_shape) != len(named):
        check.fail(
            layer,
            f"output_shape must have {len(named)} sizes, for {', '.join(named)}, got {layer.partial_output_shape}",
        )
    for axis, size in zip(named, layer.partial_output_shape):
        if axis not in x + w:
            check.fail(
                layer, f"axis {axis!r} of the output is neither in the input nor in the kernel of {layer.equation!r}"
            )
        if size is not None and sizes.get(axis) not in (size, None):
            check.fail(layer, f"axis {axis!r} has size {sizes[axis]} in the input and {size} in output_shape")
        sizes[axis] = sizes.get(axis) or size
    for axis in w:
        if axis not in sizes:
            check.fail(
                layer, f"axis {axis!r} of the kernel is neither in the input nor in the output of {layer.equation!r}"
            )
    kernel = tuple(sizes[axis] for axis in w)
    if not layer.bias_axes:
        return kernel, None
    for axis in layer.bias_axes:
        if axis not in out:
            check.fail(layer, f"bias_axes {layer.bias_axes!r} are not all in the output {out!r}")
    first = min(out.index(axis) for axis in layer.bias_axes)
    bias = [sizes[axis] if axis in layer.bias_axes else 1 for axis in out[first:]]
    bias += [1] * (len(input_shape) - len(x) if elided == "back" else 0)
    return kernel, tuple(bias)


class Embedding(_weights.Adaptable):
    """A table of vectors, looked up by index: y = embeddings[x].

    Args:
        input_dim: rows of the table, the largest index + 1. output_dim: length of a vector.
        mask_zero: index 0 means "nothing here": the output's mask is x != 0.
        weights: the table's first value, an array or a list of one.

    Shapes: (batch, ...) of ints -> (batch, ..., output_dim).
    """

    _adapted = "embeddings"
    config_skip = frozenset({"weights"})

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.input_dim = check.positive_int(self, "input_dim", input_dim)
        self.output_dim = check.positive_int(self, "output_dim", output_dim)
        _weights.options(self, "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)
        if weights is not None:
            self._initial_weights = weights if isinstance(weights, list) and len(weights) == 1 else [weights]

    def build(self, input_shape: Shape | None = None) -> None:
        self._add_main((self.input_dim, self.output_dim))

    def call(self, inputs: TensorLike) -> Tensor:
        if not dtypes.is_int(ops.dtype(inputs)):
            inputs = ops.cast(inputs, "int32")
        return ops.cast(self._vectors(inputs), self.compute_dtype)

    def _vectors(self, indices: TensorLike) -> Tensor:
        return ops.take(self._main, indices, axis=0)

    def compute_mask(self, inputs: TensorLike, mask: Any = None) -> Tensor | None:
        return ops.not_equal(inputs, 0) if self.mask_zero else None


class ReversibleEmbedding(Embedding):
    """An ``Embedding`` that also turns vectors into scores of the indices: ``layer(y, reverse=True)`` is y @ embeddings^T.

    Press & Wolf 2016, https://arxiv.org/abs/1608.05859

    Args:
        tie_weights: whether the way back takes the same table; else one of its own, ``reverse_embeddings``.
        reverse_dtype: the dtype that the scores are computed in; default the compute dtype.
        logit_soft_cap: c keeps scores inside (-c, c) by c * tanh(score / c).

    Shapes: (batch, ...) of ints -> (batch, ..., output_dim), reversed (batch, ..., output_dim) -> (batch, ...,
    input_dim); reverse_embeddings (output_dim, input_dim).
    """

    config_order = (
        *Layer.config_order, "input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer",
        "activity_regularizer", "embeddings_constraint", "mask_zero", "quantization_config", "lora_rank", "lora_alpha",
        "tie_weights",
    )  # fmt: skip

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype if reverse_dtype is None else dtypes.standardize(reverse_dtype)
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Shape | None = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self._add_reverse((self.output_dim, self.input_dim))

    def _add_reverse(self, shape: Shape) -> None:
        self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer, name="reverse_embeddings")

    def call(self, inputs: TensorLike, reverse: bool = False) -> Tensor:
        if not reverse:
            return super().call(inputs)
        scores = self._scores(inputs, self.reverse_dtype or self.compute_dtype)
        if self.logit_soft_cap is None:
            return scores
        return ops.multiply(ops.tanh(ops.divide(scores, self.logit_soft_cap)), self.logit_soft_cap)

    def _scores(self, x: TensorLike, dtype: str) -> Tensor:
        table = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        return ops.matmul(ops.cast(x, dtype), ops.cast(table, dtype))

    def compute_mask(self, inputs: TensorLike, mask: Any = None) -> Tensor | None:
        vectors = dtypes.is_float(ops.dtype(inputs)) and len(inputs.shape) > 1 and inputs.shape[-1] == self.output_dim
        return mask if vectors else super().compute_mask(inputs)  # vectors: on the way back their mask stays


class Identity(Layer):
    """y = x"""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Masking(Layer):
    """Marks the steps whose features all equal ``mask_value`` as absent, and sets them to 0.

    Args: mask_value: the number that fills absent steps.

    Shapes: (batch, time, ..., features) -> the same; mask (batch, time, ...), true where a step is present.
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def compute_mask(self, inputs: TensorLike, mask: Any = None) -> Tensor:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: TensorLike) -> Tensor:
        present = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.multiply(inputs, ops.cast(present, inputs.dtype))


class Lambda(Layer):
    """A function as a layer: y = function(x, **arguments).

    Args:
        function: takes the input; also ``mask`` and ``training`` if its signature names them. It owns no variables.
        output_shape: what the function gives, without the batch axis; ``None``: anything. A callable is given the
            input's shape, both with the batch axis. It is only compared: a function that gives another shape is warned of.
        mask: of the output, or a function ``(inputs, mask)`` that gives it.
        arguments: further keyword arguments of the function.

    A file names the function, so ``load_model`` needs it in ``custom_objects``.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not callable(function):
            check.fail(self, f"function must be callable, got {function!r}", TypeError)
        self.function = function
        self.arguments = dict(arguments or {})
        self.mask = mask
        self.supports_masking = mask is not None
        self._output_shape: Any = output_shape
        self._look_at(function)

    def _look_at(self, function: Callable[..., Any]) -> None:
        try:
            parameters: Mapping[str, Any] = inspect.signature(function).parameters
        except ValueError:  # a function written in C tells none
            parameters = {}
        self._passed = [n for n in ("mask", "training") if n in parameters]
        self._looked_at = function

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        if self.function is not self._looked_at:  # the user gave another one
            self._look_at(self.function)
        given = {"mask": mask, "training": training}
        outputs = backends.user_code(self.function)(inputs, **{n: given[n] for n in self._passed}, **self.arguments)
        if self._output_shape is not None:
            self._compare_output(inputs, outputs)
        return outputs

    def _users_function(self, spec: Any) -> Any:
        return self.function

    @property
    def said_shape(self) -> Any:
        """What ``output_shape`` says: a function from the shapes of the inputs."""
        given: Any = self._output_shape
        return given if given is None or callable(given) else lambda shapes: (None, *given)

    def _compare_output(self, inputs: Any, outputs: Any) -> None:
        expected = tuple(self.said_shape(tree.map(lambda x: tuple(x.shape), inputs)))[1:]
        got = tuple(outputs.shape)[1:]
        if len(got) != len(expected) or any(m is not None and n is not None and m != n for m, n in zip(got, expected)):
            warnings.warn(
                f"{check.who(self)}: function gave the shape {('batch', *got)}, which is taken; output_shape says {expected}",
                stacklevel=6,
            )

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {k: v for k, v in config.items() if v is not None or k not in ("output_shape", "mask")}
