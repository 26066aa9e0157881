"""The table that ``model.summary()`` prints."""

from __future__ import annotations

import html
import io
import math
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala.base import check, tracking, tree
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers.base import Layer
from nyala.models.model import Model
from nyala.training.progress import in_notebook


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[..., Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the table; arguments as for ``Model.summary``."""
    if print_fn is None and in_notebook():
        _display(model, line_length, positions, expand_nested, show_trainable, layer_range)
        return
    text = summary_text(
        model, line_length, positions, expand_nested, show_trainable, layer_range, plain=print_fn is not None
    )
    if print_fn is None:
        sys.stdout.write(text)
    else:
        print_fn(text.rstrip("\n"))


def _display(
    model: Any,
    line_length: int | None,
    positions: Sequence[float] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
) -> None:
    """One display of a table that the notebook lays out; as text where it shows no HTML."""
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    columns, rows = _cells(model, expand_nested, show_trainable, layer_range)
    sides = [f'style="text-align:{side}"' for _, side in columns]
    head = "".join(f"<th {s}>{html.escape(title)}</th>" for (title, _), s in zip(columns, sides))
    body = "".join(
        "<tr>" + "".join(f"<td {s}>{_leading(cell)}</td>" for cell, s in zip(row, sides)) + "</tr>" for row in rows
    )
    totals = "<br>".join(html.escape(line.strip()) for line in _totals(model))
    page = f"<b>Model: {html.escape(model.name)}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{totals}"
    text = summary_text(model, line_length, positions, expand_nested, show_trainable, layer_range, plain=True)
    display({"text/html": page, "text/plain": text}, raw=True)


def _leading(cell: str) -> str:
    """HTML of a cell that keeps its indentation and lines."""
    text = cell.lstrip(" ")
    return "&nbsp;" * (len(cell) - len(text)) + html.escape(text).replace("\n", "<br>")


def summary_text(
    model: Any,
    line_length: int | None,
    positions: Sequence[float] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
    plain: bool,
) -> str:
    """The summary as text; with colours when it goes to a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns, rows = _cells(model, expand_nested, show_trainable, layer_range)
    connected = len(columns) == 4 + show_trainable
    share = [0.28, 0.54, 0.70, 1.0] if connected else [0.45, 0.80, 1.0]
    if show_trainable:
        share = [s * 0.9 for s in share] + [1.0]
    line_length = line_length or min(shutil.get_terminal_size((88, 24)).columns, 98 if connected else 78)
    if positions is not None:
        share = [p / line_length if p > 1 else p for p in positions][: len(columns)]
        if len(share) < len(columns):
            check.fail(
                "summary",
                f"positions needs {len(columns)} numbers for the columns {[c for c, _ in columns]}, got {positions}",
            )

    table = Table(box=box.HEAVY_HEAD, show_lines=True, width=line_length, pad_edge=True)
    ends = [0, *(int(line_length * s) for s in share)]
    for (title, side), start, end in zip(columns, ends, ends[1:]):
        table.add_column(Text(title), justify=side, width=max(end - start - 3, 4), overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))

    out = io.StringIO()
    colours = not plain and sys.stdout.isatty()
    # In a notebook rich would show each line by itself.
    console = Console(file=out, width=line_length, force_terminal=colours, force_jupyter=False, highlight=False)
    console.print(Text(f'Model: "{model.name}"', style="bold"))
    console.print(table)
    for line in _totals(model):
        console.print(Text(line))
    return out.getvalue()


def _cells(
    model: Any, expand_nested: bool, show_trainable: bool, layer_range: Sequence[str] | None
) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """The columns, (title, side) each, and the rows."""
    graph = model._graph()
    connected = graph is not None and graph is model and not _is_chain(graph)
    columns = [("Layer (type)", "left"), ("Output Shape", "left"), ("Param #", "right")]
    columns += [("Connected to", "left")] * connected + [("Trainable", "center")] * show_trainable
    return columns, _rows(model, graph, connected, expand_nested, show_trainable, layer_range)


