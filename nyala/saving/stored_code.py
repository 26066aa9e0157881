"""What stands in a model for code that its file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from nyala import ops
from nyala.base import check, tree
from nyala.graph import infer


class StoredCode:
    """The function of a ``Lambda`` that a file holds as Python code, which is never run: calling it raises.

    Args:
        layer: the Lambda's name. shape: of its output as far as the file tells, without the batch axis; ``None``: that of
            its first input. With it the layers after it are built, and their weights loaded.
    """

    keras_module = "nyala.saving"

    def __init__(self, layer: str, shape: Sequence[int | None] | None = None):
        self.layer = layer
        self.shape = shape

    def __call__(self, inputs: Any, **arguments: Any) -> Any:
        if not infer.is_abstract():
            self._refuse("cannot be called", RuntimeError)
        first = next(x for x in tree.flatten(inputs) if hasattr(x, "shape"))
        if self.shape is None:
            return first
        sizes = tuple(first.shape)
        like = sizes if len(sizes) == len(self.shape) + 1 else (sizes[0],) * (len(self.shape) + 1)
        return ops.zeros((sizes[0], *(like[i + 1] if n is None else n for i, n in enumerate(self.shape))), first.dtype)

    def get_config(self) -> dict[str, Any]:
        self._refuse("cannot be saved", TypeError)

    def _refuse(self, what: str, error: type[Exception]) -> NoReturn:
        name = self.layer
        check.fail(
            f"Lambda `{name}`",
            f"{what}: the file it comes from holds Python code for it, which is never run. Write it as a function f and set "
            f"model.get_layer({name!r}).function = f, or load the file with custom_objects={{{name!r}: f}}",
            error,
        )


__all__ = ["StoredCode"]
