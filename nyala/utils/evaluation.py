"""What a trained classifier gets right, as pictures of matplotlib: ``pip install "nyala[plot]"``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nyala import backends
from nyala._typing import TensorLike
from nyala.base import check, extras


def _host(x: Any) -> np.ndarray:
    owner = backends.of(x)
    return np.asarray(x if owner is None else owner.to_numpy(x))


def _classes(who: str, name: str, y: Any) -> np.ndarray:
    """The class of each sample, of indices, one-hot rows, probabilities, or one probability a sample."""
    y = _host(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(1)
    if y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 1):
        check.fail(who, f"{name} must be (n,) or (n, classes), got shape {y.shape}")
    y = y.ravel()
    return (y > 0.5).astype(int) if y.dtype.kind == "f" and not np.all(y == y.round()) else y.astype(int)


def _name(labels: Mapping[int, str] | Sequence[str] | None, i: int) -> str:
    return str(i) if labels is None else str(labels[i])


def plot_confusion_matrix(
    y_true: TensorLike,
    y_pred: TensorLike,
    labels: Mapping[int, str] | Sequence[str] | None = None,
    normalize: bool = False,
    title: str = "Confusion matrix",
    path: Any = None,
    ax: Any = None,
) -> Any:
    """How often each class (row) was taken for each (column); the matplotlib figure.

    Args:
        y_true, y_pred: classes (n,), or one-hot rows or probabilities (n, classes), as ``predict`` gives them; one
            probability a sample is that of class 1.
        labels: the names of the classes. normalize: parts of each row instead of counts.
        path: a file to save the figure in. ax: a matplotlib axes to draw in.
    """
    who = "plot_confusion_matrix"
    true, pred = _classes(who, "y_true", y_true), _classes(who, "y_pred", y_pred)
    if true.shape != pred.shape:
        check.fail(who, f"y_true and y_pred must have as many samples, got {len(true)} and {len(pred)}")
    widths = [_host(y).shape[1] for y in (y_true, y_pred) if _host(y).ndim == 2 and _host(y).shape[1] > 1]
    count = max([int(max(true.max(initial=0), pred.max(initial=0))) + 1, len(labels or ()), *widths])
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (true, pred), 1)
    shown = matrix / np.maximum(matrix.sum(1, keepdims=True), 1) if normalize else matrix
    plt = extras.pyplot(who)
    figure = ax.figure if ax is not None else plt.figure(figsize=(max(4.0, 0.6 * count + 1.5),) * 2, layout="tight")
    ax = ax if ax is not None else figure.add_subplot()
    ax.imshow(shown, cmap="Blues", vmin=0)
    for i, j in np.ndindex(matrix.shape):
        text = f"{shown[i, j]:.2f}" if normalize else str(matrix[i, j])
        ax.text(j, i, text, ha="center", va="center", color="white" if shown[i, j] > shown.max() / 2 else "black")
    names = [_name(labels, i) for i in range(count)]
    ax.set(title=title, xlabel="Predicted", ylabel="True", xticks=range(count), yticks=range(count))
    ax.set_xticklabels(names, rotation=45 if max(map(len, names)) > 3 else 0)
    ax.set_yticklabels(names)
    if path is not None:
        figure.savefig(path)
    return figure


def plot_predictions(
    images: TensorLike,
    y_true: TensorLike,
    y_pred: TensorLike,
    labels: Mapping[int, str] | Sequence[str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    scale: float = 2.0,
    path: Any = None,
) -> Any:
    """Images with what was predicted and how surely, green where it is right and red where it is not; the figure.

    Args:
        images: (n, height, width) or (n, height, width, 1 or 3), of any range of values.
        y_true, y_pred: as of ``plot_confusion_matrix``; of probabilities the greatest is shown.
        labels: the names of the classes. rows, cols: of the figure; only as many images are shown as fit.
        scale: inches an image. path: a file to save the figure in.
    """
    who = "plot_predictions"
    x, probabilities = _host(images), _host(y_pred)
    if x.ndim not in (3, 4):
        check.fail(who, f"images must be (n, height, width) or (n, height, width, channels), got shape {x.shape}")
    true, pred = _classes(who, "y_true", y_true), _classes(who, "y_pred", y_pred)
    if not len(x) == len(true) == len(pred):
        check.fail(who, f"there must be as many images as labels, got {len(x)}, {len(true)} and {len(pred)}")
    sure = None
    if probabilities.dtype.kind == "f" and not np.all(probabilities == probabilities.round()):
        flat = probabilities.reshape(len(x), -1)
        sure = flat.max(1) if flat.shape[1] > 1 else np.maximum(flat, 1 - flat)[:, 0]
    cols = cols or (math.ceil(len(x) / rows) if rows else math.ceil(math.sqrt(len(x))))
    rows = rows or math.ceil(len(x) / cols)
    low, high = (float(v) for v in (x.min(initial=0), x.max(initial=1)))
    plt = extras.pyplot(who)
    figure, axes = plt.subplots(rows, cols, figsize=(cols * scale, rows * (scale + 0.4)), squeeze=False, layout="tight")
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, image) in enumerate(zip(axes.flat, x)):
        image = (image - low) / (high - low or 1.0)
        axis.imshow(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
        right = true[i] == pred[i]
        text = _name(labels, int(pred[i])) + ("" if sure is None else f" ({sure[i]:.2f})")
        text += "" if right else f"\ntrue: {_name(labels, int(true[i]))}"
        axis.set_title(text, color="green" if right else "red", fontsize=9)
    if path is not None:
        figure.savefig(path)
    return figure
