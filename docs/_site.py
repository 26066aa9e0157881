"""What the site has beside its Markdown: the pages of the API reference, and the tables of old spellings.

A hook of MkDocs (``hooks:`` in mkdocs.yml). Both are taken from the library when the site is built, so they cannot drift.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Page

ROOT = Path(__file__).resolve().parent.parent

# Classes that users derive from: their members are told once, with them, not with every class below.
_BASES = frozenset({
    "BaseImagePreprocessingLayer", "Callback", "Functional", "Initializer", "KerasClassifier", "KerasFileEditor",
    "KerasRegressor", "Layer", "Loss", "Metric", "Model", "Optimizer", "PyDataset", "RNN", "Sequential", "Variable",
    "Wrapper",
})  # fmt: skip
_TOP = (
    "Model", "Sequential", "Functional", "Layer", "Input", "InputSpec", "Variable", "function", "value_and_grad",
    "backend_scope", "device", "RematScope", "remat", "StatelessScope", "DTypePolicy", "KerasTensor", "name_scope",
)  # fmt: skip


def on_files(files: Files, config: Any) -> Files:
    told: dict[int, str] = {}
    for page in sorted({file for file in _in_nav(config.nav) if file.startswith("api/")}):
        space = page.removeprefix("api/").removesuffix(".md")
        files.append(File.generated(config, page, content=_reference(space, told)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    for name, table in _TABLES.items():
        if f"{{{{ {name} }}}}" in markdown:
            markdown = markdown.replace(f"{{{{ {name} }}}}", table())
    return markdown


def _in_nav(nav: Any) -> Iterator[str]:
    for entry in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from [entry] if isinstance(entry, str) else _in_nav(entry)


# -- reference ---------------------------------------------------------------------------------------------------------


def _reference(space: str, told: dict[int, str]) -> str:
    """The page of a namespace: its objects by family, each once with all its names; ``told``: where others were told."""
    module = importlib.import_module("nyala" if space == "nyala" else f"nyala.{space}")
    names: dict[int, list[str]] = {}
    objects: dict[int, Any] = {}
    for name in _TOP if space == "nyala" else _public(module):
        found = getattr(module, name)
        if not inspect.ismodule(found) and callable(found):
            objects[id(found)] = found
            names.setdefault(id(found), []).append(name)
    families: dict[str, list[str]] = {}
    elsewhere = []
    for key, found in objects.items():
        first, *others = sorted(names[key], key=lambda n: (n != getattr(found, "__name__", None), n))
        if key in told:
            elsewhere.append(f"[`{first}`][{told[key]}]")
            continue
        told[key] = f"{found.__module__}.{found.__name__}"
        entry = [_entry(f"{module.__name__}.{first}", found)]
        if others:
            entry.append("Also " + ", ".join(f"`{other}`" for other in others) + ".")
        families.setdefault(found.__module__, []).append("\n\n".join(entry))
    lines = [f"# {module.__name__}", (module.__doc__ or "").replace("``", "`")]
    for family, entries in families.items():
        text = (importlib.import_module(family).__doc__ or "").split("\n\n")[0].replace("``", "`")
        if len(families) > 1:
            inner = family.removeprefix(f"{module.__name__}.")
            title = inner if inner != family else family.rpartition(".")[2]
            lines += [f"## {title.lstrip('_').replace('_', ' ')}", text]
        lines += entries
    if elsewhere:
        lines += ["## Told elsewhere", "The same objects as there: " + ", ".join(elsewhere) + "."]
    return "\n\n".join(lines)


def _public(module: ModuleType) -> list[str]:
    """The names of ``__all__``, else those that the module itself defines."""
    own = [n for n, x in vars(module).items() if getattr(x, "__module__", None) == module.__name__ and n[0] != "_"]
    return sorted(getattr(module, "__all__", own))


def _members(found: Any) -> list[str]:
    """The public methods and properties of a class that none of ``_BASES`` above it tells."""
    if not inspect.isclass(found):
        return []
    told = {name for base in found.__mro__[1:] if base.__name__ in _BASES for name in dir(base)}
    return [
        name
        for name in dir(found)
        if name[0] != "_"
        and name not in told
        and isinstance(inspect.getattr_static(found, name), (FunctionType, classmethod, staticmethod, property))
    ]


def _entry(name: str, found: Any) -> str:
    """mkdocstrings' directive for an object under its public name; what it cannot find in the source, written out."""
    place = f"{found.__module__}.{found.__qualname__}"
    path = ROOT / f"{found.__module__.replace('.', '/')}.py"
    source = (path if path.exists() else path.with_suffix("") / "__init__.py").read_text()
    defined = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    if found.__name__ in defined and "<locals>" not in place:
        members = _members(found) or False
        options = {"heading": name, "toc_label": found.__name__, "members": members, "inherited_members": members}
        return f"::: {place}\n    options: {json.dumps(options)}"
    text = (
        inspect.cleandoc(found.__doc__ or "")
        .replace("``", "`")
        .replace(":\n    ", ":\n\n    ")
        .replace("\n    ", "\n- ")
    )
    bare = [p.replace(annotation=p.empty) for p in inspect.signature(found).parameters.values()]
    signature = inspect.Signature(bare)
    return f"### {name} {{ #{place} }}\n\n```python\n{name.split('.')[-1]}{signature}\n```\n\n{text}"


# -- old spellings -----------------------------------------------------------------------------------------------------


def _table(heads: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {old} | {new} |" for old, new in rows)])


def _code(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _layer_arguments() -> str:
    from nyala.base import old

    rows = [(_code(name), _code(*today)) for name, today in old.LAYER_ARGUMENTS.items()]
    rows += [(_code(*group), _code(f"{name}=(...)")) for name, groups in old._SPLIT.items() for group in groups]
    rows += [
        (_code(f"{name}={value!r}"), _code(f"{name}={today!r}"))
        for name, values in old._VALUES.items()
        for value, today in values.items()
    ]
    return _table(("older Keras", "today (the first that the layer has)"), rows)


def _dropped() -> str:
    from nyala.base import old

    return _table(("argument", "today"), [(_code(name), instead) for name, (_, instead) in old._DROPPED.items()])


def _method_arguments() -> str:
    from nyala.base import old

    rows = [
        (_code(f"{method}({name}=...)"), _code(f"{method}({today}=...)"))
        for method, names in old.METHOD_ARGUMENTS.items()
        for name, today in names.items()
    ]
    return _table(("older Keras", "today"), rows)


def _told() -> str:
    """Every pair of constant texts that the library hands to ``tell``."""
    rows = set()
    for path in (ROOT / "nyala").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (
                isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) == "tell"
            ):
                continue
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if len(texts) == 2:
                rows.add((_code(texts[0]), texts[1].replace("|", "\\|")))
    return _table(("older Keras", "today"), sorted(rows, key=lambda row: row[0].lower()))


_TABLES = {
    "layer_arguments": _layer_arguments,
    "dropped": _dropped,
    "method_arguments": _method_arguments,
    "told": _told,
}
