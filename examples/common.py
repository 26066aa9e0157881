"""What the examples share: their options, where data lies, and figures."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nyala as keras

Arrays = tuple[np.ndarray, np.ndarray]


def options(
    doc: str | None,
    argv: Sequence[str] | None,
    *,
    epochs: tuple[int, int],
    more: Callable[[argparse.ArgumentParser], Any] | None = None,
) -> argparse.Namespace:
    """The options of an example's command line, with its backend chosen and its seeds set.

    Args:
        doc: the example's docstring. argv: the arguments; ``None``: those of the program.
        epochs: how many are trained, and how many with ``--quick``. more: adds options of the example's own.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", help="jax, torch or tensorflow; default $NYALA_BACKEND, else jax")
    parser.add_argument("--quick", action="store_true", help="seconds: a small model on small data")
    parser.add_argument("--epochs", type=int, help=f"default {epochs[0]}, with --quick {epochs[1]}")
    parser.add_argument("--out", type=Path, default=Path(), help="the folder for figures; default this one")
    if more:
        more(parser)
    args = parser.parse_args(argv)
    args.epochs = args.epochs or epochs[args.quick]
    if args.backend:
        keras.config.set_backend(args.backend)
    keras.utils.set_random_seed(0)
    print(f"backend {keras.config.backend()}{', quick' if args.quick else ''}")
    return args


def find(*places: str) -> Path | None:
    """The first of some files or folders that is there, below $NYALA_DATA or beside this repository."""
    folders = [os.environ.get("NYALA_DATA"), Path(__file__).resolve().parents[2] / "shared" / "data"]
    found = (Path(folder) / place for folder in filter(None, folders) for place in places)
    return next((path for path in found if path.exists()), None)


def digits() -> tuple[Arrays, Arrays]:
    """Scikit-learn's 1,797 handwritten digits: images (n, 8, 8, 1) from 0 to 1 and labels, to train and to test with."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(data.images))
    x, y, held_out = _images(data.images[order], 16.0), data.target[order], 360
    return (x[held_out:], y[held_out:]), (x[:held_out], y[:held_out])


def mnist() -> tuple[Arrays, Arrays]:
    """MNIST: images (n, 28, 28, 1) from 0 to 1 and labels. Raises OSError where it is not and cannot be downloaded."""
    place = find("mnist.npz", "images/mnist/mnist.npz") or "mnist.npz"
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data(str(place))
    return (_images(x_train, 255.0), y_train), (_images(x_test, 255.0), y_test)


def _images(x: np.ndarray, brightest: float) -> np.ndarray:
    return (x.astype("float32") / brightest)[..., None]


def save(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as a file and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"figure: {path}")


def subplots(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """``pyplot.subplots`` without a window."""
    from matplotlib import figure

    result = figure.Figure(figsize=kwargs.pop("figsize", None), layout="constrained")
    return result, result.subplots(*args, **kwargs)
