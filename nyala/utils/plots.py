"""``plot_model``: a model as a picture, by Graphviz where it is installed, else drawn by ourselves."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nyala.base import check, files, tree
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers.base import Layer
from nyala.layers.input import InputLayer
from nyala.models.model import Model

_RANKDIRS = ("TB", "BT", "LR", "RL")
_SPLINES = ("ortho", "curved", "polyline", "line", "spline", "none", "true", "false", "compound")
_OWN_FORMATS = ("png", "svg", "jpg", "jpeg", "pdf", "webp", "gif", "bmp", "tiff")


@dataclass(eq=False)
class Cell:
    """A field of a box: a label and a value in bold."""

    label: str
    value: str
    fill: str = "white"
    color: str = "black"

    def parts(self, is_title: bool) -> list[tuple[str, bool]]:
        """The text in pieces and whether each is bold."""
        if is_title:
            return [(self.label, True), (f" {self.value}", False)] if self.label else [(self.value, True)]
        return [(self.label, False), (self.value, True)]


@dataclass(eq=False)
class Box:
    """A layer: rows of cells under each other, the first its title."""

    rows: list[list[Cell]]


@dataclass(eq=False)
class Graph:
    """Boxes and graphs inside graphs, and the wires between them.

    The end of a wire is ``(item, port)``: the outputs of an item at its beginning, its inputs at its end. Item ``None`` is
    the graph itself, whose own inputs and outputs wires begin and end at.
    """

    label: str
    items: list[Box | Graph] = field(default_factory=list)
    wires: dict[tuple[tuple[Any, int], tuple[Any, int]], None] = field(default_factory=dict)

    def connect(self, source: tuple[Any, int], target: tuple[Any, int]) -> None:
        self.wires[source, target] = None

    def sources(self, item: Any, port: int) -> Iterator[Box]:
        """The boxes inside that give output ``port`` of an item."""
        if isinstance(item, Box):
            yield item
        elif item is not None:
            for (inner, inner_port), end in item.wires:
                if end == (None, port):
                    yield from item.sources(inner, inner_port)

    def targets(self, item: Any, port: int) -> Iterator[Box]:
        """The boxes inside that take input ``port`` of an item."""
        if isinstance(item, Box):
            yield item
        elif item is not None:
            for begin, (inner, inner_port) in item.wires:
                if begin == (None, port):
                    yield from item.targets(inner, inner_port)


@dataclass
class _Look:
    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool
    expand: bool


def _describe(model: Any, look: _Look, chosen: set[int] | None = None) -> Graph:
    """The picture of a model; ``chosen``: the ids of the layers to show."""
    if not isinstance(model, Model):
        check.fail("plot_model", f"model must be a Model, got {type(model).__name__}", TypeError)
    graph = model._graph()
    result = Graph(model.name)
    if graph is not None:
        _fill(result, graph, look, graph is model, chosen)
        result.wires = {wire: None for wire in result.wires if None not in (wire[0][0], wire[1][0])}
    elif not model.built:
        check.fail("plot_model", f"the model `{model.name}` is not built; build it or call it on data first")
    elif look.expand and model.layers:  # how a subclassed model connects its layers is known to its code alone
        result.items = [_box(layer, layer._call_nodes, look) for layer in model.layers]
    else:
        result.items = [_box(model, model._call_nodes, look)]
    return result


def _fill(result: Graph, graph: Any, look: _Look, with_inputs: bool, chosen: set[int] | None = None) -> None:
    function = graph._function
    calls: dict[int, list[Any]] = {}
    for node in function.nodes:
        calls.setdefault(id(node.operation), []).append(node)
    items: dict[int, Box | Graph] = {}
    origin: dict[int, tuple[Any, int]] = {}
    for i, x in enumerate(function.flat_inputs):
        origin[id(x)] = (None, i)
    for operation in graph.operations:
        hidden = isinstance(operation, InputLayer) and not with_inputs
        if hidden or (chosen is not None and id(operation) not in chosen):
            continue
        nodes = calls.get(id(operation), operation._call_nodes)
        inner = operation._graph() if look.expand and isinstance(operation, Model) else None
        if inner is None:
            item: Box | Graph = _box(operation, nodes, look)
        else:
            item = Graph(operation.name)
            _fill(item, inner, look, inner is operation)
        items[id(operation)] = item
        result.items.append(item)
        if isinstance(operation, InputLayer):
            position = [id(x) for x in graph.inputs].index(id(operation._call_nodes[0].flat_outputs[0]))
            origin[id(function.flat_inputs[position])] = (item, 0)
            result.connect((None, position), (item, 0))
    for node in function.nodes:
        if id(node.operation) not in items:
            continue
        item = items[id(node.operation)]
        is_box = isinstance(item, Box)
        for i, x in enumerate(node.inputs):
            if id(x) in origin:
                result.connect(origin[id(x)], (item, 0 if is_box else i))
        for i, x in enumerate(node.flat_outputs):
            origin[id(x)] = (item, 0 if is_box else i)
    for i, x in enumerate(function.flat_outputs):
        if id(x) in origin:
            result.connect(origin[id(x)], (None, i))


def _box(operation: Any, nodes: Sequence[Any], look: _Look) -> Box:
    is_layer = isinstance(operation, Layer)
    kind = type(operation).__name__ if is_layer else "".join(p.title() for p in operation.fn.__name__.split("_"))
    rows = [[Cell(operation.name, f"({kind})") if look.names else Cell("", kind)]]
    if look.activations and (activation := getattr(operation, "activation", None)) is not None:
        name = getattr(activation, "__name__", None) or getattr(activation, "name", type(activation).__name__)
        rows.append([Cell("Activation: ", str(name))])
    row = []
    if look.shapes:
        if not isinstance(operation, InputLayer):
            row.append(Cell("Input shape: ", _texts([n.inputs for n in nodes], "shape")))
        row.append(Cell("Output shape: ", _texts([n.flat_outputs for n in nodes], "shape")))
    if look.dtype:
        row.append(Cell("Output dtype: ", _texts([n.flat_outputs for n in nodes], "dtype")))
    if look.trainable and is_layer and operation.weights:
        free = operation.trainable
        row.append(Cell("", "Trainable" if free else "Non-trainable", "forestgreen" if free else "firebrick", "white"))
    return Box(rows + ([row] if row else []))


def _texts(calls: list[Any], attribute: str) -> str:
    """The shapes or dtypes of a layer's calls, each once."""
    found = []
    for tensors in calls:
        parts = [str(getattr(x, attribute)) for x in tree.flatten(tensors) if isinstance(x, SymbolicTensor)]
        text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
        if attribute == "dtype" and len(set(parts)) == 1:
            text = parts[0]
        if parts and text not in found:
            found.append(text)
    return ", ".join(found) or "?"


