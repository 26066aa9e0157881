"""Attention over heads: each projects queries, keys and values, attends by itself, and all are projected together.

Whatever axes are attended over, they are moved together and the others joined to the batch, so that there is one
attention: (batch, t, heads, n) with (batch, s, groups, n).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from nyala import constraints, initializers, ops, random, regularizers
from nyala._typing import Config, Identifier, Shape, Tensor, TensorLike
from nyala.base import check, configurable
from nyala.base.seeds import SeedGenerator
from nyala.layers.base import Layer
from nyala.layers.core import EinsumDense
from nyala.ops.attention import attention_weights, weighted_values

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class _Heads(Layer):
    """Base of attention over heads.

    Args:
        dropout: the part of the weights that is dropped in training, in [0, 1].
        use_bias: whether the projections have one.
        sliding_window: n: a query sees only the keys less than n steps away; ``None``: all.
        flash_attention: True: a fused kernel, or an error where there is none; ``None``: what is fast.
        use_gate: whether sigmoid(query @ gate) multiplies what the heads give.
        kernel_initializer, ..., bias_constraint: of each projection. activity_regularizer: of each projection's output.
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.

    The call takes ``key`` (default: the values), ``query_mask``, ``value_mask`` and ``key_mask`` (True where a step
    is present; taken from the inputs if they have one), ``attention_mask`` (batch, t, s) (True where a query may look
    at a value), ``return_attention_scores`` (the result is then ``(output, weights)``) and ``use_causal_mask`` (a query
    sees no later value). A query that sees nothing gets zeros from every head.
    """

    supports_masking = True
    _policy_goes_below = True
    _place: ClassVar[str]
    _hides_queries: ClassVar[bool]

    def _set(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        use_gate: bool,
        seed: Any,
        activity_regularizer: Identifier,
        weights: dict[str, Identifier],
    ) -> None:
        self.dropout = check.number_in(self, "dropout", dropout, 0, 1)
        self.use_bias = use_bias
        self.use_gate = use_gate
        self.seed = seed
        self.sliding_window = (
            None if sliding_window is None else check.positive_int(self, "sliding_window", sliding_window)
        )
        if flash_attention and dropout > 0:
            check.fail(self, f"flash attention knows no dropout; set dropout to 0, got {dropout}")
        self.flash_attention = flash_attention
        self._regularize_projections = regularizers.get(activity_regularizer)
        self._weights = tuple(weights)
        for name, value in weights.items():
            family = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}
            setattr(self, name, family[name.split("_")[1]].get(value))
        if dropout > 0:
            self.seed_generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)

    def config_value(self, name: str) -> Any:
        if name == "activity_regularizer":
            return configurable.serialize(self._regularize_projections)
        return super().config_value(name)

    def _attended(self, rank: int) -> tuple[int, ...]:
        """The axes attended over, of inputs of that rank."""
        return (1,)

    def _sizes(self) -> tuple[int, int, int, int]:
        """Heads of the queries, heads of keys and values, width of queries and keys, width of values."""
        raise NotImplementedError

    def _output_sizes(self, query_shape: Shape) -> tuple[int, ...]:
        return (query_shape[-1],)  # type: ignore[return-value]

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        shapes = query_shape, key_shape, value_shape
        if any(len(s) < 3 for s in shapes) or len({len(s) for s in shapes}) > 1:
            check.fail(self, f"query, key and value must have the same number of axes, at least 3, got shapes {shapes}")
        if any(m is not None and n is not None and m != n for m, n in zip(value_shape[:-1], key_shape[:-1])):
            check.fail(
                self,
                f"value and key must agree but for the last axis, got {tuple(value_shape)} and {tuple(key_shape)}",
            )
        heads, groups, width, value_width = self._sizes()
        self._project("query", query_shape, (heads, width))
        self._project("key", key_shape, (groups, width))
        if self.use_gate:
            self._project("gate", query_shape, (heads, value_width))
        self._project("value", value_shape, (groups, value_width))
        rank = len(query_shape)
        given, sizes = _LETTERS[:rank], self._output_sizes(query_shape)
        out = _LETTERS[rank + 1 : rank + 1 + len(sizes)]
        equation = f"{given}{_LETTERS[25]},{given[-1]}{_LETTERS[25]}{out}->{given[:-1]}{out}"
        shape = (*query_shape[:-1], heads, value_width)
        self._add("output", equation, (*(None,) * (rank - 2), *sizes), out, shape, "attention_output")
        self._axes = self._attended(rank)

    def _project(self, role: str, shape: Shape, sizes: tuple[int, int]) -> None:
        given = _LETTERS[: len(shape)]
        equation = f"{given},{given[-1]}yz->{given[:-1]}yz"
        self._add(role, equation, (*(None,) * (len(shape) - 2), *sizes), "yz", shape, role)

    def _add(self, role: str, equation: str, sizes: Any, bias_axes: str, shape: Shape, name: str) -> None:
        # Each with initializers of its own: one with a seed gives the same numbers again.
        fresh = {n: v.clone() if hasattr(v, "clone") else v for n, v in ((n, getattr(self, n)) for n in self._weights)}
        dense = EinsumDense(
            equation,
            sizes,
            activation="sigmoid" if role == "gate" else None,
            bias_axes=bias_axes if self.use_bias else None,
            activity_regularizer=self._regularize_projections,
            dtype=self.dtype_policy,
            name=name,
            **fresh,
        )
        dense.supports_masking = True  # its input may carry a mask, which is heeded here
        setattr(self, "_gate_dense" if role == "gate" else self._place.format(role), dense)
        dense.build(shape)

    def _dense(self, role: str) -> Any:
        return getattr(self, self._place.format(role))

    def call(
        self,
        query: TensorLike,
        value: TensorLike,
        key: TensorLike | None = None,
        query_mask: TensorLike | None = None,
        value_mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        attention_mask: TensorLike | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        if self.flash_attention and return_attention_scores:
            check.fail(self, "flash attention keeps no scores; leave return_attention_scores False")
        key = value if key is None else key
        gate = self._gate_dense(query) if self.use_gate else None
        q, k, v = (self._folded(self._dense(r)(x)) for r, x in (("query", query), ("key", key), ("value", value)))
        mask = self._mask(query, value, query_mask, value_mask, key_mask, attention_mask)
        if self.sliding_window is not None:
            mask = self._within_window(mask, q, k)
        scale = 1.0 / math.sqrt(self._sizes()[2])
        drops = bool(training) and self.dropout > 0
        weights = None
        if drops or return_attention_scores:
            weights = attention_weights(q, k, None, mask, scale, use_causal_mask)
            if drops:
                weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
            out = weighted_values(weights, v)
        else:
            out = ops.dot_product_attention(q, k, v, None, mask, scale, use_causal_mask, self.flash_attention)
        out = self._unfolded(out, query)
        out = self._dense("output")(out if gate is None else ops.multiply(out, gate))
        return (out, self._shown(weights, query, value)) if return_attention_scores else out

    # -- other axes ----------------------------------------------------------------------------------------------------

    @property
    def _simple(self) -> bool:
        return self._axes == (1,)

    def _folded(self, x: Tensor) -> Tensor:
        """(batch, ..., heads, n) -> (batch * others, attended, heads, n)."""
        if self._simple and len(x.shape) == 4:
            return x
        others, sizes, last = self._order(len(x.shape) - 1), ops.shape(x), len(x.shape) - 2
        x = ops.transpose(x, (0, *others, *self._axes, last, last + 1))
        length = _product(sizes[a] for a in self._axes)
        return ops.reshape(x, (-1, length, *sizes[last:]))

    def _order(self, rank: int) -> tuple[int, ...]:
        """The axes between batch and features that are not attended over."""
        return tuple(i for i in range(1, rank - 1) if i not in self._axes)

    def _unfolded(self, x: Tensor, query: Tensor) -> Tensor:
        rank = len(query.shape)
        if self._simple and rank == 3:
            return x
        sizes, others = ops.shape(query), self._order(rank)
        order = (0, *others, *self._axes, rank - 1, rank)
        x = ops.reshape(x, (*(sizes[a] for a in order[:-2]), *ops.shape(x)[2:]))
        return ops.transpose(x, [order.index(i) for i in range(rank + 1)])

    def _shown(self, weights: Any, query: Tensor, value: Tensor) -> Tensor:
        """The weights as (batch, others, heads, attended of the query, attended of the value)."""
        if self._simple and len(query.shape) == 3:
            return weights
        t, s, others = ops.shape(query), ops.shape(value), self._order(len(query.shape))
        kept = (t[0], *(t[a] for a in others))
        return ops.reshape(
            weights, (*kept, ops.shape(weights)[1], *(t[a] for a in self._axes), *(s[a] for a in self._axes))
        )

    # -- masks ---------------------------------------------------------------------------------------------------------

    def _mask(
        self, query: Tensor, value: Tensor, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any
    ) -> Tensor | None:
        """What every query may look at, broadcastable to (batch * others, heads, t, s); ``None``: everything."""
        parts = [self._steps(m, value, 2) for m in (value_mask, key_mask) if m is not None]
        if query_mask is not None and self._hides_queries:
            parts.append(self._steps(query_mask, query, 3))
        if attention_mask is not None:
            parts.append(self._pairs(attention_mask, query, value))
        mask = None
        for part in parts:
            mask = part if mask is None else ops.logical_and(mask, part)
        return mask

    def _steps(self, mask: Tensor, x: Tensor, at: int) -> Tensor:
        """The mask of a sequence (leading axes of ``x``) along axis ``3`` of the scores, or along ``2``: ``at`` is new."""
        mask = ops.cast(mask, "bool")
        rank = len(x.shape)
        if not (self._simple and rank == 3):
            for _ in range(rank - 1 - len(mask.shape)):
                mask = ops.expand_dims(mask, -1)
            sizes = ops.shape(x)
            mask = ops.broadcast_to(mask, sizes[:-1])
            mask = ops.transpose(mask, (0, *self._order(rank), *self._axes))
            mask = ops.reshape(mask, (-1, _product(sizes[a] for a in self._axes)))
        return ops.expand_dims(ops.expand_dims(mask, 1), at)

    def _pairs(self, mask: Tensor, query: Tensor, value: Tensor) -> Tensor:
        """``attention_mask``, given the axes that it lacks: those of others and heads stand before the attended ones."""
        mask = ops.cast(mask, "bool")
        rank, n = len(query.shape), len(self._axes)
        full = rank + n
        if not 2 * n <= len(mask.shape) <= full:
            check.fail(
                self,
                f"attention_mask must have at least {2 * n} axes and at most {full}, got shape {tuple(mask.shape)}",
            )
        for _ in range(full - len(mask.shape)):
            mask = ops.expand_dims(mask, -2 * n - 1)
        if rank == 3:
            return mask
        t, s = ops.shape(query), ops.shape(value)
        heads = ops.shape(mask)[full - 2 * n - 1]
        kept = [t[0], *(t[a] for a in self._order(rank))]
        sizes = [t[a] for a in self._axes], [s[a] for a in self._axes]
        mask = ops.broadcast_to(mask, (*kept, heads, *sizes[0], *sizes[1]))
        return ops.reshape(mask, (-1, heads, _product(sizes[0]), _product(sizes[1])))

    def _within_window(self, mask: Tensor | None, q: Tensor, k: Tensor) -> Tensor:
        ages = ops.subtract(ops.expand_dims(ops.arange(ops.shape(q)[1]), 1), ops.arange(ops.shape(k)[1]))
        near = ops.less(ops.absolute(ages), self.sliding_window)
        return ops.reshape(near, (1, 1, *ops.shape(near))) if mask is None else ops.logical_and(mask, near)


def _product(sizes: Any) -> Any:
    result: Any = 1
    for n in sizes:
        result = result * n
    return result


class MultiHeadAttention(_Heads):
    """softmax(q_i @ k_i^T / sqrt(key_dim)) @ v_i for each head i; Vaswani et al. 2017, https://arxiv.org/abs/1706.03762

    Args:
        num_heads: how many. key_dim: width of a head's queries and keys. value_dim: of its values, default ``key_dim``.
        output_shape: sizes of the output's last axes, default the width of the query.
        attention_axes: the axes that are attended over, default all between batch and features.

    Shapes: query (batch, t, n), value (batch, s, m) -> (batch, t, n); weights (batch, heads, t, s).
    """

    _place = "{}_dense"
    _hides_queries = False
    config_order = (
        *Layer.config_order, "num_heads", "key_dim", "value_dim", "dropout", "use_bias", "use_gate", "output_shape",
        "attention_axes", "sliding_window", "kernel_initializer", "bias_initializer", "kernel_regularizer",
        "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint", "seed",
    )  # fmt: skip
    config_skip = frozenset({"flash_attention"})

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = check.positive_int(self, "num_heads", num_heads)
        self.key_dim = check.positive_int(self, "key_dim", key_dim)
        self.value_dim = key_dim if value_dim is None else check.positive_int(self, "value_dim", value_dim)
        sizes: Any = (output_shape,) if check.is_int(output_shape) else output_shape
        self._output: Any = None if sizes is None else tuple(check.positive_int(self, "output_shape", n) for n in sizes)
        axes: Any = (attention_axes,) if check.is_int(attention_axes) else attention_axes
        self.attention_axes = axes
        self._set(dropout, use_bias, sliding_window, flash_attention, use_gate, seed, activity_regularizer, {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        })  # fmt: skip

    def config_value(self, name: str) -> Any:
        return self._output if name == "output_shape" else super().config_value(name)

    def _sizes(self) -> tuple[int, int, int, int]:
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim

    def _output_sizes(self, query_shape: Shape) -> tuple[int, ...]:
        return super()._output_sizes(query_shape) if self._output is None else self._output

    def _attended(self, rank: int) -> tuple[int, ...]:
        if self.attention_axes is None:
            return tuple(range(1, rank - 1))
        axes = tuple(a % rank for a in self.attention_axes)
        if not axes or len(set(axes)) < len(axes) or not all(0 < a < rank - 1 for a in axes):
            check.fail(
                self, f"attention_axes must lie between batch and features of {rank} axes, got {self.attention_axes}"
            )
        return axes


class GroupedQueryAttention(_Heads):
    """Attention in which several heads of the query share keys and values; Ainslie et al. 2023, https://arxiv.org/abs/2305.13245

    Args:
        head_dim: width of a head.
        num_query_heads: heads of the query. num_key_value_heads: heads of keys and values, a divisor of those.

    Shapes: query (batch, t, n), value (batch, s, m) -> (batch, t, n); weights (batch, query heads, t, s).
    """

    keras_name = "GroupQueryAttention"
    _place = "_{}_dense"
    _hides_queries = True
    config_order = (
        *Layer.config_order, "head_dim", "num_query_heads", "num_key_value_heads", "use_bias", "use_gate",
        "sliding_window", "dropout", "kernel_initializer", "bias_initializer", "kernel_regularizer",
        "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint", "seed",
    )  # fmt: skip
    config_skip = frozenset({"flash_attention"})

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        use_gate: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.head_dim = check.positive_int(self, "head_dim", head_dim)
        self.num_query_heads = check.positive_int(self, "num_query_heads", num_query_heads)
        self.num_key_value_heads = check.positive_int(self, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            check.fail(
                self,
                "num_query_heads must be a multiple of num_key_value_heads, got "
                f"{num_query_heads} and {num_key_value_heads}",
            )
        self._set(dropout, use_bias, sliding_window, flash_attention, use_gate, seed, activity_regularizer, {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        })  # fmt: skip

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        if len(query_shape) != 3:
            check.fail(self, f"query must be (batch, time, features), got shape {tuple(query_shape)}")
        super().build(query_shape, value_shape, key_shape)

    def get_config(self) -> Config:
        config = super().get_config()
        if self.activity_regularizer is None:
            return config
        # Where there is one, Keras writes it with what all layers have.
        first = (*Layer.config_order, "activity_regularizer")
        return {**{k: config[k] for k in first}, **{k: v for k, v in config.items() if k not in first}}

    def _sizes(self) -> tuple[int, int, int, int]:
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim


__all__ = ["GroupedQueryAttention", "MultiHeadAttention"]
