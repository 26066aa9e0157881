"""The one loop behind ``fit``, ``evaluate`` and ``predict``: they differ by the step that is run and by what is kept.

A ``Runner`` runs the compiled step of one kind over one ``Data``. Arrays in memory lie on the device, and a step is told only
which rows it takes; other data comes batch by batch from the host. Nothing is read back but what a callback or the progress bar
is about to show.
"""

from __future__ import annotations

import inspect
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from nyala import backends, losses, ops
from nyala._typing import Nest
from nyala.base import check, config, tree
from nyala.base.scope import StateScope
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor
from nyala.training import data as data_
from nyala.training.callbacks import BackupAndRestore, CallbackList, History
from nyala.training.resume import Progress

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
    array = data_.to_host(value.value if isinstance(value, Variable) else value)
    return float(array) if array.ndim == 0 else array


# -- steps ---------------------------------------------------------------------------------------------------------------


def step_of(model: Any, kind: str) -> Callable[[Any], Any]:
    """The Python function of one step: ``batch -> (loss or None, logs or None)``, for predict ``batch -> outputs``."""
    if kind == "predict":
        return lambda batch: model.predict_step(data_.pack_x_y_sample_weight(*batch))
    own, lean = (model.train_step, model._train_once) if kind == "train" else (model.test_step, model._test_once)
    if not model._overrides(own.__name__):
        return lambda batch: lean(batch, want_logs=False)
    if len(inspect.signature(own).parameters) == 2:  # (state, data)
        return lambda batch: (None, _stateless_step(model, own, data_.pack_x_y_sample_weight(*batch)))
    return lambda batch: (None, backends.user_code(own)(data_.pack_x_y_sample_weight(*batch)))


def _stateless_step(model: Any, step: Callable[..., Any], data: Any) -> Any:
    """A ``train_step(self, state, data)`` in the manner of Keras on JAX: values in, logs and new values out."""
    _build_compiled(model, data)
    groups = [model.trainable_variables, model.non_trainable_variables]
    if step.__name__ == "train_step":
        groups.append(model.optimizer.variables)
    groups.append(_metric_variables(model))
    taken = {id(v) for v in groups[-1]}
    groups[1] = [v for v in groups[1] if id(v) not in taken]
    logs, state = step(tuple([v.value for v in group] for group in groups), data)
    for group, values in zip(groups, state):
        for variable, value in zip(group, values):
            variable.assign(value)
    return logs


def _build_compiled(model: Any, data: Any) -> None:
    """Make the losses and metrics of ``compile``, whose state the step is handed, before it runs."""
    parts = [p for p in (model._compile_loss, model._compile_metrics) if p is not None and not p.built]
    x, y, _ = data_.unpack_x_y_sample_weight(data)
    if parts and y is not None and model.built and model._defines_call():
        with StateScope():
            y_pred = model(x, training=False)
        for part in parts:
            part.build(y, y_pred)


def _metric_variables(model: Any) -> list[Variable]:
    return [v for metric in model.metrics for v in metric.variables]


def _jit(model: Any) -> bool | None:
    return None if model.jit_compile in ("auto", None) else bool(model.jit_compile)


def step_function(model: Any, kind: str, variant: str = "batch", force: bool = False) -> Callable[..., Any]:
    """The compiled step of a kind.

    Variants: ``"batch"``: ``f(batch)``; ``"rows"``: ``f(indices, arrays)``, the batch being those rows of arrays on the device;
    ``"batches"`` and ``"many rows"``: the same for a stack of them in one call.
    """
    steps = model.__dict__.setdefault("_steps", {})
    key = (kind, variant, model.run_eagerly)
    if force or key not in steps:
        steps[key] = _compiled_step(model, kind, variant)
    return steps[key]


@contextmanager
def _home(model: Any) -> Iterator[Any]:
    """The scope of the model's backend and of the devices that it lies on."""
    backend, placement = model._find_backend(), model._placement()
    with backends.backend_scope(backend), nullcontext() if placement is None else backend.placed(placement):
        yield backend


def _compiled_step(model: Any, kind: str, variant: str) -> Callable[..., Any]:
    one = step_of(model, kind)
    backend = model._find_backend()

    def rows(indices: Any, arrays: Any) -> Any:
        def pick(a: Any) -> Any:
            if isinstance(a, (list, tuple, dict)):
                return tree.map(pick, a)
            return None if a is None else ops.take(a, indices, axis=0)

        x, y, sample_weight = arrays
        return one((pick(x), pick(y), pick(sample_weight)))

    fn = one if variant in ("batch", "batches") else rows
    placement = model._placement()
    if placement is not None:
        fn = backend.spread(fn, placement)
    many = variant in ("batches", "many rows")
    if model.run_eagerly:
        if not many:
            return lambda *args: fn(*converted(backend, args))

        def each(stack: Any, *rest: Any) -> Any:
            out = None
            for i in range(len(tree.flatten(stack)[0])):
                out = fn(*converted(backend, (tree.map(lambda a: None if a is None else a[i], stack), *rest)))
            return out

        return each
    known = model._all_variables() if kind != "predict" else model.variables
    compiler = backend.compile_loop if many else backend.compile
    return compiler(fn, known, jit=_jit(model))


def converted(backend: Any, args: Any) -> Any:
    return tree.map(lambda a: backend.convert(a) if isinstance(a, np.ndarray) else a, args)


# -- making ready --------------------------------------------------------------------------------------------------------


