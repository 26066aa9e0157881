"""Every example with ``--quick``, each on one backend: it runs, and what it trains has learned."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyala.backends import backend_scope

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def all_above(least: float) -> Callable[[Any], bool]:
    return lambda accuracies: min(accuracies.values()) > least


def faster_and_good(results: Any) -> bool:
    none, stopped, slowed = (results[name] for name in results)
    return none["epochs"] >= max(stopped["epochs"], slowed["epochs"]) and slowed["test_accuracy"] > 0.9


# name, further arguments, backend, what main() must return, the figures it must write
ROWS: list[Any] = [
    ("mnist_cnn", ["--epochs", "3", "--out", "digits.png"], "torch", lambda a: a > 0.8, ["digits.png"]),
    ("mnist_cnn", ["--model", "functional", "--epochs", "2", "--out", "f.png"], "torch", lambda a: a > 0.7, ["f.png"]),
    ("text_classification", [], "tensorflow", lambda a: a > 0.7, []),
    ("text_classification", ["--model", "transformer"], "torch", lambda a: a > 0.6, []),
    ("time_series", [], "torch", lambda e: max(e["lstm"], e["convolution"]) < e["as today"], ["time_series.png"]),
    ("autoencoder", ["--epochs", "5"], "torch", lambda e: e["after"] < 0.7 * e["before"], ["autoencoder.png"]),
    ("multi_input", [], "jax", lambda r: r["mpg_mae"] < 4 and r["origin_accuracy"] > 0.7, []),
    ("transfer_learning", [], "torch", lambda a: a["fine-tuned"] >= a["frozen"] - 0.05 > 0.5, []),
    ("custom_training", [], "jax", all_above(0.9), []),
    pytest.param("custom_training", [], "tensorflow", all_above(0.9), [], marks=pytest.mark.long),
    (
        "optimizer_comparison",
        ["--epochs", "10"],
        "torch",
        lambda a: a["make_moons"]["Adam"] > 0.7 and set(a) == {"make_moons", "iris"},
        ["optimizers_make_moons.png", "optimizers_boundaries.png", "optimizers_iris.png"],
    ),
    ("callback_effectiveness", [], "torch", faster_and_good, ["callbacks.png"]),
    (
        "sequential_vs_functional",
        [],
        "torch",
        lambda a: a["sequential"] == a["functional"] == a["subclassed"] > 0.7 and min(a.values()) > 0.7,
        ["sequential_vs_functional.png"],
    ),
]


@pytest.mark.parametrize(
    "name, arguments, backend_name, is_good, figures", ROWS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_example(
    name: str,
    arguments: list[str],
    backend_name: str,
    is_good: Callable[[Any], bool],
    figures: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    with backend_scope(backend_name):
        result = importlib.import_module(name).main(["--quick", *arguments])
    assert is_good(result), result
    assert all((tmp_path / figure).stat().st_size > 5000 for figure in figures)


def test_each_is_tested() -> None:
    """A new example needs a row."""
    others = {"common", "hyperparameter_search"}  # the latter has a test of its own
    rows = {getattr(row, "values", row)[0] for row in ROWS}
    assert {path.stem for path in EXAMPLES.glob("*.py")} - others == rows
