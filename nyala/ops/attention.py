"""Scaled dot-product attention: by a backend's fused kernel, or step by step where the weights themselves are wanted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.ops._op import op

__all__ = ["dot_product_attention"]


@op
def dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    bias: TensorLike | None = None,
    mask: TensorLike | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """softmax(query @ key^T * scale + bias) @ value for each head (https://arxiv.org/abs/1706.03762).

    Args:
        bias: added to the scores, shape broadcastable to (batch, heads, t, s).
        mask: True where a query may look at a key, of the same shape; a query that may look at nothing gets zeros.
        scale: default 1 / sqrt(width of a head).
        is_causal: a query sees no later key.
        flash_attention: True demands a fused kernel that keeps no scores; None takes what is fast; False avoids it.
            Default: what ``nyala.config.enable_flash_attention`` or ``disable_flash_attention`` said.
        attn_logits_soft_cap: c keeps scores inside (-c, c) by c * tanh(score / c).

    Shapes: query (batch, t, heads, n), key and value (batch, s, groups, n) -> (batch, t, heads, n).

    Raises: ValueError for other ranks or heads; NotImplementedError when ``flash_attention=True`` cannot be had.
    """
    shapes = [tuple(x.shape) for x in (query, key, value)]
    if any(len(s) != 4 for s in shapes) or shapes[0][2] % shapes[1][2] or shapes[1][2] != shapes[2][2]:
        check.fail(
            "dot_product_attention",
            "query, key and value must be (batch, length, heads, width), the heads of query a multiple of those of key "
            f"and value; got {shapes[0]}, {shapes[1]}, {shapes[2]}",
        )
    flash = config.is_flash_attention_enabled() if flash_attention is None else flash_attention
    dtype = dtypes.result_type(*(ops.dtype(x) for x in (query, key, value)))
    if not dtypes.is_float(dtype):
        dtype = dtypes.result_type(dtype, "float")
    query, key, value = (ops.cast(x, dtype) for x in (query, key, value))
    bias = None if bias is None else ops.cast(bias, dtype)
    mask = None if mask is None else ops.cast(mask, "bool")
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    if attn_logits_soft_cap is None:
        return _fused_attention(query, key, value, bias, mask, scale, bool(is_causal), flash)
    if flash:
        _no_flash("attn_logits_soft_cap is not part of the fused kernel")
    return _by_steps(query, key, value, bias, mask, scale, is_causal, attn_logits_soft_cap)


@op
def _fused_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    bias: TensorLike | None = None,
    mask: TensorLike | None = None,
    scale: float = 1.0,
    is_causal: bool = False,
    flash_attention: bool | None = None,
) -> Tensor:
    """``dot_product_attention`` of floats of one dtype and a bool mask; natives call the library's own kernel."""
    if flash_attention:
        _no_flash("this backend has none")
    return _by_steps(query, key, value, bias, mask, scale, is_causal)


def _no_flash(why: str) -> None:
    check.fail(
        "dot_product_attention", f"there is no flash attention here: {why}; leave flash_attention None",
        NotImplementedError,
    )  # fmt: skip


def _by_steps(
    query: Tensor, key: Tensor, value: Tensor, bias: Any, mask: Any, scale: float, is_causal: bool, cap: Any = None
) -> Tensor:
    weights = attention_weights(query, key, bias, mask, scale, is_causal, cap)
    return weighted_values(weights, value)


def attention_weights(
    query: Tensor,
    key: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float = 1.0,
    is_causal: bool = False,
    soft_cap: float | None = None,
) -> Tensor:
    """What each query takes of each value: (batch, heads, t, s) for the arguments of ``dot_product_attention``."""
    dtype = ops.dtype(query)
    key = _for_all_heads(key, query.shape[2])
    # Scaled before the product, which has more numbers.
    scores = ops.einsum("btnh,bsnh->bnts", ops.multiply(query, scale), key)
    scores = ops.cast(scores, "float32") if dtype in ("float16", "bfloat16") else scores
    if soft_cap is not None:
        scores = ops.tanh(scores / soft_cap) * soft_cap
    if bias is not None:
        scores = scores + ops.cast(bias, ops.dtype(scores))
    if is_causal:
        t, s = ops.shape(scores)[2:]
        causal = ops.greater_equal(ops.expand_dims(ops.arange(t), 1), ops.expand_dims(ops.arange(s), 0))
        mask = causal if mask is None else ops.logical_and(mask, causal)
    if mask is None:
        return ops.cast(ops.softmax(scores), dtype)
    # Far below every score, but finite: a row without any True must not become nan.
    weights = ops.softmax(ops.where(mask, scores, -0.7 * float(np.finfo(ops.dtype(scores)).max)))
    some = ops.any(mask, axis=-1, keepdims=True)
    return ops.cast(ops.multiply(weights, ops.cast(some, ops.dtype(weights))), dtype)


def weighted_values(weights: Tensor, value: Tensor) -> Tensor:
    """weights (batch, heads, t, s) @ value (batch, s, groups, n) -> (batch, t, heads, n)."""
    value = _for_all_heads(value, weights.shape[1])
    return ops.einsum("bnts,bsnh->btnh", weights, value)


def _for_all_heads(x: Tensor, heads: int) -> Tensor:
    """Keys or values that several heads share, once for each."""
    return x if x.shape[2] == heads else ops.repeat(x, heads // x.shape[2], axis=2)