def _first_batch_specs(data: Any) -> Nest:
    """Symbolic tensors shaped like the inputs of a batch, its batch axis unknown."""
    x = data.x if isinstance(data, data_.ArrayData) else data.peek()[0]
    backend = backends.current()

    def spec(a: Any) -> SymbolicTensor:
        owner = _owner(a)
        dtype = owner.dtype_of(a) if owner is not None else np.asarray(a).dtype
        return SymbolicTensor((None, *a.shape[1:]), dtype, backend=backend)

    return tree.map(lambda a: None if a is None else spec(a), x)


def _owner(a: Any) -> Any:
    """The backend of a tensor, ``None`` for an array or numbers. Raises TypeError for ragged and sparse tensors."""
    owner = backends.of(a)
    if owner is None and hasattr(a, "shape") and not hasattr(a, "__array__"):
        check.fail(
            "data", f"holds a {type(a).__name__}; dense tensors are needed: x.to_tensor(), tf.sparse.to_dense(x)"
        )
    return owner


def make_ready(model: Any, data: Any, kind: str) -> None:
    """Build what is not built: the model by an abstract call, the optimizer's slots; check the labels."""
    if kind != "predict":
        check_compiled(model, kind)
    if not model.built and model._defines_call():
        specs = _first_batch_specs(data)
        ready = all(layer.built for layer in model._flatten_layers(include_self=False))
        try:
            _make_weights(model, data, specs)
        except Exception as error:
            # A model with a train_step of its own may never be called as a whole, on this data.
            if kind == "predict" or not model._no_loss_is_fine():
                raise
            if not ready:
                warnings.warn(
                    f"{check.who(model)}: its weights could not be made before the first step, because calling it on the "
                    f"data fails: {type(error).__name__}: {error}",
                    stacklevel=2,
                )
    if kind == "train" and model.optimizer is not None and model.trainable_variables:
        model.optimizer.build(model.trainable_variables)
    if kind != "predict" and isinstance(data, data_.ArrayData):
        _check_labels(model, data)


def _make_weights(model: Any, data: Any, specs: Nest) -> None:
    """By an abstract call, else by one on the first batch: ``call`` may read values."""
    try:
        model.compute_output_spec(specs)
        return
    except Exception:
        pass  # what else is wrong is wrong in the second call, too, and simpler to read there
    model(data.peek()[0], training=False)


def check_compiled(model: Any, what: str) -> None:
    if not model._compiled:
        check.fail(model, f"is not compiled; call model.compile(optimizer, loss) before {what}", RuntimeError)


def _check_labels(model: Any, data: Any) -> None:
    """A class number that no output stands for would train on nonsense, or crash deep inside a kernel."""
    given = model.loss
    try:
        outputs = model.outputs
    except AttributeError:
        return
    if len(outputs) != 1 or data.y is None:
        return
    name = given if isinstance(given, str) else getattr(given, "name", getattr(given, "__name__", ""))
    if name == "sparse_categorical_crossentropy" and getattr(given, "ignore_class", None) is None:
        y = tree.flatten(data.y)[0]
        classes = outputs[0].shape[-1]
        if isinstance(y, np.ndarray) and classes is not None:
            losses.check_sparse_labels(model, y, classes)


# -- running -------------------------------------------------------------------------------------------------------------


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
        if self.placement is None and isinstance(data, data_.ArrayData) and _bytes(data.arrays) <= _ON_DEVICE_BYTES:
            self.arrays = tree.map(lambda a: None if a is None else self._on_device(a), data.arrays)
        self.pace = _Pace(self)
        if not measured and self.pace.asked == "auto":
            self.pace.asked = 1
        self.epochs_left = 1
        self.done = 0
        self.recent_losses: list[Any] = []

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
                    lambda *parts: None if parts[0] is None else np.stack([data_.to_host(p) for p in parts]), *group
                )
                yield n, _call(step_function(self.model, self.kind, "batches"), stack)
            else:
                for batch in group:
                    yield 1, _call(step_function(self.model, self.kind, "batch"), batch)

    def host(self, batch: Any) -> Any:
        """A batch that the compiled step takes: own tensors as they are, all else as arrays."""

        def one(a: Any) -> Any:
            if a is None:
                return None
            owner = _owner(a)
            if owner is self.backend:
                return a
            array = owner.to_numpy(a) if owner is not None else np.asarray(a)
            return array.astype("float32") if array.dtype == np.float64 else array

        x, y, sample_weight = batch
        return tuple(tree.map(one, part) for part in (x, _lists_to_arrays(y), _lists_to_arrays(sample_weight)))


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
    with _home(model):
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
    with _home(model):
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
    with _home(model):
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
    with _home(model) as backend, backend.no_grad():
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
    with _home(model):
        data = data_.ArrayData(
            x, y, sample_weight, batch_size=1 << 40, class_weight=class_weight, who=f"{kind}_on_batch"
        )
        make_ready(model, data, kind)
        runner = Runner(model, kind, data_.IteratorData([data.arrays]))
        _, logs = step_function(model, kind)(runner.host(data.arrays))
        logs = plain_logs(logs if logs is not None else model.get_metrics_result())
    return logs if return_dict else _as_list(logs)


def predict_on_batch(model: Any, x: Any) -> Any:
    with _home(model) as backend, backend.no_grad():
        data = data_.ArrayData(x, batch_size=1 << 40, who="predict_on_batch")
        make_ready(model, data, "predict")
        runner = Runner(model, "predict", data_.IteratorData([data.arrays]))
        return _host_copy(backend, step_function(model, "predict")(runner.host(data.arrays)))
