"""plot_model by our own drawing and by pydot, model_to_dot against Keras's."""

from __future__ import annotations

import inspect
import io
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.base import naming
from nyala.utils import drawing, plots

ALL: dict[str, Any] = dict(
    show_shapes=True, show_dtype=True, show_layer_names=True, show_layer_activations=True, show_trainable=True
)


def branches(module: Any) -> Any:
    layers = module.layers
    i, j = module.Input((8,), name="i"), module.Input((4,), name="j")
    inner = module.Sequential(
        [module.Input((8,)), layers.Dense(3, name="in1", activation="relu"), layers.Dense(2, name="in2")], name="inner"
    )
    a, b = inner(i), layers.Dense(2, name="b", trainable=False, activation="tanh")(j)
    c = layers.Concatenate(name="c")([a, b, i])
    return module.Model([i, j], [layers.Dense(1, name="d")(c), layers.Reshape((12, 1), name="r")(c)], name="m")


def shared(module: Any) -> Any:
    layer, twice = module.layers.Dense(8, name="same"), module.Sequential([module.Input((8,)), module.layers.ReLU(name="n")], name="t")  # fmt: skip
    x, y = module.Input((8,), name="x"), module.Input((8,), name="y")
    return module.Model([x, y], module.layers.Add(name="add")([twice(layer(x)), twice(twice(layer(y)))]), name="m")


def chain(module: Any) -> Any:
    return module.Sequential([module.Input((6, 6, 1)), module.layers.Conv2D(2, 3, name="k"), module.layers.Flatten(name="f")], name="s")  # fmt: skip


def deep(module: Any) -> Any:
    """A model in a model in a model, with an input that goes around a layer."""
    layers = module.layers
    x = module.Input((4,))
    core = module.Model(x, layers.Add(name="sum")([layers.Dense(4, name="one")(x), x]), name="core")
    x = module.Input((4,))
    middle = module.Model(x, core(layers.ReLU(name="two")(x)), name="middle")
    x = module.Input((4,), name="x")
    return module.Model(x, middle(x), name="outer")


MODELS = {f.__name__: f for f in (branches, shared, chain, deep)}


def normal(text: str) -> list[str]:
    """The lines of a DOT file with numbers for addresses; the colspan of short rows is a matter of taste."""
    names: dict[str, str] = {}
    text = re.sub(r"\b\d{9,}\b", lambda m: names.setdefault(m[0], f"n{len(names)}"), text)
    return (
        re.sub(r' ?(colspan="\d+"|color="black")', "", text).replace("--", "->").replace("<td >", "<td>").splitlines()
    )


@pytest.mark.parametrize("options", [{}, ALL, {"expand_nested": True, **ALL}, {"show_layer_names": False, "rankdir": "LR", "dpi": 50, "splines": "curved"}, {"subgraph": True}])  # fmt: skip
@pytest.mark.parametrize("make", MODELS)
def test_dot_is_keras(make: str, options: dict[str, Any]) -> None:
    naming.reset()
    keras.utils.clear_session(free_memory=False)
    mine, expected = (m.utils.model_to_dot(MODELS[make](m), **options).to_string() for m in (nyala, keras))
    first, second = normal(mine), normal(expected)
    assert sorted(first) == sorted(second)


def picture(model: Any, rankdir: str = "TB", **options: Any) -> Any:
    look = plots._Look(True, True, True, True, True, options.get("expand", True))
    graph = plots._describe(model, look)
    laid = drawing._lay_out(graph, drawing._measure("png"), rankdir in ("LR", "RL"), is_root=True)
    return drawing._oriented(laid, rankdir)


@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
@pytest.mark.parametrize("make", MODELS)
def test_layout(make: str, rankdir: str) -> None:
    width, height, boxes, frames, wires = picture(MODELS[make](nyala), rankdir)
    for x, y, w, h, _ in [*boxes, *frames]:
        assert x >= 0 and y >= 0 and x + w <= width + 0.01 and y + h <= height + 0.01
    for n, (x, y, w, h, _) in enumerate(boxes):  # no box upon another
        for a, b, c, d, _ in boxes[:n]:
            assert x >= a + c or a >= x + w or y >= b + d or b >= y + h
    edges = [(x, y, x + w, y + h) for x, y, w, h, _ in [*boxes, *frames]]
    for line, _ in wires:  # wires begin and end at boxes and frames
        for a, b in (line[0], line[-1]):
            assert any(
                (k - 0.1 <= a <= r + 0.1 and min(abs(b - t), abs(b - u)) < 0.1)
                or (t - 0.1 <= b <= u + 0.1 and min(abs(a - k), abs(a - r)) < 0.1)
                for k, t, r, u in edges
            )
    assert sum(arrow for _, arrow in wires) >= len(boxes) - 2
    along = (0 if rankdir in ("LR", "RL") else 1, -1 if rankdir in ("BT", "RL") else 1)
    if make == "deep":  # the flow has a direction
        assert all((line[-1][along[0]] - line[0][along[0]]) * along[1] > 0 for line, _ in wires)


