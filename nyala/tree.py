"""Nested lists, tuples and dicts: ``keras.tree``. Dicts are walked in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from nyala._typing import Nest
from nyala.base import check, tree
from nyala.base.tree import flatten, is_nested


class MAP_TO_NONE:
    """What a function gives to ``traverse`` to put ``None`` in a place."""


def flatten_with_path(structure: Nest) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves with the keys and indices that lead to them."""
    return list(zip(tree.paths(structure), flatten(structure)))


def map_structure(func: Callable[..., Any], *structures: Nest, none_is_leaf: bool = True) -> Nest:
    """``func`` over the leaves of structures nested alike; with ``none_is_leaf=False`` every ``None`` stays."""
    _function("map_structure", func)
    if not structures:
        check.fail("map_structure", "needs a structure")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    return optree.tree_map(func, *structures, none_is_leaf=none_is_leaf)


def map_structure_up_to(shallow_structure: Nest, func: Callable[..., Any], *structures: Nest) -> Nest:
    """``func`` over the parts of structures that stand where ``shallow_structure`` has its leaves."""
    _function("map_structure_up_to", func)
    return (
        tree.map(func, shallow_structure, *structures)
        if not structures
        else _up_to(shallow_structure, func, structures)
    )


def _up_to(shallow: Nest, func: Callable[..., Any], structures: tuple[Nest, ...]) -> Nest:
    treedef = tree.structure(shallow)
    try:
        parts = [treedef.flatten_up_to(s) for s in structures]
    except ValueError as error:
        error.add_note(f"map_structure_up_to: each structure must begin as {shallow!r}")
        raise
    return tree.unflatten(treedef, [func(*leaves) for leaves in zip(*parts)])


def map_shape_structure(func: Callable[..., Any], structure: Nest) -> Nest:
    """``func`` over the shapes in a structure, a shape being a list or tuple of ints and ``None``."""
    _function("map_shape_structure", func)

    def is_shape(x: Any) -> bool:
        return isinstance(x, (list, tuple)) and all(n is None or check.is_int(n) for n in x)

    return optree.tree_map(func, structure, is_leaf=is_shape, none_is_leaf=True)


def pack_sequence_as(structure: Nest, flat_sequence: Any) -> Nest:
    """The leaves of ``flat_sequence`` nested as ``structure`` is. Raises ValueError if their number differs."""
    if not is_nested(flat_sequence):
        check.fail("pack_sequence_as", f"flat_sequence must be a list, got {type(flat_sequence).__name__}", TypeError)
    if not is_nested(structure):
        if len(flat_sequence) != 1:
            check.fail("pack_sequence_as", f"a single leaf is asked for, flat_sequence has {len(flat_sequence)}")
        return flat_sequence[0]
    leaves, treedef = list(flat_sequence), tree.structure(structure)
    if len(leaves) != treedef.num_leaves:
        check.fail("pack_sequence_as", f"the structure has {treedef.num_leaves} leaves, flat_sequence {len(leaves)}")
    return tree.unflatten(treedef, leaves)


def lists_to_tuples(structure: Nest) -> Nest:
    """The structure with a tuple for each list."""
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, top_down=False)


def traverse(func: Callable[[Any], Any], structure: Nest, top_down: bool = True) -> Nest:
    """A copy in which each part is what ``func(part)`` gives, ``None`` meaning: as it is, with its own parts traversed.

    Args: top_down: parts before what they hold; else what they hold first.
    """
    _function("traverse", func)

    def inside(part: Nest) -> Nest:
        if isinstance(part, dict):
            same = {key: walk(value) for key, value in part.items()}
            return same if type(part) is dict else type(part)(same)
        if isinstance(part, (list, tuple)):
            values = [walk(value) for value in part]
            return type(part)(*values) if hasattr(part, "_fields") else type(part)(values)
        return part

    def walk(part: Nest) -> Nest:
        if not top_down:
            part = inside(part)
        found = func(part)
        if found is None:
            return inside(part) if top_down else part
        return None if found is MAP_TO_NONE else found

    return walk(structure)


def assert_same_structure(a: Nest, b: Nest, check_types: Any = None) -> None:
    """Raise ValueError unless ``a`` and ``b`` are nested alike, by containers of the same types.

    Args: check_types: of older Keras; types are always compared.
    """
    if tree.structure(a) != tree.structure(b):
        check.fail("assert_same_structure", f"{tree.structure(a)} and {tree.structure(b)} are nested differently")


def assert_same_paths(a: Nest, b: Nest) -> None:
    """Raise ValueError unless the leaves of ``a`` and ``b`` are reached by the same keys and indices."""
    left, right = set(tree.paths(a)), set(tree.paths(b))
    if left != right:
        check.fail(
            "assert_same_paths",
            f"paths only in the first: {left - right or '{}'}, only in the second: {right - left or '{}'}",
        )


def _function(who: str, func: Any) -> None:
    if not callable(func):
        check.fail(who, f"func must be callable, got {func!r}", TypeError)


__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip
