"""Pictures: boxes and masks in images pixel by pixel, galleries, curves, a classifier's mistakes, a summary in a notebook."""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

import nyala
from nyala import layers, ops, utils, visualization
from nyala.callbacks import History

GRAY = np.full((2, 12, 20, 3), 90.0, "float32")
BOXES = {"boxes": np.array([[[2, 3, 9, 8], [1, 1, 4, 4]]] * 2), "labels": np.array([[1, -1]] * 2)}
MASKS = np.zeros((2, 12, 20, 1), "int32")
MASKS[:, 2:4], MASKS[:, 5:7], MASKS[:, 8] = 1, 2, 7


@pytest.fixture(autouse=True)
def no_figures() -> Any:
    yield
    plt.close("all")


def test_signatures() -> None:
    for name in visualization.__all__:
        ours, theirs = (inspect.signature(getattr(m, name)) for m in (visualization, keras.visualization))
        assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
            (p.name, p.default, p.kind) for p in theirs.parameters.values()
        ]


def test_boxes_are_drawn_where_they_are(backend: str) -> None:
    draw = visualization.draw_bounding_boxes
    out = draw(ops.convert_to_tensor(GRAY), BOXES, "xyxy", color=(250, 0, 10), line_thickness=1)
    frame = np.zeros((12, 20), bool)
    frame[3:9, 2:10] = True
    frame[4:8, 3:9] = False
    np.testing.assert_array_equal(out[0], np.where(frame[..., None], [250, 0, 10], 90))
    relative = {**BOXES, "boxes": BOXES["boxes"] / [20, 12, 20, 12]}
    np.testing.assert_array_equal(draw(GRAY, relative, "rel_xyxy", color=(250, 0, 10), line_thickness=1), out)
    first = draw(GRAY.transpose(0, 3, 1, 2), BOXES, "xyxy", None, (250, 0, 10), 1, data_format="channels_first")
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), out)
    assert draw(GRAY[..., :1], BOXES, "xyxy").shape == (2, 12, 20, 1)
    large = np.zeros((1, 60, 90, 3))
    one = {"boxes": np.array([[[5, 30, 60, 55]]]), "labels": np.array([[1]]), "confidences": np.array([[0.5]])}
    bare, named, bold = (
        draw(large, one, "xyxy", m, text_thickness=t, font_scale=0.5)
        for m, t in (({}, 1), ({1: "cat"}, 1), ({1: "cat"}, 3))
    )
    assert bare[0, :28].max() == 0 and 0 < (named[0, :28] > 0).sum() < (bold[0, :28] > 0).sum()


def test_masks_against_keras() -> None:
    for kwargs in ({}, {"alpha": 0.5}, {"blend": False}, {"ignore_index": 1}):
        found = visualization.draw_segmentation_masks(GRAY, MASKS, num_classes=2, **kwargs)
        # One class more, and their background is black: the documentation says that it is left as it is.
        theirs = np.asarray(keras.visualization.draw_segmentation_masks(GRAY, MASKS, num_classes=3, **kwargs))
        np.testing.assert_array_equal(found, np.where(MASKS == 0, 90, theirs).astype("uint8"))
    colors = {1: (255, 0, 0), 2: (0, 255, 0), 7: (0, 0, 255)}
    found = visualization.draw_segmentation_masks(GRAY, MASKS[..., 0], color_mapping=colors, blend=False)
    assert [found[0, i, 0].tolist() for i in (0, 2, 5, 8)] == [[90, 90, 90], *map(list, colors.values())]


def test_galleries(tmp_path: Path) -> None:
    images = np.random.RandomState(0).rand(5, 8, 8, 3)
    names = {0: "cat", 1: "dog"}
    visualization.plot_image_gallery(
        images,
        [0, 1, 0, 1, 0],
        ops.convert_to_tensor([1, 1, 1, 1, 1]),
        names,
        cols=2,
        value_range=(0, 1),
        scale=1,
        show=False,
    )
    figure = plt.gcf()
    assert figure.get_size_inches().tolist() == [2, 3] and len(figure.axes) == 6
    assert [a.get_title() for a in figure.axes] == ["Label: cat  Pred: dog", "Label: dog  Pred: dog"] * 2 + [
        "Label: cat  Pred: dog",
        "",
    ]
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), (images[4] * 255).astype("uint8"))
    large = np.zeros((2, 40, 60, 3))
    two = dict(y_true=BOXES, y_pred=BOXES, class_mapping={1: "cat"}, font_scale=0.3, legend=True, rows=1)
    visualization.plot_bounding_box_gallery(large, "xyxy", **two, path=tmp_path / "boxes.png", dpi=30)
    visualization.plot_bounding_box_gallery(large, "xyxy", **two, show=False)
    assert [t.get_text() for t in plt.gcf().legends[0].get_texts()] == ["Ground Truth", "Prediction"]
    visualization.plot_segmentation_mask_gallery(GRAY, 2, y_true=MASKS, y_pred=MASKS, show=False)
    assert len(plt.gcf().axes) == 6
    assert (tmp_path / "boxes.png").stat().st_size > 500