def test_wires_cross_no_box() -> None:
    _, _, boxes, _, wires = picture(branches(nyala), expand=False)
    for line, _ in wires:
        for (x0, y0), (x1, y1) in pairwise(line):
            for a, b, w, h, _ in boxes:
                inside_x = min(x0, x1) < a + w - 0.1 and max(x0, x1) > a + 0.1
                assert not (inside_x and min(y0, y1) < b + h - 0.1 and max(y0, y1) > b + 0.1)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.mark.parametrize("options", [{}, {**ALL, "expand_nested": True}, {"rankdir": "LR", "splines": "curved"}, {"splines": "polyline"}])  # fmt: skip
@pytest.mark.parametrize("make", MODELS)
def test_png(make: str, options: dict[str, Any], own: None, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "model.png"
    assert nyala.utils.plot_model(MODELS[make](nyala), path, dpi=60, **options) is None
    pixels = np.asarray(Image.open(path).convert("L"))
    assert path.stat().st_size > 700 and min(pixels.shape) > 30
    assert pixels.min() == 0 and (pixels == 255).mean() > 0.2
    assert list(tmp_path.iterdir()) == [path]


def test_svg_tells_everything(own: None, tmp_path: Path) -> None:
    nyala.utils.plot_model(branches(nyala), tmp_path / "m.svg", expand_nested=True, **ALL)
    root = ET.parse(tmp_path / "m.svg").getroot()
    texts = ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]
    wanted = ["inner", "in1 (Dense)", "Activation: relu", "Input shape: [(None, 2), (None, 2), (None, 8)]",
              "Output dtype: float32", "Trainable", "Non-trainable", "j (InputLayer)"]  # fmt: skip
    assert set(wanted) <= set(texts)


@pytest.mark.parametrize("ending", ["jpg", "pdf", "webp", "gif", "dot"])
def test_formats(ending: str, own: None, tmp_path: Path) -> None:
    nyala.utils.plot_model(chain(nyala), str(tmp_path / f"m.{ending}"), dpi=40)
    start = {"jpg": b"\xff\xd8", "pdf": b"%PDF", "webp": b"RIFF", "gif": b"GIF8", "dot": b"digraph"}[ending]
    assert (tmp_path / f"m.{ending}").read_bytes().startswith(start)


def test_large_models_fit(own: None) -> None:
    from PIL import Image

    layers = [nyala.layers.ReLU() for _ in range(120)]
    data = nyala.utils.plot_model(nyala.Sequential([nyala.Input((2,)), *layers]), None, dpi=600)
    assert max(Image.open(io.BytesIO(data)).size) == drawing._MAX_PIXELS


def test_layer_range(own: None, tmp_path: Path) -> None:
    model = nyala.Sequential([nyala.Input((2,)), *(nyala.layers.ReLU(name=f"r{i}") for i in range(5))])
    for chosen in (["r1", "r3"], ["r3", "r1"], ["r[123]", "r3"]):
        text = nyala.utils.model_to_dot(model, layer_range=chosen).to_string()
        assert re.findall(r"<b>(r\d)</b>", text) == ["r1", "r2", "r3"] and text.count("->") == 2
    with pytest.raises(ValueError, match="no layer is named 'r9'"):
        nyala.utils.plot_model(model, tmp_path / "m.png", layer_range=["r0", "r9"])


class Own(nyala.Model):
    def __init__(self) -> None:
        super().__init__(name="own")
        self.first, self.second = nyala.layers.Dense(2, name="a"), nyala.layers.Dense(3, name="z")

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


def test_subclassed_models() -> None:
    model = Own()
    with pytest.raises(ValueError, match="`own` is not built"):
        nyala.utils.model_to_dot(model)
    with pytest.raises(ValueError, match="is not built"):
        nyala.utils.model_to_dot(nyala.Sequential([nyala.layers.Dense(2)]))
    model(np.ones((1, 4), "float32"))
    assert "<b>own</b> (Own)" in nyala.utils.model_to_dot(model).to_string()
    text = nyala.utils.model_to_dot(model, expand_nested=True).to_string()
    assert re.findall(r"<b>(\w+)</b> \(Dense\)", text) == ["a", "z"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rankdir": "UP"}, "rankdir"),
        ({"splines": "wavy"}, "splines"),
        ({"dpi": 0}, "dpi"),
        ({"shapes": True}, "unknown argument 'shapes'"),
    ],
)
def test_errors(kwargs: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        nyala.utils.plot_model(chain(nyala), None, **kwargs)


def test_what_is_missing_is_told(own: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without Graphviz"):
        nyala.utils.plot_model(chain(nyala), tmp_path / "m.eps")
    with pytest.raises(TypeError, match="must be a Model"):
        nyala.utils.plot_model("model")
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match=r"nyala\[plot\]"):
        nyala.utils.model_to_dot(chain(nyala))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"nyala\[plot\]"):
        nyala.utils.plot_model(chain(nyala), tmp_path / "m.png")
    nyala.utils.plot_model(chain(nyala), tmp_path / "m.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["m.svg"]


def test_graphviz_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pydot

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/dot")
    monkeypatch.setattr(pydot.Dot, "create", lambda self, format: f"{format} by graphviz".encode())
    nyala.utils.plot_model(chain(nyala), tmp_path / "m.eps")
    assert (tmp_path / "m.eps").read_text() == "eps by graphviz"


@pytest.mark.parametrize("name", ["plot_model", "model_to_dot"])
def test_signatures_are_keras(name: str) -> None:
    mine, expected = (inspect.signature(getattr(m.utils, name)).parameters.values() for m in (nyala, keras))
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in expected]
