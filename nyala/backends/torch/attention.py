"""Scaled dot-product attention on torch's own kernels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float = 1.0,
    is_causal: bool = False,
    flash_attention: bool | None = None,
) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    if k.shape[1] != q.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    if is_causal and (mask is not None or bias is not None):  # the kernel takes one or the other
        causal = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        mask, is_causal = causal if mask is None else mask & causal, False
    allowed: Any = mask
    if bias is not None:
        allowed = bias if mask is None else torch.where(mask, bias, float("-inf"))
    if flash_attention is None:
        out = F.scaled_dot_product_attention(q, k, v, allowed, is_causal=is_causal, scale=scale)
    else:
        kinds = [SDPBackend.FLASH_ATTENTION] if flash_attention else [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        try:
            with sdpa_kernel(kinds):
                out = F.scaled_dot_product_attention(q, k, v, allowed, is_causal=is_causal, scale=scale)
        except RuntimeError as error:
            raise NotImplementedError(
                f"dot_product_attention: torch has no flash attention for these tensors ({error}); "
                "leave flash_attention None"
            ) from error
    return out.transpose(1, 2)