def _is_chain(graph: Any) -> bool:
    """Whether each layer is called once, on the output of the one before."""
    function = graph._function
    return (
        len(function.flat_inputs) == len(function.flat_outputs) == 1
        and all(len(node.inputs) == 1 for node in function.nodes)
        and len({id(n.inputs[0]) for n in function.nodes}) == len(function.nodes)
        and len({id(n.operation) for n in function.nodes}) == len(function.nodes)
    )


def _rows(
    model: Any,
    graph: Any,
    connected: bool,
    expand: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
    depth: int = 0,
) -> list[list[str]]:
    operations = list(model.operations) if graph is model else list(model.layers)
    if layer_range is not None:
        operations = _between(model, operations, layer_range)
    inside = {id(n) for n in graph._function.nodes} if graph is not None else set()
    rows = []
    for op in operations:
        kind = type(op).__name__ if isinstance(op, Layer) else "".join(p.title() for p in op.fn.__name__.split("_"))
        name = f"{'   ' * depth}{'└ ' if depth else ''}{op.name}"
        row = [f"{name} ({kind})", _shape(op), _parameters(op)]
        if connected:
            row.append(_sources(op, inside) if depth == 0 else "-")
        if show_trainable:
            weights = op.weights if isinstance(op, Layer) else []
            row.append(("Y" if op.trainable else "N") if weights else "-")
        rows.append(row)
        if expand and isinstance(op, Model):
            rows += _rows(op, op._graph(), connected, expand, show_trainable, None, depth + 1)
    return rows


def _between(model: Any, operations: list[Any], layer_range: Sequence[str]) -> list[Any]:
    if len(layer_range) != 2:
        check.fail("summary", f"layer_range needs two names, got {layer_range!r}")

    def position(pattern: str, last: bool) -> int:
        hits = [i for i, op in enumerate(operations) if op.name == pattern] or [
            i for i, op in enumerate(operations) if re.match(pattern, op.name)
        ]
        if not hits:
            check.fail(
                "summary",
                f"layer_range: no layer matches {pattern!r}.{check.nearest(pattern, [o.name for o in operations])}",
            )
        return hits[-1] if last else hits[0]

    first, last = position(layer_range[0], False), position(layer_range[1], True)
    return operations[min(first, last) : max(first, last) + 1]


def _shape(op: Any) -> str:
    if not op._call_nodes:
        return "?"
    shapes = [str(x.shape) for x in tree.flatten(op._call_nodes[0].outputs) if isinstance(x, SymbolicTensor)]
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


def _parameters(op: Any) -> str:
    if not isinstance(op, Layer):
        return "0"
    count = sum(_size(v) for v in op.weights)
    return f"{count:,}" if op.built else f"{count:,} (unbuilt)"


def _sources(op: Any, inside: set[int]) -> str:
    places = [
        f"{x.node.operation.name}[{x.node.call_index}][{x.index}]"
        for node in op._call_nodes
        if id(node) in inside
        for x in node.inputs
        if x.node is not None
    ]
    return ", ".join(places) or "-"


def _totals(model: Any) -> list[str]:
    trainable = model.trainable_weights
    chosen = {id(v) for v in trainable}
    frozen = [v for v in model.weights if id(v) not in chosen]
    slots = [] if model.optimizer is None else tracking.unique(model.optimizer.variables)
    lines = [
        ("Total params", [*trainable, *frozen, *slots]),
        ("Trainable params", trainable),
        ("Non-trainable params", frozen),
    ]
    if slots:
        lines.append(("Optimizer params", slots))
    return [f" {title}: {sum(map(_size, group)):,} ({_bytes(group)})" for title, group in lines]


def _size(variable: Variable) -> int:
    return int(np.prod(variable.shape))


def _bytes(variables: Sequence[Variable]) -> str:
    from nyala.backends.dtypes import numpy_dtype

    n = sum(_size(v) * (numpy_dtype(v.dtype).itemsize) for v in variables)
    if n == 0:
        return "0.00 B"
    power = min(int(math.log(n, 1024)), 5)
    return f"{n / 1024**power:.2f} {('B', 'KB', 'MB', 'GB', 'TB', 'PB')[power]}"
