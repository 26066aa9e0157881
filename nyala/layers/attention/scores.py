"""Attention without heads: the scores of whole queries and keys, Luong's and Bahdanau's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import ops, random
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check
from nyala.base.seeds import SeedGenerator
from nyala.layers.base import Layer


class Attention(Layer):
    """softmax(scores(query, key)) @ value; Luong et al. 2015, https://arxiv.org/abs/1508.04025

    Called on ``[query, value]`` or ``[query, value, key]``; without keys the values are the keys.

    Args:
        use_scale: whether a trained factor ``scale`` multiplies the scores (in "concat" the sum inside tanh).
        score_mode: "dot": query . key; "concat": w * sum(tanh(query + key)) with a trained number w.
        dropout: the part of the weights that is dropped in training, in [0, 1].
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.

    The call takes ``mask=[query mask, value mask]``, ``return_attention_scores`` (the result is then ``(output,
    weights)``) and ``use_causal_mask`` (a query sees no later value). What a masked query gives is 0.

    Shapes: query (batch, t, n), value (batch, s, m), key (batch, s, n) -> (batch, t, m); weights (batch, t, s).
    """

    supports_masking = True
    config_order = (*Layer.config_order, "use_scale", "score_mode", "dropout", "seed")

    def __init__(
        self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, seed: Any = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = check.one_of(self, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = check.number_in(self, "dropout", dropout, 0, 1)
        self.seed = seed
        if dropout > 0:
            self.seed_generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)

    def build(self, input_shape: Sequence[Shape]) -> None:
        self._check(input_shape)
        self._add_scale(input_shape[0])
        self.concat_score_weight = (
            self.add_weight((), "ones", name="concat_score_weight") if self.score_mode == "concat" else None
        )

    def _add_scale(self, query_shape: Shape) -> None:
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None

    def _check(self, inputs: Any, mask: Any = None) -> None:
        many = isinstance(inputs, (list, tuple)) and all(hasattr(x, "shape") or isinstance(x, tuple) for x in inputs)
        if not many or len(inputs) not in (2, 3):
            count = f"{len(inputs)} of them" if many else "one tensor"
            check.fail(self, f"expected a list [query, value] or [query, value, key], got {count}")
        if mask is not None and (not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3)):
            check.fail(self, "mask must be a list [query mask, value mask], each of which may be None")

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.transpose(key, (0, 2, 1)))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        both = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        both = both if self.scale is None else ops.multiply(both, self.scale)
        return ops.multiply(ops.sum(ops.tanh(both), axis=-1), self.concat_score_weight)

    def call(
        self,
        inputs: Sequence[TensorLike],
        mask: Any = None,
        training: bool | None = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check(inputs, mask)
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask is not None else (None, None)
        scores = self._scores(query, key)
        allowed = None if value_mask is None else ops.expand_dims(ops.cast(value_mask, "bool"), -2)
        if use_causal_mask:
            t, s = ops.shape(scores)[-2:]
            causal = ops.greater_equal(ops.expand_dims(ops.arange(t), 1), ops.expand_dims(ops.arange(s), 0))
            allowed = causal if allowed is None else ops.logical_and(allowed, causal)
        if allowed is not None:
            far = 65504.0 if self.compute_dtype == "float16" else 1e9
            scores = ops.subtract(scores, ops.multiply(ops.cast(ops.logical_not(allowed), scores.dtype), far))
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        output = ops.matmul(weights, value)
        if query_mask is not None:
            output = ops.multiply(output, ops.cast(ops.expand_dims(query_mask, -1), output.dtype))
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, inputs: Sequence[TensorLike], mask: Any = None) -> Any:
        self._check(inputs, mask)
        return None if mask is None else mask[0]


class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) @ value; Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473

    Called on ``[query, value]`` or ``[query, value, key]`` as ``Attention`` is.

    Args: use_scale: whether ``scale``, a trained vector, weighs the features.

    Shapes: query (batch, t, n), value (batch, s, n) -> (batch, t, n); scale (n,).
    """

    config_skip = frozenset({"score_mode"})
    config_order = (*Layer.config_order, "use_scale", "dropout", "seed")

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def _add_scale(self, query_shape: Shape) -> None:
        self.scale = self.add_weight((query_shape[-1],), "glorot_uniform", name="scale") if self.use_scale else None

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        both = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(both if self.scale is None else ops.multiply(both, self.scale), axis=-1)
