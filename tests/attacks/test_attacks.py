"""Every known attack is refused with its reason, and nothing but the file is opened, run or imported meanwhile."""

from __future__ import annotations

import json
import mimetypes
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nyala
from nyala.saving import ModelFileError, inspect, load_model
from tests.attacks import corpus

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (sys.prefix, sys.base_prefix, str(ROOT / "nyala"), str(ROOT / "tests"), *mimetypes.knownfiles)

INNER = ("new", "got", "got_archive")
"""What ``get_file`` makes in a folder of its own, and clears away by names within that."""


def watched(format: str, folder: Path) -> dict[str, Any]:
    """What happened in a process that loaded the attacks of this format."""
    command = [sys.executable, "-m", "tests.attacks.watch", format, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


def problems(attack: corpus.Attack, row: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the way an attack was met."""
    if not row["error"]:
        yield "it was loaded"
    elif not re.search(attack.reason, row["message"], re.DOTALL):
        yield f"the reason is not {attack.reason!r}: {row['message'][:300]}"
    elif attack.format != corpus.DOWNLOAD and "Lambda" not in row["message"] and "ModelFileError" not in row["error"]:
        yield f"the error is {row['error']}"
    download = attack.format == corpus.DOWNLOAD
    own = (row["path"], str(Path(row["path"]).parent / "cache"))
    for event, what in row["events"]:
        if event == "open":
            if not what.startswith((*own, *LIBRARIES)) and not what.isdigit() and not (download and what in INNER):
                yield f"it opened {what}"
        elif event == "import":
            if what.split(".")[0] in (corpus.CANARY, "webbrowser", "antigravity"):
                yield f"it imported {what}"
        elif not (
            (download and event.startswith("urllib."))
            or (download and event.startswith(("os.", "shutil.", "tempfile.")) and what.startswith(own[1]))
            or (download and event == "os.rmdir" and what in INNER)
            or (row["path"].endswith(".pkl") and event == "pickle.find_class")  # the user's own call of pickle.loads
        ):
            yield f"it caused {event} {what}"


@pytest.mark.parametrize("format", corpus.LOADERS)
def test_refused_and_quiet(format: str, tmp_path: Path) -> None:
    found = watched(format, tmp_path)
    rows = [a for a in corpus.ATTACKS if a.format == format]
    wrong = [f"{a.name} ({a.cve}): {p}" for a in rows for p in problems(a, found[a.name])]
    assert rows and not wrong, "\n".join(wrong)
    assert found["canary"] == {"imported": False, "mark": False}


def test_the_canary_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the attacks carry does work where it is run."""
    (tmp_path / f"{corpus.CANARY}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    import base64
    import marshal

    eval(marshal.loads(base64.b64decode(corpus.code())))
    assert sys.modules.pop(corpus.CANARY)


@pytest.mark.parametrize(
    "attack", [a for a in corpus.ATTACKS if a.format in (corpus.ARCHIVE, corpus.WEIGHTS)], ids=lambda a: a.name
)
def test_inspect_never_fails(attack: corpus.Attack, tmp_path: Path) -> None:
    path = attack.build(tmp_path)
    if path.suffix != ".pkl":
        assert str(inspect(path)).startswith(str(path))


def test_what_the_file_cannot_name_the_user_can(tmp_path: Path) -> None:
    """A custom class is found by ``custom_objects``, and never takes the place of a built-in one."""

    class Dense(nyala.layers.Layer):
        def call(self, x: Any) -> Any:
            raise AssertionError("a custom class in place of a built-in one")

    path = corpus.archive(tmp_path, lambda c: c.pop("compile_config"))
    assert type(load_model(path, custom_objects={"Dense": Dense}).layers[-1]) is nyala.layers.Dense


def test_budget_is_held_against_what_is_stored(tmp_path: Path) -> None:
    """A model whose numbers the file does store loads, however many they are for a config of its size."""
    net = nyala.Sequential([nyala.Input((300,)), nyala.layers.Dense(3000)])
    net.save(tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras").count_params() == 903_000


def test_one_error_for_refused_files(tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="neither"):
        load_model(tmp_path / "a.keras")
    assert issubclass(ModelFileError, ValueError)
