"""The one loop behind ``fit``, ``evaluate`` and ``predict``: they differ by the step that is run and by what is kept.

A ``Runner`` runs the compiled step (see ``steps``) of one kind over one ``Data``. Arrays in memory lie on the device, and a step
is told only which rows it takes; other data comes batch by batch from the host. Nothing is read back but what a callback or the
progress bar is about to show.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from nyala import backends
from nyala.backends import host
from nyala.base import check, config, tree
from nyala.base.variable import Variable
from nyala.training import data as data_
from nyala.training.arrays import to_host
from nyala.training.callbacks import BackupAndRestore, CallbackList, History
from nyala.training.resume import Progress
from nyala.training.steps import check_compiled, home, make_ready, owner_of, step_function

_ON_DEVICE_BYTES = 2 << 30
_KEPT_LOSSES = 4096


class LazyLogs(MutableMapping[str, Any]):
    """Logs whose values are fetched from the device when one of them is read."""

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]):
        self._fetch: Callable[[], Mapping[str, Any]] | None = fetch
        self._values: dict[str, Any] = {}

    def _load(self) -> dict[str, Any]:
        if self._fetch is not None:
            fetch, self._fetch = self._fetch, None
            self._values = {**plain_logs(fetch()), **self._values}
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self._load()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._load()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def copy(self) -> dict[str, Any]:
        return dict(self._load())

    def __repr__(self) -> str:
        return repr(self._load())


def plain_logs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Python floats (arrays for what is no scalar) in place of tensors."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(plain_logs(value) if isinstance(value, Mapping) else {name: plain(value)})
    return found


def plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    array = to_host(value.value if isinstance(value, Variable) else value)
    return float(array) if array.ndim == 0 else array


class Runner:
    """Runs the steps of one kind over one data set, epoch by epoch.

    ``measured=False``: ``steps_per_execution="auto"`` is 1, for what is measured differs from run to run, and a fused step may
    round otherwise.
    """

    def __init__(self, model: Any, kind: str, data: Any, measured: bool = True):
        self.model = model
        self.kind = kind
        self.data = data
        self.backend = model._find_backend()
        self.arrays: Any = None
        self.placement = model._placement()
        if self.placement is None and isinstance(data, data_.ArrayData) and self._fits_on_device(data.arrays):
            self.arrays = tree.map(lambda a: None if a is None else self._on_device(a), data.arrays)
        self.pace = _Pace(self)
        if not measured and self.pace.asked == "auto":
            self.pace.asked = 1
        self.epochs_left = 1
        self.done = 0
        self.recent_losses: list[Any] = []

    def _fits_on_device(self, arrays: Any) -> bool:
        texts = any(map(host.is_texts, tree.flatten(arrays))) and not host.has_strings(self.backend)
        return not texts and _bytes(arrays) <= _ON_DEVICE_BYTES

    def _on_device(self, a: Any) -> Any:
        owner = backends.of(a)
        if owner is not None and owner is not self.backend:
            a = owner.to_numpy(a)
        return self.backend.convert(a)

    def work(self, fused: Callable[[], int]) -> Iterator[tuple[int, Callable[[], Any]]]:
        """The steps of an epoch: ``(number of batches, call)``. ``fused()`` says how many batches to put into one call."""
        self.data.begin()
        work = self._batch_work if self.arrays is None else self._row_work
        limit = config.max_steps_per_epoch()
        if limit is None:
            yield from work(fused)
            return
        left: int = limit
        for count, call in work(lambda: min(fused(), left)):
            yield count, call
            left -= count
            if left <= 0:
                return

    def _row_work(self, fused: Callable[[], int]) -> Iterator[tuple[int, Callable[[], Any]]]:
        order = self.data.order()
        size = len(order[0])
        arrays = self.arrays
        i = 0
        while i < len(order):
            n = min(fused(), len(order) - i)
            rows = order[i : i + n]
            if n > 1 and len(rows[-1]) == size:
                step = step_function(self.model, self.kind, "many rows")
                yield n, _call(step, np.stack(rows).astype("int32"), arrays)
                i += n
            else:
                step = step_function(self.model, self.kind, "rows")
                yield 1, _call(step, rows[0].astype("int32"), arrays)
                i += 1

    def _batch_work(self, fused: Callable[[], int]) -> Iterator[tuple[int, Callable[[], Any]]]:
        batches = (self.host(batch) for batch in self.data.batches())
        while True:
            n = fused()
            group = list(itertools.islice(batches, n))
            if not group:
                return
            if n > 1 and len(group) == n and len({_shapes(b) for b in group}) == 1:
                stack = tree.map(
                    lambda *parts: None if parts[0] is None else np.stack([to_host(p) for p in parts]), *group
                )
                yield n, _call(step_function(self.model, self.kind, "batches"), stack)
            else:
                for batch in group:
                    yield 1, _call(step_function(self.model, self.kind, "batch"), batch)

    def host(self, batch: Any) -> Any:
        """A batch that the step takes: own tensors as they are, all else as arrays; strings encoded for a compiled one."""

        def one(a: Any) -> Any:
            if a is None:
                return None
            owner = owner_of(a)
            if owner is self.backend:
                return a
            array = owner.to_numpy(a) if owner is not None else np.asarray(a)
            return array.astype("float32") if array.dtype == np.float64 else array

        x, y, sample_weight = batch
        x, y, sample_weight = (
            tree.map(one, part) for part in (x, _lists_to_arrays(y), _lists_to_arrays(sample_weight))
        )
        return x if self.model.run_eagerly else self.model._without_texts(x), y, sample_weight


def _lists_to_arrays(y: Any) -> Any:
    if isinstance(y, list) and y and all(isinstance(v, (int, float)) for v in y):
        return np.asarray(y)
    return y


def _call(step: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    return lambda: step(*args)


def _shapes(batch: Any) -> Any:
    return tuple(None if a is None else tuple(a.shape) for a in tree.flatten(batch))


def _bytes(nest: Any) -> int:
    return sum(int(np.prod(a.shape)) * 4 for a in tree.flatten(nest) if a is not None)


class _Pace:
    """How many batches go into one call.

    With ``steps_per_execution="auto"``: one; where the epoch is long, steps are short and the backend can loop in one
    call, a few fused calls are timed against single ones and the faster way is kept.
    """

    _SHORT = 5e-3
    _WORTH = 2.0
    _CANDIDATE = 16
    _SINGLES = 30

    def __init__(self, runner: Runner):
        self.runner = runner
        self.asked = runner.model.steps_per_execution

    def start(self, steps: int | None, listened: bool) -> Callable[[], int]:
        """``fused`` for an epoch of ``steps`` batches; ``listened``: a callback wants each of them."""
        if self.asked != "auto":
            return lambda: int(self.asked)
        decided = self.runner.model.__dict__.setdefault("_steps", {}).get(("pace", self.runner.kind))
        able = (
            self.runner.backend.loops_in_one_call
            and self.runner.arrays is not None
            and not self.runner.model.run_eagerly
        )
        if listened or not able:
            return lambda: 1
        if decided is not None:
            return lambda: decided
        if steps is None or steps < 4 * self._CANDIDATE + self._SINGLES + 5:
            return lambda: 1
        return self._trial(steps).__next__

    def _trial(self, steps: int) -> Iterator[int]:
        """Gives the sizes of the next calls while it measures; each ``yield`` returns after the call before was queued."""
        sync, clock = self.runner.backend.synchronize, time.perf_counter
        for _ in range(5):
            yield 1
        sync()
        begun = clock()
        for _ in range(self._SINGLES):
            yield 1
        sync()
        single = (clock() - begun) / self._SINGLES
        best = 1
        if single < self._SHORT and single * steps * self.runner.epochs_left > self._WORTH:
            k = self._CANDIDATE
            yield k
            sync()
            begun = clock()
            for _ in range(2):
                yield k
            sync()
            if (clock() - begun) / (2 * k) < 0.95 * single:
                best = k
            self.runner.model._steps["pace", self.runner.kind] = best
        while True:
            yield best


def _run_epoch(
    runner: Runner,
    callbacks: CallbackList,
    kind: str,
    keep: Callable[[Any, int], None] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """One pass of the steps of ``kind``; returns the logs of the last step as they are on the device."""
    model = runner.model
    if kind != "predict":
        model._found_for = None
    listened = getattr(callbacks, f"wants_{kind}_batches")
    begin, end = getattr(callbacks, f"on_{kind}_batch_begin"), getattr(callbacks, f"on_{kind}_batch_end")
    recent: list[Any] = []
    own_logs: dict[str, Any] | None = None
    done = 0
    work = runner.work(runner.pace.start(runner.data.steps, listened))
    if progress is not None:
        work, done, own_logs = progress.work(work), progress.batch, progress.step_logs

    def latest() -> Mapping[str, Any]:
        return own_logs if own_logs is not None else model.get_metrics_result()

    for count, call in work:
        if listened:
            begin(done)
        out = call()
        done += count
        if kind == "predict":
            assert keep is not None
            keep(out, count)
            if listened:
                end(done - 1, {"outputs": out})
            else:
                callbacks.on_progress(done)
            continue
        loss, own_logs = out
        if progress is not None:
            progress.batch, progress.step_logs = done, own_logs
        if loss is not None:
            recent.append(loss)
            if len(recent) == _KEPT_LOSSES:
                recent = recent[-1:]
        if listened:
            end(done - 1, LazyLogs(latest))
        else:
            callbacks.on_progress(done, LazyLogs(latest))
        if model.stop_training and kind == "train":
            break
    runner.recent_losses = recent
    runner.done = done
    runner.data.on_epoch_end()
    return dict(latest()) if kind != "predict" else {}


def _warn_of_nan(model: Any, runner: Runner, logs: dict[str, Any], epoch: int) -> None:
    """Name the batch in which the loss stopped being a number."""
    loss = logs.get("loss")
    if not isinstance(loss, float) or np.isfinite(loss):
        return
    recent = [plain(x) for x in runner.recent_losses]
    done = runner.done
    bad = next((i for i, x in enumerate(recent) if not np.isfinite(x)), None)
    where = (
        f", first in batch {done - len(recent) + bad + 1} of {done}" if bad is not None and len(recent) == done else ""
    )
    warnings.warn(
        f"{check.who(model)}: the loss became {loss} in epoch {epoch + 1}{where}. A lower learning rate, clipnorm=1.0 in the "
        "optimizer, or scaled inputs usually help; the TerminateOnNaN callback stops training",
        stacklevel=6,
    )


def fit(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    verbose: int | str,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool | str,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: int | Sequence[int],
    resume: Any = None,
) -> History:
    check_compiled(model, "fit")
    check.non_negative_int(model, "epochs", epochs)
    most = config.max_epochs()
    if most is not None and epochs > most:
        warnings.warn(f"fit: {epochs} epochs were asked for, and config.max_epochs() is {most}", stacklevel=5)
        epochs = most
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = data_.split(x, y, sample_weight, validation_split)
    with home(model):
        data = data_.make(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            shuffle=shuffle,
            class_weight=class_weight,
        )
    model._settle_backend(data)
    with home(model):
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_history=True, add_progbar=_level(verbose) != 0)
        if resume is not None:
            callbacks.append(BackupAndRestore(resume))
        progress = Progress(model, data, callbacks, initial_epoch)
        for backup in callbacks.backups:
            backup.progress, data.recorded = progress, True
        make_ready(model, data, "train")
        measured = not (data.recorded or config.is_determinism_enabled())
        runner = Runner(model, "train", data, measured)
        validation: Runner | None = None
        callbacks.set_model(model)
        callbacks.set_params({"verbose": _level(verbose), "epochs": epochs, "steps": _steps(data)})
        history = next((c for c in callbacks.callbacks if isinstance(c, History)), None) or History()
        model.history = history
        model.stop_training = False
        logs: dict[str, Any] = {}
        callbacks.on_train_begin()
        logs = progress.logs
        for epoch in range(epochs if progress.stopped else progress.epoch, epochs):
            model.reset_metrics()
            runner.epochs_left = epochs - epoch
            callbacks.on_epoch_begin(epoch)
            progress.again()
            logs = plain_logs(_run_epoch(runner, callbacks, "train", progress=progress))
            if runner.done == 0 and epoch > initial_epoch:
                model.stop_training = True
            _warn_of_nan(model, runner, logs, epoch)
            if validation_data is not None and _validates(epoch, validation_freq):
                if validation is None:
                    vx, vy, vw = _validation_parts(validation_data)
                    validation = Runner(
                        model,
                        "test",
                        data_.make(vx, vy, vw, batch_size=validation_batch_size or batch_size, steps=validation_steps),
                        measured,
                    )
                    progress.validation = validation.data
                results = _evaluate(validation, callbacks)
                logs.update({f"val_{name}": value for name, value in results.items()})
            progress.ended(epoch, logs)
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training or (isinstance(data, data_.IteratorData) and data.exhausted):
                break
        if model.optimizer is not None and model.optimizer.built:
            model.optimizer.finalize_variable_values(model.trainable_variables)
        callbacks.on_train_end(logs)
    return history


def _steps(data: Any) -> int | None:
    """The batches of an epoch, as far as known."""
    most = config.max_steps_per_epoch()
    return data.steps if most is None or data.steps is None else min(most, data.steps)


def _level(verbose: int | str) -> int:
    if verbose == "auto":
        return 1 if config.is_interactive_logging_enabled() else 2
    return int(verbose)


def _validation_parts(given: Any) -> Any:
    return data_.unpack_x_y_sample_weight(given) if isinstance(given, (tuple, list)) else (given, None, None)


def _validates(epoch: int, freq: int | Sequence[int]) -> bool:
    return (epoch + 1) % freq == 0 if isinstance(freq, int) else (epoch + 1) in freq


def _evaluate(runner: Runner, callbacks: CallbackList) -> dict[str, Any]:
    callbacks.on_test_begin()
    runner.model.reset_metrics()
    runner.backend.settle(runner.model._found_once("variables"))
    logs = plain_logs(_run_epoch(runner, callbacks, "test"))
    callbacks.on_test_end(logs)
    return logs


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    verbose: int | str,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    return_dict: bool,
) -> Any:
    check_compiled(model, "evaluate")
    with home(model):
        data = data_.make(x, y, sample_weight, batch_size=batch_size, steps=steps, who="evaluate")
        make_ready(model, data, "test")
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_progbar=_level(verbose) != 0)
        callbacks.set_model(model)
        callbacks.set_params({"verbose": _level(verbose), "epochs": 1, "steps": _steps(data)})
        logs = _evaluate(Runner(model, "test", data), callbacks)
    return logs if return_dict else _as_list(logs)


def _as_list(logs: dict[str, Any]) -> Any:
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def predict(model: Any, x: Any, batch_size: int | None, verbose: int | str, steps: int | None, callbacks: Any) -> Any:
    with home(model) as backend, backend.no_grad():
        data = data_.make(x, batch_size=batch_size, steps=steps, who="predict")
        make_ready(model, data, "predict")
        runner = Runner(model, "predict", data)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks, add_progbar=_level(verbose) != 0)
        callbacks.set_model(model)
        callbacks.set_params({"verbose": _level(verbose), "epochs": 1, "steps": _steps(data)})
        outputs: list[Any] = []
        waiting: list[Any] = []

        def keep(out: Any, count: int) -> None:
            # One batch stays on the device, so that the next one is computed while this one is copied.
            waiting.append(out)
            if len(waiting) > 1:
                outputs.append(_host_copy(backend, waiting.pop(0)))

        runner.pace.asked = 1
        backend.settle(model._found_once("variables"))
        callbacks.on_predict_begin()
        _run_epoch(runner, callbacks, "predict", keep)
        outputs += [_host_copy(backend, out) for out in waiting]
        callbacks.on_predict_end()
    if not outputs:
        check.fail("predict", "the data set is empty: it gave no batch")
    return outputs[0] if len(outputs) == 1 else tree.map(_joined, *outputs)


def _joined(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def _host_copy(backend: Any, nest: Any) -> Any:
    return tree.map(lambda t: backend.to_numpy(t) if backend.is_tensor(t) else np.asarray(t), nest)


def on_batch(model: Any, kind: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
    check_compiled(model, f"{kind}_on_batch")
    with home(model):
        data = data_.ArrayData(
            x, y, sample_weight, batch_size=1 << 40, class_weight=class_weight, who=f"{kind}_on_batch"
        )
        make_ready(model, data, kind)
        runner = Runner(model, kind, data_.IteratorData([data.arrays]))
        _, logs = step_function(model, kind)(runner.host(data.arrays))
        logs = plain_logs(logs if logs is not None else model.get_metrics_result())
    return logs if return_dict else _as_list(logs)


def predict_on_batch(model: Any, x: Any) -> Any:
    with home(model) as backend, backend.no_grad():
        data = data_.ArrayData(x, batch_size=1 << 40, who="predict_on_batch")
        make_ready(model, data, "predict")
        runner = Runner(model, "predict", data_.IteratorData([data.arrays]))
        return _host_copy(backend, step_function(model, "predict")(runner.host(data.arrays)))
