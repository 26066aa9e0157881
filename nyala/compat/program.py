"""``nyala run``: a program runs as ``python program.py`` would run it, with Nyala under the names of Keras."""

from __future__ import annotations

import ast
import os
import re
import runpy
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType
from typing import Any, NoReturn

import numpy as np

from nyala.base import config, old
from nyala.compat.hook import install

_LAYOUT = re.compile("(?:image_)?(?:dim_ordering|data_format)")
_KERAS_IN_TF = frozenset({"keras", "losses", "metrics", "optimizers", "initializers"})


def run(target: str, arguments: list[str], *, module: bool = False, backend: str | None = None) -> None:
    """Run the program in the file ``target`` (or the module, folder or ``-`` for the standard input) as ``__main__``.

    Returns when the program ends; what it raises, ``SystemExit`` too, is raised after its traceback has been shown.
    """
    if backend is not None:
        os.environ["NYALA_BACKEND"] = backend
    install()
    # The runner's own module must not be what pickle, multiprocessing and the program itself know as __main__.
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
    sys.argv[:] = [target, *arguments]
    try:
        if module:
            _set_path(os.getcwd())
            runpy._run_module_as_main(target)  # type: ignore[attr-defined]
        elif os.path.isdir(target):
            _set_path(target)
            runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        else:
            _run_file(target, main)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error)


def _run_file(target: str, main: ModuleType) -> None:
    if target == "-":
        source, name = sys.stdin.buffer.read(), "<stdin>"
        _set_path("")
    else:
        name = os.path.abspath(target)
        try:
            with open(name, "rb") as file:
                source = file.read()
        except OSError as error:
            print(f"nyala run: can't open file {name!r}: {error.strerror}", file=sys.stderr)
            sys.exit(2)
        _set_path(os.path.dirname(os.path.realpath(target)))
        main.__file__ = name
        main.__loader__ = SourceFileLoader("__main__", name)
        main.__dict__["__cached__"] = None
    tree = ast.parse(source, name)
    if needs_tensorflow(tree):
        _prefer_tensorflow()
    if counts_channels_first(tree):
        config.set_image_data_format("channels_first")
        old.tell("an image of shape (channels, height, width)", "config.set_image_data_format('channels_first') before")
    main.__dict__["__nyala_formattable__"] = formattable
    exec(compile(_Formatting().visit(tree), name, "exec", dont_inherit=True), main.__dict__)


def _set_path(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _show(error: BaseException) -> NoReturn:
    """Show the traceback from the program's first frame on, and leave as the interpreter leaves: 1, or by SIGINT."""
    shown: TracebackType | None = error.__traceback__
    while shown is not None and _is_ours(shown.tb_frame.f_code.co_filename):
        shown = shown.tb_next
    sys.excepthook(type(error), error.with_traceback(shown), shown)
    sys.excepthook = lambda *_: None
    raise error


def _is_ours(filename: str) -> bool:
    return filename == __file__


# -- what a printed loss may be -------------------------------------------------------------------------------------------


class _Formatting(ast.NodeTransformer):
    """Makes ``f"{loss.numpy():.4f}"`` work when the loss is one number for each sample, as a loss function's value is."""

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        self.generic_visit(node)
        if node.format_spec is not None and node.conversion == -1:
            called = ast.Call(ast.Name("__nyala_formattable__", ast.Load()), [node.value], [])
            node.value = ast.fix_missing_locations(ast.copy_location(called, node.value))
        return node


class _Array:
    def __init__(self, array: np.ndarray):
        self.array = array

    def __format__(self, spec: str) -> str:
        return np.array2string(self.array, formatter={"all": lambda x: format(x, spec)}) if spec else str(self.array)


def formattable(x: Any) -> Any:
    """``x``, or an array so wrapped that a format is that of its elements, where NumPy's own raises TypeError."""
    return _Array(x) if isinstance(x, np.ndarray) and x.ndim else x


# -- the backend of a program that chooses none ----------------------------------------------------------------------------


def needs_tensorflow(tree: ast.AST) -> bool:
    """Whether a program uses TensorFlow itself and not only ``tf.keras``: such a program was written for that backend."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, *rest = alias.name.split(".")
                if top == "tensorflow" and (not rest or alias.asname is None):
                    bound.add(alias.asname or top)
                elif top == "tensorflow" and "keras" not in rest:
                    return True
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top, *rest = node.module.split(".")
            if top == "tensorflow" and "keras" not in rest and any(a.name not in _KERAS_IN_TF for a in node.names):
                return True
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in bound
        and node.attr not in _KERAS_IN_TF | {"__version__"}
        for node in ast.walk(tree)
    )


def _prefer_tensorflow() -> None:
    from nyala.compat import hook, tensorflow

    chosen = os.environ.get("NYALA_BACKEND") or os.environ.get("KERAS_BACKEND") or config.get("backend")
    if not chosen and tensorflow.installed(hook._finder):
        os.environ["KERAS_BACKEND"] = "tensorflow"


# -- the layout of images in a program of the time of Theano ---------------------------------------------------------------


def counts_channels_first(tree: ast.AST) -> bool:
    """Whether a program of Keras 0 or 1 has its images as (channels, height, width), which was the default, and never says so.

    It shows by ``Convolution2D(filters, channels, rows, columns)`` of Keras 0, or by an ``input_shape`` that begins with 1 or 3.
    """
    nodes = list(ast.walk(tree))
    words = {_name(n) for n in nodes} | {n.arg for n in nodes if isinstance(n, ast.keyword) and n.arg}
    if "Convolution2D" not in words or any(map(_LAYOUT.search, words)):
        return False
    first = last = False
    for node in nodes:
        if isinstance(node, ast.Call) and _name(node.func) == "Convolution2D" and len(node.args) > 3:
            first |= not (isinstance(node.args[3], ast.Constant) and isinstance(node.args[3].value, str))
        elif isinstance(node, ast.keyword) and node.arg == "input_shape" and isinstance(node.value, ast.Tuple):
            ends = [getattr(n, "value", None) in (1, 3) for n in node.value.elts]
            first |= len(ends) == 3 and ends[0] and not ends[2]
            last |= len(ends) == 3 and ends[2]
    return first and not last


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
