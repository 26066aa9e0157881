"""Importing Nyala imports no backend, and the public names are there."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOADED = "print(sorted({'jax', 'torch', 'tensorflow', 'keras', 'h5py', 'rich', 'matplotlib'} & set(sys.modules)))"


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import nyala",
        "import nyala; nyala.layers.Dense; nyala.losses.MeanSquaredError; nyala.optimizers.Adam; nyala.ops.add",
        "from nyala.layers import Dense; from nyala import Sequential, callbacks, datasets, utils",
    ],
)
def test_import_loads_no_backend(statement: str) -> None:
    assert _run(f"import sys; {statement}; {_LOADED}") == "[]"


def test_public_names_resolve() -> None:
    import nyala

    missing = [name for name in dir(nyala) if getattr(nyala, name, None) is None]
    assert not missing
    assert {"Model", "Sequential", "layers", "ops", "callbacks", "datasets", "saving"} <= set(dir(nyala))


def test_unknown_name_is_an_attribute_error() -> None:
    import nyala

    with pytest.raises(AttributeError, match="nosuchname"):
        nyala.nosuchname
