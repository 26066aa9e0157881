"""The progress bar on a terminal, in a log and in between."""

from __future__ import annotations

import inspect
import io
import re
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from nyala.training import progress
from nyala.training.callbacks import CallbackList, ProgbarLogger
from nyala.training.progress import Progbar


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stdout=stream))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


class Counted(dict[str, float]):
    """Results that count how often they are read."""

    reads = 0

    def items(self) -> Any:
        self.reads += 1
        return super().items()


def visible(text: str) -> list[str]:
    """What stands on a terminal's lines in the end, and that no redrawn line leaves a rest of the one before."""
    lines = []
    for line in re.sub(r"\x1b\[\d*m", "", text).split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_signature_is_keras() -> None:
    for name in ("__init__", "update", "add"):
        mine, expected = (
            list(inspect.signature(getattr(c, name)).parameters.values()) for c in (Progbar, keras.utils.Progbar)
        )
        assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in expected]


def test_terminal(terminal: Terminal, clock: list[float]) -> None:
    bar = Progbar(10, interval=0)
    clock[0] += 5  # the first step compiles, so it does not count
    bar.update(1, [("loss", 100.0)])
    clock[0] += 1
    bar.update(3, [("loss", 1.0)])
    assert visible(terminal.getvalue())[0] == " 3/10 ━━━━━━━━━━━━━━━━━━━━ 3s 500ms/step - loss: 34.0000"
    assert "\x1b[32m━━━━━━\x1b[37m━━━━━━━━━━━━━━\x1b[0m" in terminal.getvalue()
    clock[0] += 70
    bar.update(10, [("loss", 5e-4)])
    assert visible(terminal.getvalue()) == ["10/10 ━━━━━━━━━━━━━━━━━━━━ 1:16 8s/step - loss: 5.0000e-04", ""]


def test_log_gets_one_line(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    bar = Progbar(100)
    for step in range(1, 101):
        clock[0] += 0.002
        bar.update(step, [("loss", 1.0), ("acc", np.float32(0.5))])
    assert capsys.readouterr().out == "100/100 - 0s - 2ms/step - loss: 1.0000 - acc: 0.5000\n"


@pytest.mark.parametrize(
    ("how", "loss"), [({}, 2.5), ({"stateful_metrics": ["loss"]}, 4.0), ({"stateless_metrics": ["acc"]}, 4.0)]
)
def test_averages_what_is_not_stateful(how: Any, loss: float, terminal: Terminal) -> None:
    bar = Progbar(5, interval=0, **how)
    bar.update(1, [("loss", 1.0)])
    bar.update(2, [("loss", 4.0)])
    assert f"loss: {loss:.4f}" in visible(terminal.getvalue())[0]


def test_unknown_target_and_other_units(terminal: Terminal, clock: list[float]) -> None:
    bar = Progbar(None, interval=0, unit_name="sample")
    bar.add(2)
    clock[0] += 4e-5
    bar.add(1)
    assert visible(terminal.getvalue())[0] == "3/Unknown 0s 40us/sample"


def test_silent(capsys: pytest.CaptureFixture[str]) -> None:
    Progbar(1, verbose=0).update(1, [("loss", 1.0)])
    assert capsys.readouterr().out == ""


def test_both_lists_of_names() -> None:
    with pytest.raises(ValueError, match="not both"):
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])


def test_a_long_line_is_cut_while_it_is_redrawn(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    bar = Progbar(2, interval=0)
    bar.update(1, [("a_long_name", 1.0), ("another_long_name", 2.0)])
    assert len(visible(terminal.getvalue())[0]) < 40
    bar.update(2)
    assert "another_long_name: 2.0000" in terminal.getvalue()


def test_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    stream.encoding = "ascii"  # type: ignore[misc]
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stdout=stream))
    monkeypatch.setenv("NO_COLOR", "1")
    Progbar(2, width=4, interval=0).update(1)
    assert "1/2 ==-- 0s" in stream.getvalue()


def logger(steps: int | None, verbose: int = 1, epochs: int = 2) -> CallbackList:
    return CallbackList(ProgbarLogger(), epochs=epochs, steps=steps, verbose=verbose)


def test_fit_reads_results_only_when_it_draws(terminal: Terminal, clock: list[float]) -> None:
    bars, logs = logger(1000), Counted(loss=1.0)
    bars.on_train_begin()
    bars.on_epoch_begin(0)
    for step in range(1, 1001):
        clock[0] += 0.001
        bars.on_progress(step, logs)
    assert 5 <= logs.reads <= 11
    bars.on_epoch_end(0, {"loss": 0.5, "val_loss": 2.0})
    bars.on_train_end()
    assert visible(terminal.getvalue()) == [
        "Epoch 1/2", "1000/1000 ━━━━━━━━━━━━━━━━━━━━ 1s 1ms/step - loss: 0.5000 - val_loss: 2.0000", "",
    ]  # fmt: skip


@pytest.mark.parametrize("verbose", [1, 2])
def test_fit_in_a_log(verbose: int, capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    bars, logs = logger(None, verbose), Counted(loss=1.0)
    bars.on_train_begin()
    for epoch in range(2):
        bars.on_epoch_begin(epoch)
        for batch in range(4):
            clock[0] += 1
            bars.on_train_batch_end(batch, logs)
        clock[0] += 4  # the device finishes what was queued
        bars.on_test_begin()
        clock[0] += 10  # validation is not the speed of training
        bars.on_test_batch_end(0, logs)
        bars.on_test_end()
        bars.on_epoch_end(epoch, {"loss": 0.5})
    bars.on_train_end()
    assert not logs.reads
    assert capsys.readouterr().out == "".join(f"Epoch {e}/2\n4/4 - 18s - 2s/step - loss: 0.5000\n" for e in (1, 2))


def test_evaluate_and_predict(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    bars = logger(3, epochs=1)
    bars.on_test_begin()
    bars.on_progress(3, {"loss": 9.0})
    bars.on_test_end({"loss": 0.5})
    bars.on_predict_begin()
    bars.on_predict_batch_end(2, {"outputs": np.zeros(3)})
    bars.on_predict_end()
    assert capsys.readouterr().out == "3/3 - 0s - 0us/step - loss: 0.5000\n3/3 - 0s - 0us/step\n"