def test_curves(tmp_path: Path) -> None:
    history = History()
    history.set_model(types.SimpleNamespace())
    history.on_train_begin()
    for epoch in range(4):
        history.on_epoch_end(
            epoch, {"loss": 1 / (epoch + 1), "accuracy": 0.5} | ({"val_loss": 2.0} if epoch % 2 else {})
        )
    figure = history.plot(path=tmp_path / "curves.png")
    loss, accuracy = figure.axes
    assert [(a.get_title(), a.get_xlabel()) for a in figure.axes] == [
        ("Model loss", "Epoch"),
        ("Model accuracy", "Epoch"),
    ]
    assert [t.get_text() for t in loss.get_legend().get_texts()] == ["Train", "Validation"]
    assert [line.get_xdata().tolist() for line in loss.lines] == [[1, 2, 3, 4], [2, 4]] and len(accuracy.lines) == 1
    assert len(history.plot("accuracy").axes) == 1 and (tmp_path / "curves.png").exists()
    with pytest.raises(ValueError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        history.plot("acuracy")


def test_mistakes_of_a_classifier(backend: str, tmp_path: Path) -> None:
    true = np.array([0, 1, 2, 2, 1])
    pred = ops.convert_to_tensor(
        np.array([[0.8, 0.1, 0.1], [0, 0.2, 0.8], [0.1, 0.2, 0.7], [0, 0, 1], [0, 1, 0]], "float32")
    )
    figure = utils.plot_confusion_matrix(true, pred, ["cat", "dog", "hen"], path=tmp_path / "matrix.png")
    axis = figure.axes[0]
    assert [int(t.get_text()) for t in axis.texts] == [1, 0, 0, 0, 1, 1, 0, 0, 2]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["cat", "dog", "hen"] and axis.get_xlabel() == "Predicted"
    parts = utils.plot_confusion_matrix(np.eye(3)[true], pred, normalize=True).axes[0]
    assert [t.get_text() for t in parts.texts][4:6] == ["0.50", "0.50"]
    binary = utils.plot_confusion_matrix([0, 1, 1], np.array([[0.2], [0.9], [0.3]])).axes[0]
    assert [t.get_text() for t in binary.texts] == ["1", "0", "1", "1"]
    shown = utils.plot_predictions(np.zeros((5, 4, 4)), true, pred, ["cat", "dog", "hen"], cols=3).axes
    titles = [(a.get_title(), a.title.get_color()) for a in shown]
    assert titles[:2] == [("cat (0.80)", "green"), ("hen (0.80)\ntrue: dog", "red")] and len(titles) == 6


def test_a_summary_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    package, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    setattr(module, "display", lambda data, raw: shown.append((data, raw)))
    stream = type(
        "OutStream",
        (),
        {"__module__": "ipykernel.iostream", "write": lambda s, text: shown.append(text), "isatty": lambda s: False},
    )
    # What rich takes for a notebook.
    monkeypatch.setattr("builtins.get_ipython", type("ZMQInteractiveShell", (), {}), raising=False)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    x = nyala.Input((4,))
    model = nyala.Model(x, layers.Add()([layers.Dense(3, name="a<b")(x), layers.Dense(3, name="c")(x)]))
    monkeypatch.setattr(sys, "stdout", stream())
    model.summary(show_trainable=True)
    [(data, raw)] = shown
    assert raw and set(data) == {"text/html", "text/plain"}
    assert data["text/html"].count("<table>") == 1 and data["text/html"].count("<tr>") == 5
    assert "a&lt;b (Dense)" in data["text/html"] and "Total params: 30" in data["text/html"]
    assert "┃ Layer (type)" in data["text/plain"] and "\x1b" not in data["text/plain"]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda v: v.draw_bounding_boxes(GRAY[0], BOXES, "xyxy"), ValueError, "images must be a batch with 4 axes"),
        (lambda v: v.draw_bounding_boxes(GRAY, BOXES["boxes"], "xyxy"), TypeError, "must be a dict"),
        (lambda v: v.draw_bounding_boxes(GRAY, {"boxes": 1}, "xyxy"), ValueError, "boxes and labels"),
        (lambda v: v.draw_segmentation_masks(GRAY, MASKS * 1.0), TypeError, "must be ints"),
        (lambda v: v.draw_segmentation_masks(GRAY, MASKS, color_mapping={1: (0, 0, 0)}), ValueError, "no colour for class 2"),
        (lambda v: v.plot_image_gallery(GRAY, path="x.png", show=True), ValueError, "not both"),
        (lambda v: v.plot_image_gallery(GRAY, y_true=[1, 2]), ValueError, "needs a label_map"),
        (lambda v: v.plot_bounding_box_gallery(GRAY, "xyxy", legend=True, legend_handles=[1]), ValueError, "not both"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(visualization)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("PIL", "matplotlib"):
            raise ImportError(name)
        return known(name, *args, **kwargs)

    import importlib

    known = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(ImportError, match=r'draw_bounding_boxes needs PIL: pip install "nyala\[plot\]"'):
        visualization.draw_bounding_boxes(GRAY, BOXES, "xyxy")
    with pytest.raises(ImportError, match="plot_image_gallery needs matplotlib"):
        visualization.plot_image_gallery(GRAY)