def _chosen(model: Any, layer_range: Sequence[str] | None) -> set[int] | None:
    if layer_range is None:
        return None
    layers = list(model.layers)
    if len(layer_range) != 2:
        check.fail("plot_model", f"layer_range needs the names of the first and the last layer, got {layer_range!r}")
    ends = []
    for pattern in layer_range:
        hits = [i for i, x in enumerate(layers) if re.fullmatch(pattern, x.name)]
        if not hits:
            check.fail(
                "plot_model",
                f"layer_range: no layer is named {pattern!r}.{check.nearest(pattern, [x.name for x in layers])}",
            )
        ends += [hits[0], hits[-1]]
    return {id(x) for x in layers[min(ends) : max(ends) + 1]}


def _dot(graph: Graph, rankdir: str, dpi: int, splines: str, subgraph: bool) -> Any:
    try:
        import pydot
    except ImportError as error:
        raise ImportError('model_to_dot gives a pydot graph: pip install "nyala[plot]"') from error
    if subgraph:
        dot = pydot.Cluster(graph_name=graph.label, style="dashed", label=graph.label, labeljust="l")
    else:
        dot = pydot.Dot("G", graph_type="digraph", rankdir=rankdir, concentrate="true", dpi=dpi, splines=splines)
        dot.set_node_defaults(shape="record")
    for item in graph.items:
        if isinstance(item, Graph):
            dot.add_subgraph(_dot(item, rankdir, dpi, splines, subgraph=True))
        else:
            dot.add_node(pydot.Node(str(id(item)), label=_html(item), fontname="Helvetica", border="0", margin="0"))
    joined = dict.fromkeys(
        (a, b)
        for (source, i), (target, j) in graph.wires
        for a in graph.sources(source, i)
        for b in graph.targets(target, j)
    )
    for a, b in joined:
        dot.add_edge(pydot.Edge(str(id(a)), str(id(b)), penwidth=2))
    return dot


