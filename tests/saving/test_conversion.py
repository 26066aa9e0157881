"""``nyala inspect``, ``nyala summary`` and ``nyala convert``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nyala
from nyala import cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tokens, x = nyala.Input((5,), dtype="int32"), nyala.Input((None, 3))
    a = nyala.layers.GlobalAveragePooling1D()(nyala.layers.Embedding(7, 4)(tokens))
    b = nyala.layers.GRU(4)(x)
    model = nyala.Model([tokens, x], nyala.layers.Dense(2)(nyala.layers.Add()([a, b])))
    model.save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


@pytest.mark.parametrize("ending", [".h5", ".json", ".weights.h5", ".safetensors"])
def test_convert(ending: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = file.with_name(f"new{ending}")
    cli.main(["convert", str(file), str(target)])
    assert "its outputs differ by 0.0e+00" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"new\.\S+ exists and overwrite is False"):
        cli.main(["convert", str(file), str(target)])
    if ending in (".weights.h5", ".safetensors"):
        cli.main(["convert", str(file), str(file.with_name("arch.json"))])
        back = file.with_name("back.keras")
        cli.main(["convert", str(target), str(back), "--architecture", str(file.with_name("arch.json"))])
        for a, b in zip(*(nyala.saving.load_model(f).get_weights() for f in (file, back)), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not [p for p in file.parent.iterdir() if p.name.startswith(".")]


def test_a_difference_is_found_and_nothing_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = file.with_name("new.h5")
    target.write_text("old")
    monkeypatch.setattr("nyala.saving.legacy.read_weights", lambda *args, **kwargs: None)
    with pytest.raises(ValueError, match="outputs differ"):
        nyala.saving.convert(file, target)
    assert target.read_text() == "old"


def test_inspect_and_summary(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["inspect", str(file)])
    told = capsys.readouterr().out
    assert "a model (.keras archive)" in told and "1 GRU" in told and "(7, 4)" in told
    cli.main(["summary", str(file)])
    assert "Total params" in capsys.readouterr().out
    (tmp_path / "bad.keras").write_bytes(file.read_bytes()[:-60])
    with pytest.raises(SystemExit, match="1"):
        cli.main(["inspect", str(tmp_path / "bad.keras")])
    with pytest.raises(SystemExit, match=r"nyala summary: .*there is no file"):
        cli.main(["summary", str(tmp_path / "none.keras")])


def test_the_users_own_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "mine.py"
    program.write_text("import nyala\nclass Mine(nyala.layers.Layer):\n    def call(self, x):\n        return x * 2\n")
    mine: dict[str, type[nyala.layers.Layer]] = {}
    exec(program.read_text(), mine)
    nyala.Sequential([nyala.Input((2,)), mine["Mine"]()]).save(tmp_path / "m.keras")
    with pytest.raises(SystemExit, match="Mine"):
        cli.main(["convert", str(tmp_path / "m.keras"), str(tmp_path / "m.h5")])
    cli.main(["convert", str(tmp_path / "m.keras"), str(tmp_path / "m.h5"), "--custom", str(program)])
    cli.main(["inspect", str(tmp_path / "m.h5")])
    assert "needs: Mine" in capsys.readouterr().out
