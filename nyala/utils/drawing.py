"""Drawing a graph of boxes without Graphviz: layers by distance, few crossings, straight wires.

After Sugiyama, Tagawa, Toda 1981: boxes get layers by their longest path, long wires get a bend point on every layer, sweeps
by the neighbours' middle order each layer, and positions follow the neighbours as far as the order allows. Lengths are in
points (1/72 inch).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

from nyala.utils.plots import Box, Graph

Point = tuple[float, float]

_TITLE, _TEXT = 16, 14
_PAD = 10
_GAP, _SPACE = 36, 28
"""Between layers, between neighbours."""
_FRAME, _LABEL = 14, 20
_SWEEPS = 8
_MAX_PIXELS = 32_767
"""No side of a picture is longer; pictures of large models are scaled down to it."""


@dataclass
class Picture:
    """A graph with positions: boxes and frames by corner and size, wires, and where inputs and outputs lie off its middle."""

    width: float = 0.0
    height: float = 0.0
    boxes: list[tuple[float, float, float, float, Any]] = field(default_factory=list)
    frames: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    wires: list[tuple[list[Point], bool]] = field(default_factory=list)
    inputs: dict[int, float] = field(default_factory=dict)
    outputs: dict[int, float] = field(default_factory=dict)


class _Place:
    """A box, a graph, an input or output of the graph around, or a bend of a long wire."""

    __slots__ = ("breadth", "depth", "item", "layer", "picture", "side", "stiff", "x", "y")

    def __init__(
        self, item: Any, breadth: float, depth: float, stiff: float = 1.0, side: str = "", picture: Any = None
    ):
        self.item, self.breadth, self.depth, self.stiff, self.side = item, breadth, depth, stiff, side
        self.picture: Picture | None = picture
        self.layer, self.x, self.y = 0, 0.0, 0.0

    def entry(self, port: int) -> float:
        return self.x + (0.0 if self.picture is None else self.picture.inputs.get(port, 0.0))

    def exit(self, port: int) -> float:
        return self.x + (0.0 if self.picture is None else self.picture.outputs.get(port, 0.0))


def draw(graph: Graph, rankdir: str, dpi: int, splines: str, ending: str) -> bytes:
    """The file of a picture of ``graph`` in the format ``ending``."""
    measure = _measure(ending)
    picture = _lay_out(graph, measure, sideways=rankdir in ("LR", "RL"), is_root=True)
    shapes = _oriented(picture, rankdir)
    return _svg(*shapes, splines, measure) if ending == "svg" else _raster(*shapes, splines, measure, dpi, ending)


# -- layout ------------------------------------------------------------------------------------------------------------


def _lay_out(graph: Graph, measure: Callable[..., float], sideways: bool, is_root: bool = False) -> Picture:
    """Positions, the flow going along y; ``sideways``: boxes will be turned, so breadth and depth are exchanged."""
    places: list[_Place] = []
    found: dict[Any, _Place] = {}
    ports: dict[str, dict[int, _Place]] = {"in": {}, "out": {}}
    for item in graph.items:
        if isinstance(item, Box):
            size = _box_size(item, measure)
            breadth, depth = reversed(size) if sideways else size
            place = _Place(item, breadth, depth)
        else:
            inner = _lay_out(item, measure, sideways)
            place = _Place(item, inner.width, inner.height, picture=inner)
        found[item] = place
        places.append(place)

    def end(item: Any, port: int, side: str) -> tuple[_Place, int]:
        if item is not None:
            return found[item], port
        if port not in ports[side]:
            ports[side][port] = _Place(None, 0.0, 0.0, 2.0, side)
            places.append(ports[side][port])
        return ports[side][port], 0

    wires = [(*end(*source, "in"), *end(*target, "out")) for source, target in graph.wires]
    _assign_layers(places, [(a, b) for a, _, b, _ in wires])
    layers, routes = _with_bends(places, wires)
    links = [(route[k], route[k + 1], i, j) for route, i, j in routes for k in range(len(route) - 1)]
    _order(layers, links)
    _spread(layers, links)
    y = 0.0
    for layer in layers:
        depth = max((p.depth for p in layer), default=0.0)
        for p in layer:
            p.y = y + depth / 2
        y += depth + (_GAP if depth else _GAP / 2)
    return _collect(graph, places, ports, routes, is_root, sideways)


def _assign_layers(places: list[_Place], links: list[tuple[_Place, _Place]]) -> None:
    order = {id(p): i for i, p in enumerate(places)}
    rank = {"in": -1, "": 0, "out": 1}
    before = lambda a, b: (rank[a.side], order[id(a)]) < (rank[b.side], order[id(b)])  # noqa: E731
    # A layer that is called again may close a circle; such a wire does not count.
    forward = [(a, b) for a, b in links if before(a, b)]
    following: dict[int, list[_Place]] = {}
    for a, b in forward:
        following.setdefault(id(a), []).append(b)
    for p in sorted(places, key=lambda p: (rank[p.side], order[id(p)])):
        for b in following.get(id(p), ()):
            b.layer = max(b.layer, p.layer + 1)
    fed = {id(b) for _, b in forward}
    for p in places:
        if id(p) not in fed and p.side == "" and following.get(id(p)):
            p.layer = min(b.layer for b in following[id(p)]) - 1
    last = max((p.layer for p in places if p.side != "out"), default=0)
    for p in places:
        if p.side == "out":
            p.layer = max(last + 1, p.layer)


def _with_bends(places: list[_Place], wires: list[Any]) -> tuple[list[list[_Place]], list[Any]]:
    layers: list[list[_Place]] = [[] for _ in range(max((p.layer for p in places), default=0) + 1)]
    for p in places:
        layers[p.layer].append(p)
    routes = []
    for a, i, b, j in wires:
        step = 1 if b.layer > a.layer else -1
        route = [a]
        for number in range(a.layer + step, b.layer, step):
            bend = _Place(None, 4.0, 0.0, 4.0)
            bend.layer = number
            layers[number].append(bend)
            route.append(bend)
        routes.append(([*route, b], i, j))
    return layers, routes


def _order(layers: list[list[_Place]], links: list[Any]) -> None:
    near: dict[int, list[_Place]] = {}
    for a, b, _, _ in links:
        near.setdefault(id(a), []).append(b)
        near.setdefault(id(b), []).append(a)
    for sweep in range(_SWEEPS):
        step = 1 if sweep % 2 == 0 else -1
        for number in range(len(layers))[::step]:
            other = number - step
            if not 0 <= other < len(layers):
                continue
            place = {id(p): i for i, p in enumerate(layers[other])}

            def middle(p: _Place, place: dict[int, int] = place, other: int = other) -> float:
                at = [place[id(q)] for q in near.get(id(p), ()) if q.layer == other]
                return sum(at) / len(at) if at else p.x

            for i, p in enumerate(layers[number]):
                p.x = float(i)
            layers[number].sort(key=middle)


def _spread(layers: list[list[_Place]], links: list[Any]) -> None:
    pulls: dict[int, list[tuple[_Place, float, float]]] = {}
    for a, b, i, j in links:
        from_a = 0.0 if a.picture is None else a.picture.outputs.get(i, 0.0)
        from_b = 0.0 if b.picture is None else b.picture.inputs.get(j, 0.0)
        pulls.setdefault(id(a), []).append((b, from_b, from_a))
        pulls.setdefault(id(b), []).append((a, from_a, from_b))
    for layer in layers:
        x = 0.0
        for p in layer:
            p.x = x + p.breadth / 2
            x += p.breadth + _SPACE
        for p in layer:
            p.x -= (x - _SPACE) / 2
    for sweep in range(2 * _SWEEPS + 1):
        step = 1 if sweep % 2 == 0 else -1
        for number in range(len(layers))[::step]:
            wanted = []
            for p in layers[number]:
                near = [(q, at, own) for q, at, own in pulls.get(id(p), ()) if q.layer == number - step]
                near = near or pulls.get(id(p), [])
                wanted.append(sum(q.x + at - own for q, at, own in near) / len(near) if near else p.x)
            _settle(layers[number], wanted)


def _settle(layer: list[_Place], wanted: list[float]) -> None:
    """The positions next to the wanted ones (least squares) that keep order and distances: isotonic regression."""
    if not layer:
        return
    shift, shifts = 0.0, [0.0]
    for p, q in pairwise(layer):
        shift += (p.breadth + q.breadth) / 2 + _SPACE
        shifts.append(shift)
    blocks: list[list[float]] = []
    for p, want, s in zip(layer, wanted, shifts):
        blocks.append([(want - s) * p.stiff, p.stiff, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [x + y for x, y in zip(blocks[-1], last)]
    values = [total / weight for total, weight, count in blocks for _ in range(int(count))]
    for p, value, s in zip(layer, values, shifts):
        p.x = value + s


def _collect(
    graph: Graph,
    places: list[_Place],
    ports: dict[str, dict[int, _Place]],
    routes: list[Any],
    is_root: bool,
    sideways: bool,
) -> Picture:
    """The picture with its corner at (0, 0), frame included."""
    bends = [p for route, _, _ in routes for p in route]
    everything = [*places, *bends]
    frame = _FRAME if not is_root else _PAD
    # The label of a frame stands at its upper edge, wherever the flow goes.
    head = 0 if is_root or sideways else _LABEL
    left = (
        min((p.x - p.breadth / 2 for p in everything), default=0.0) - frame - (0 if is_root or not sideways else _LABEL)
    )
    right = max((p.x + p.breadth / 2 for p in everything), default=0.0) + frame
    top = min((p.y - p.depth / 2 for p in everything), default=0.0) - frame - head
    bottom = max((p.y + p.depth / 2 for p in everything), default=0.0) + frame
    if not is_root and not sideways:
        right = max(right, left + 9 * len(graph.label) + 2 * frame)
    for p in everything:
        if p.side:  # the graph's own inputs and outputs lie on its edges
            p.y = top if p.side == "in" else bottom
    picture = Picture(right - left, bottom - top)
    move = lambda x, y: (x - left, y - top)  # noqa: E731
    for p in places:
        x, y = move(p.x - p.breadth / 2, p.y - p.depth / 2)
        if isinstance(p.item, Box):
            picture.boxes.append((x, y, p.breadth, p.depth, p.item))
        elif p.picture is not None:
            picture.boxes += [(x + a, y + b, w, h, item) for a, b, w, h, item in p.picture.boxes]
            picture.frames.append((x, y, p.breadth, p.depth, p.item.label))
            picture.frames += [(x + a, y + b, w, h, label) for a, b, w, h, label in p.picture.frames]
            picture.wires += [([(x + a, y + b) for a, b in line], arrow) for line, arrow in p.picture.wires]
    middle = (left + right) / 2
    picture.inputs = {port: p.x - middle for port, p in ports["in"].items()}
    picture.outputs = {port: p.x - middle for port, p in ports["out"].items()}
    picture.wires += [
        ([move(x, y) for x, y in line], not route[-1].side and route[-1].picture is None)
        for (route, _, _), line in zip(routes, _lines(routes))
    ]
    return picture


def _lines(routes: list[Any]) -> list[list[Point]]:
    """The points of each wire: out of its source, by its bends, with a level of its own between layers, to its target."""
    gaps: dict[int, list[tuple[float, int]]] = {}
    for route, i, _ in routes:
        for a in route[:-1]:
            gaps.setdefault(a.layer, []).append((round(a.exit(i), 1), id(route[0])))
    levels = {layer: {key: n for n, key in enumerate(sorted(set(keys)))} for layer, keys in gaps.items()}
    edges: dict[int, tuple[float, float]] = {}
    for route, _, _ in routes:
        for p in route:
            low, high = edges.get(p.layer, (p.y, p.y))
            edges[p.layer] = min(low, p.y - p.depth / 2), max(high, p.y + p.depth / 2)
    lines = []
    for route, i, j in routes:
        if len(route) == 2 and route[0] is route[1]:
            lines.append(_loop(route[0]))
            continue
        down = route[-1].layer >= route[0].layer
        line = [(route[0].exit(i), route[0].y + route[0].depth / 2 * (1 if down else -1))]
        for a, b in pairwise(route):
            x = b.entry(j)
            level = levels[a.layer][(round(a.exit(i), 1), id(route[0]))]
            share = (level + 1) / (len(levels[a.layer]) + 1)
            above, below = edges[min(a.layer, b.layer)][1], edges[max(a.layer, b.layer)][0]
            turn = above + (below - above) * (0.15 + 0.45 * share)
            line += [(line[-1][0], turn), (x, turn), (x, b.y - b.depth / 2 * (1 if down else -1))]
        lines.append(line)
    return lines


def _loop(p: _Place) -> list[Point]:
    """A wire from a box into itself."""
    side = p.x + p.breadth / 2 + _SPACE / 3
    low, high = p.y + p.depth / 2, p.y - p.depth / 2
    step = _GAP / 4
    return [(p.x, low), (p.x, low + step), (side, low + step), (side, high - step), (p.x, high - step), (p.x, high)]


# -- drawing -----------------------------------------------------------------------------------------------------------


def _measure(ending: str) -> Callable[..., float]:
    """The width of a text; without Pillow, which SVG does not need, an estimate."""
    try:
        from PIL import ImageFont
    except ImportError as error:
        if ending != "svg":
            raise ImportError(
                'drawing a model needs Graphviz with pydot, or Pillow: pip install "nyala[plot]"; '
                "or give to_file='model.svg'"
            ) from error
        return lambda text, size: 0.58 * size * len(text)
    fonts = {size: ImageFont.load_default(size * 4) for size in (_TITLE, _TEXT)}
    return lambda text, size: fonts[size].getlength(text) / 4 * 1.04 + 0.5


def _cells(box: Box) -> list[tuple[int, Sequence[Any]]]:
    return [(_TITLE if i == 0 else _TEXT, row) for i, row in enumerate(box.rows)]


def _box_size(box: Box, measure: Callable[..., float]) -> tuple[float, float]:
    return max(sum(_widths(row, size, measure)) for size, row in _cells(box)), sum(
        size + 1.4 * _PAD for size, _ in _cells(box)
    )


def _widths(row: Sequence[Any], size: int, measure: Callable[..., float]) -> list[float]:
    return [measure("".join(text for text, _ in c.parts(size == _TITLE)), size) + 2 * _PAD for c in row]


def _oriented(picture: Picture, rankdir: str) -> tuple[float, float, list[Any], list[Any], list[Any]]:
    """Size, boxes, frames and wires with the flow as ``rankdir`` wants it; the layout has it from top to bottom."""
    width, height = picture.width, picture.height
    sideways, backwards = rankdir in ("LR", "RL"), rankdir in ("BT", "RL")

    def rectangle(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
        y = height - y - h if backwards else y
        return (y, x, h, w) if sideways else (x, y, w, h)

    def point(p: Point) -> Point:
        x, y = p[0], height - p[1] if backwards else p[1]
        return (y, x) if sideways else (x, y)

    boxes = [(*rectangle(x, y, w, h), item) for x, y, w, h, item in picture.boxes]
    frames = [(*rectangle(x, y, w, h), label) for x, y, w, h, label in picture.frames]
    wires = [([point(p) for p in line], arrow) for line, arrow in picture.wires]
    return (height, width, boxes, frames, wires) if sideways else (width, height, boxes, frames, wires)


def _path(line: list[Point], splines: str) -> list[Point]:
    """The corners of a wire as the kind of line wants it; curves are many short lines."""
    if splines in ("ortho", "true", ""):
        return line
    ends = [line[0], *line[3::3]] if len(line) % 3 == 1 else line
    if splines in ("line", "polyline", "false"):
        return ends
    points = [ends[0]]
    for (x0, y0), (x1, y1) in pairwise(ends):
        steps = [k / 12 for k in range(1, 13)]
        points += [(x0 + (x1 - x0) * t * t * (3 - 2 * t), y0 + (y1 - y0) * t) for t in steps]
    return points


def _arrow(line: list[Point]) -> list[Point]:
    (x0, y0), (x1, y1) = next((a, b) for a, b in zip(line[-2::-1], line[:0:-1]) if a != b)
    length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    return [(x1, y1), (x1 - 9 * dx - 4 * dy, y1 - 9 * dy + 4 * dx), (x1 - 9 * dx + 4 * dy, y1 - 9 * dy - 4 * dx)]


def _layout_cells(
    x: float, y: float, w: float, box: Box, measure: Callable[..., float]
) -> Iterator[tuple[float, float, float, float, Any, int]]:
    """The rectangle of each cell of a box of width ``w``."""
    for size, row in _cells(box):
        tall = size + 1.4 * _PAD
        widths = _widths(row, size, measure)
        spare = (w - sum(widths)) / len(row)
        at = x
        for cell, width in zip(row, widths):
            yield at, y, width + spare, tall, cell, size
            at += width + spare
        y += tall


def _svg(
    w: float,
    h: float,
    boxes: list[Any],
    frames: list[Any],
    wires: list[Any],
    splines: str,
    measure: Callable[..., float],
) -> bytes:
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:.0f}pt" height="{h:.0f}pt" viewBox="0 0 {w:.1f} {h:.1f}" '
        'font-family="Helvetica, Arial, sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    rect = '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" stroke="black"{}/>'
    for x, y, width, height, label in frames:
        out.append(rect.format(x, y, width, height, "none", ' stroke-dasharray="5 3"'))
        out.append(f'<text x="{x + 6:.1f}" y="{y + 15:.1f}" font-size="{_TEXT}">{escape(label)}</text>')
    for line, arrow in wires:
        points = _path(line, splines)
        text = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        out.append(f'<polyline points="{text}" fill="none" stroke="black" stroke-width="1.5"/>')
        if arrow:
            out.append(f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in _arrow(points))}"/>')
    for x, y, width, _, box in boxes:
        for a, b, cw, ch, cell, size in _layout_cells(x, y, width, box, measure):
            is_title = size == _TITLE
            out.append(rect.format(a, b, cw, ch, "black" if is_title else cell.fill, ""))
            text = "".join(
                f'<tspan font-weight="bold">{escape(t)}</tspan>' if is_bold else escape(t)
                for t, is_bold in cell.parts(is_title)
            )
            out.append(
                f'<text x="{a + cw / 2:.1f}" y="{b + ch / 2 + size * 0.35:.1f}" font-size="{size}" text-anchor="middle" '
                f'xml:space="preserve" fill="{"white" if is_title else cell.color}">{text}</text>'
            )
    return "\n".join([*out, "</svg>\n"]).encode()


def _raster(
    w: float,
    h: float,
    boxes: list[Any],
    frames: list[Any],
    wires: list[Any],
    splines: str,
    measure: Callable[..., float],
    dpi: int,
    ending: str,
) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    scale = min(dpi / 72, _MAX_PIXELS / max(w, h))
    image = Image.new("RGB", (max(round(w * scale), 1), max(round(h * scale), 1)), "white")
    pen = ImageDraw.Draw(image)
    fonts = {size: ImageFont.load_default(max(size * scale, 1)) for size in (_TITLE, _TEXT)}
    thin = max(round(scale), 1)

    def scaled(points: Sequence[Point]) -> list[Point]:
        return [(x * scale, y * scale) for x, y in points]

    for x, y, width, height, label in frames:
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]
        for (x0, y0), (x1, y1) in pairwise(corners):
            length = abs(x1 - x0) + abs(y1 - y0)
            for k in range(0, int(length), 8):
                a, b = k / length, min(k + 5, length) / length
                ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
                pen.line(scaled(ends), "black", thin)
        pen.text(((x + 6) * scale, (y + 3) * scale), label, "black", fonts[_TEXT])
    for line, arrow in wires:
        points = _path(line, splines)
        pen.line(scaled(points), "black", max(round(1.5 * scale), 1), joint="curve")
        if arrow:
            pen.polygon(scaled(_arrow(points)), "black")
    for x, y, width, _, box in boxes:
        for a, b, cw, ch, cell, size in _layout_cells(x, y, width, box, measure):
            is_title = size == _TITLE
            edges = [(a * scale, b * scale), ((a + cw) * scale, (b + ch) * scale)]
            pen.rectangle(edges, "black" if is_title else cell.fill, "black", thin)
            parts = cell.parts(is_title)
            stroke = 0.025 * size * scale
            at = (a + cw / 2) * scale - sum(fonts[size].getlength(t) for t, _ in parts) / 2
            for text, is_bold in parts:
                color = "white" if is_title else cell.color
                pen.text(
                    (at, (b + ch / 2) * scale), text, color, fonts[size], "lm", stroke_width=stroke if is_bold else 0
                )
                at += fonts[size].getlength(text)
    out = io.BytesIO()
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending)
    image.save(out, kind, **({} if kind == "webp" else {"dpi": (dpi, dpi)}))
    return out.getvalue()
