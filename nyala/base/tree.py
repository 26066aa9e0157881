"""Nested structures of tensors: lists, tuples, named tuples and dicts (dicts in key order, ``None`` is a leaf)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from nyala._typing import Nest


def flatten(structure: Nest) -> list[Any]:
    """The leaves, in order."""
    return optree.tree_leaves(structure, none_is_leaf=True)


def flatten_with_structure(nest: Nest) -> tuple[list[Any], Any]:
    return optree.tree_flatten(nest, none_is_leaf=True)


def structure(nest: Nest) -> Any:
    """A hashable description of the nesting, without the leaves."""
    return optree.tree_structure(nest, none_is_leaf=True)


def unflatten(treedef: Any, leaves: list[Any]) -> Nest:
    return optree.tree_unflatten(treedef, leaves)


def map(fn: Callable[..., Any], nest: Nest, *rest: Nest) -> Nest:
    """``fn`` over the leaves of nests that are nested alike."""
    return optree.tree_map(fn, nest, *rest, none_is_leaf=True)


def paths(nest: Nest) -> list[tuple[Any, ...]]:
    """For each leaf the keys and indices that lead to it."""
    return optree.tree_paths(nest, none_is_leaf=True)


def is_nested(structure: Any) -> bool:
    return isinstance(structure, (list, tuple, dict))
