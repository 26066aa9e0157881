"""Training on tables and on other libraries' data sets. Hugging Face's and grain's are stand-ins with the same protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nyala
from nyala import layers

X = np.arange(16.0).reshape(8, 2) / 8
Y = X.sum(1)
COLUMNS = {"a": X[:, 0], "b": X[:, 1]}


class Column:
    """``datasets.arrow_dataset.Column``: a view that has no array interface."""

    def __init__(self, source: HuggingFace, column_name: str):
        self.source, self.column_name = source, column_name

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Any) -> Any:
        return self.source.columns[self.column_name][key].tolist()


class HuggingFace:
    """``datasets.Dataset`` in memory."""

    def __init__(self, columns: dict[str, np.ndarray], formatted: bool = False):
        self.columns, self.formatted = columns, formatted
        self.column_names = list(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def with_format(self, kind: str) -> HuggingFace:
        assert kind == "numpy"
        return HuggingFace(self.columns, True)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return Column(self, key)
        assert self.formatted, "without a format rows are lists of Python's"
        return {k: v[key] for k, v in self.columns.items()}


class GrainMap:
    """``grain.MapDataset`` of batches: read by index, and iterable."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return X[4 * i : 4 * i + 4].astype("float32"), Y[4 * i : 4 * i + 4].astype("float32")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(2))


class GrainLoader:
    """``grain.DataLoader``: iterable again and again, of no known length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(GrainMap())


HF = HuggingFace({**COLUMNS, "y": Y, "pair": X})
MATRICES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "numpy": lambda: (X, Y),
    "pandas": lambda: (pd.DataFrame(COLUMNS), pd.Series(Y)),
    "polars": lambda: (pl.DataFrame(COLUMNS), pl.Series(Y)),
    "polars query": lambda: (pl.DataFrame(COLUMNS).lazy(), pl.DataFrame({"y": Y}).lazy()),
    "polars lists": lambda: (pl.DataFrame({"pair": X.tolist()})["pair"], pl.Series(Y)),
    "pyarrow": lambda: (pa.table(COLUMNS), pa.chunked_array([Y[:3], Y[3:]])),
    "pyarrow lists": lambda: (pa.table({"pair": X.tolist()})["pair"], pa.array(Y)),
    "hugging face": lambda: (HuggingFace({"pair": X}), HF["y"]),
    "hugging face columns": lambda: (HF["pair"], HF["y"]),
    "grain": lambda: (GrainMap(),),
    "grain loader": lambda: (GrainLoader(),),
}
DICTS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "numpy": lambda: (COLUMNS, Y),
    "lists": lambda: ({k: np.asarray(v).tolist() for k, v in COLUMNS.items()}, Y.tolist()),
    "pyarrow arrays": lambda: ({k: pa.array(v) for k, v in COLUMNS.items()}, pa.array(Y)),
    "polars": lambda: ({k: pl.Series(v) for k, v in COLUMNS.items()}, pl.Series(Y)),
    "pyarrow": lambda: ({k: pa.table(COLUMNS)[k] for k in COLUMNS}, pa.array(Y)),
    "hugging face": lambda: (HuggingFace(COLUMNS), HF["y"]),
    "hugging face columns": lambda: ({k: HF[k] for k in COLUMNS}, HF["y"]),
}


def _losses(model: Any, data: tuple[Any, ...]) -> list[float]:
    size = {"batch_size": 4} if len(data) == 2 else {}
    history = model.fit(*data, epochs=2, shuffle=False, verbose=0, **size).history["loss"]
    return [*history, model.evaluate(*data, verbose=0, **size)]


@pytest.fixture(scope="module")
def models() -> Any:
    with nyala.backend_scope("torch"):
        a, b = nyala.Input((1,), name="a"), nyala.Input((1,), name="b")
        made = [nyala.Sequential([nyala.Input((2,)), layers.Dense(1)])]
        made.append(nyala.Model({"a": a, "b": b}, layers.Dense(1)(layers.Concatenate()([a, b]))))
        for model in made:
            model.compile("sgd", "mse")
        yield made


@pytest.mark.parametrize(("of", "kind"), [(0, k) for k in MATRICES] + [(1, k) for k in DICTS])
def test_the_same_losses_as_on_arrays(models: Any, of: int, kind: str) -> None:
    model, table = models[of], (MATRICES, DICTS)[of]
    start = [np.ones((2, 1)) / 4, np.zeros(1)]
    model.set_weights(start)
    expected = _losses(model, table["numpy"]())
    model.set_weights(start)
    np.testing.assert_allclose(_losses(model, table[kind]()), expected, rtol=1e-5)


def test_splits_and_streams(models: Any) -> None:
    data = pl.DataFrame(COLUMNS).lazy(), HF["y"]
    history = models[0].fit(*data, validation_split=0.25, verbose=0).history
    assert np.isfinite(history["val_loss"][0])
    batches = [{k: v[i : i + 4].tolist() for k, v in COLUMNS.items()} for i in (0, 4)]
    np.testing.assert_allclose(
        models[1].predict(iter(batches), verbose=0), models[1].predict(COLUMNS, verbose=0), rtol=1e-5
    )
    with pytest.raises(ValueError, match="array of Python objects"):
        models[0].fit(pl.Series([[1.0], [1.0, 2.0]]), pl.Series([1.0, 2.0]))


@pytest.mark.parametrize("column", [pd.Series, pl.Series, pa.array, list, lambda words: np.array(words, object)])
def test_columns_of_texts(column: Any) -> None:
    words = ["b", "a", "b"]
    with nyala.backend_scope("torch"):
        x = nyala.Input((1,), dtype="string", name="word")
        model = nyala.Model({"word": x}, layers.StringLookup(vocabulary=["a", "b"])(x))
        assert model.predict({"word": column(words)}, verbose=0).tolist() == [[2], [1], [2]]
