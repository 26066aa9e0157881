"""Attention: over heads (MultiHeadAttention, GroupQueryAttention) and over whole vectors (Attention, AdditiveAttention)."""

from nyala.layers.attention.heads import GroupedQueryAttention, MultiHeadAttention
from nyala.layers.attention.scores import AdditiveAttention, Attention

GroupQueryAttention = GroupedQueryAttention

__all__ = ["AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"]