def _html(box: Box) -> str:
    from html import escape

    def cell(c: Cell, is_title: bool, span: int) -> str:
        text = "".join(f"<b>{escape(t)}</b>" if bold else escape(t) for t, bold in c.parts(is_title))
        size, fill, color = (16, "black", "white") if is_title else (14, c.fill, c.color)
        return f'<td colspan="{span}" bgcolor="{fill}"><font point-size="{size}" color="{color}">{text}</font></td>'

    width = max(map(len, box.rows))
    rows = ["".join(cell(c, i == 0, width if len(row) == 1 else 1) for c in row) for i, row in enumerate(box.rows)]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<<table border="0" cellborder="1" bgcolor="black" cellpadding="10">{body}</table>>'


def _checked(
    model: Any, show_shapes: bool, show_dtype: bool, show_layer_names: bool, rankdir: str, expand_nested: bool, dpi: int,
    show_layer_activations: bool, show_trainable: bool, splines: str, kwargs: dict[str, Any],
) -> Graph:  # fmt: skip
    check.one_of("plot_model", "rankdir", rankdir, _RANKDIRS)
    check.positive_int("plot_model", "dpi", dpi)
    check.one_of("plot_model", "splines", splines, _SPLINES)
    layer_range = kwargs.pop("layer_range", None)
    check.no_extra("plot_model", kwargs, ("show_shapes", "show_dtype", "expand_nested", "layer_range"))
    look = _Look(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    return _describe(model, look, _chosen(model, layer_range))


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """The ``pydot.Dot`` of a model; with ``subgraph`` the ``pydot.Cluster``. Other arguments: ``plot_model``.

    Raises: ImportError without pydot.
    """
    graph = _checked(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations,
        show_trainable, splines, kwargs,
    )  # fmt: skip
    return _dot(graph, rankdir, dpi, splines, subgraph)


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] | None = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draws a model into a file; in a notebook the picture is returned to be shown.

    Args:
        model: a built model. Nested models are single boxes, subclassed ones have no known connections.
        to_file: its ending says the format; ``None`` writes nothing and returns the picture's bytes.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what boxes tell.
        rankdir: direction of the flow: ``"TB"``, ``"BT"``, ``"LR"`` or ``"RL"``.
        expand_nested: draw nested models in frames.
        dpi: dots per inch. splines: ``"ortho"``, ``"curved"``, or Graphviz's other kinds of lines.
        layer_range: names (or patterns) of the first and the last layer to draw.

    Raises: ImportError when neither Graphviz and pydot nor Pillow are there; ValueError for a format nobody writes.
    """
    graph = _checked(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, show_layer_activations,
        show_trainable, splines, kwargs,
    )  # fmt: skip
    ending = Path(to_file).suffix.lstrip(".").lower() if to_file is not None else "png"
    ending = ending or "png"
    if _has_graphviz():
        data = _dot(graph, rankdir, dpi, splines, subgraph=False).create(format=ending)
    elif ending in ("dot", "gv"):
        data = _dot(graph, rankdir, dpi, splines, subgraph=False).to_string().encode()
    else:
        check.one_of("plot_model", "the ending of to_file, without Graphviz installed,", ending, _OWN_FORMATS)
        from nyala.utils import drawing

        data = drawing.draw(graph, rankdir, dpi, splines, ending)
    if to_file is None:
        return data
    with files.beside(Path(to_file)) as file:
        file.write_bytes(data)
    return _for_notebook(data, ending)


def _has_graphviz() -> bool:
    try:
        import pydot  # noqa: F401
    except ImportError:
        return False
    return shutil.which("dot") is not None


def _for_notebook(data: bytes, ending: str) -> Any:
    """The picture as a notebook shows it, in one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None or ending not in ("png", "jpg", "jpeg", "gif", "svg"):
        return None
    from IPython import display  # pyright: ignore[reportMissingImports]

    return display.SVG(data) if ending == "svg" else display.Image(data)
