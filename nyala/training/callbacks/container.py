"""``CallbackList``: how the loop calls its callbacks, and knows whether it must stop at single batches for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nyala.base import check
from nyala.training.callbacks.base import HOOKS, PHASES, Callback, Logs, ProgressCallback, overrides
from nyala.training.callbacks.logging import History, ProgbarLogger

_OLD_NAME = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList(Callback):
    """Several callbacks called as one, in order.

    ``wants_train_batches`` (``..._test_...``, ``..._predict_...``) says whether one of them hooks into single batches.
    If none does, the loop may run several batches in one call; it reports by ``on_progress``, which is cheap.

    Args:
        callbacks: the callbacks, a single one, or nested lists of them.
        add_history, add_progbar: add a ``History`` or a ``ProgbarLogger`` unless there is one.
        model: passed to ``set_model``.
        params: passed to ``set_params``: ``epochs``, ``steps``, ``verbose``.

    Raises: TypeError for a member that is no callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ):
        self.callbacks: list[Callback] = list(_flat(callbacks))
        for kind, wanted in ((History, add_history), (ProgbarLogger, add_progbar)):
            if wanted and not any(isinstance(c, kind) for c in self.callbacks):
                self.callbacks.append(kind())
        self._sort_by_hook()
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def _sort_by_hook(self) -> None:
        """For each hook the methods to call: those that somebody wrote. What backs up sees what all others have done."""
        self.callbacks.sort(key=_backs_up)
        self._calls: dict[str, list[Callable[..., None]]] = {
            hook: [getattr(c, hook) for c in self.callbacks if _listens(c, hook)] for hook in HOOKS
        }
        self._progress = [c.on_progress for c in self.callbacks if isinstance(c, ProgressCallback)]
        askers = [c for c in self.callbacks if not isinstance(c, ProgressCallback)]
        self._wants = {
            phase: any(_listens(c, f"on_{phase}_batch_{edge}") for c in askers for edge in ("begin", "end"))
            for phase in PHASES
        }

    def append(self, callback: Any) -> None:
        self.callbacks.extend(_flat(callback))
        self._sort_by_hook()

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for c in self.callbacks:
            c.set_params(params)

    def set_model(self, model: Any) -> None:
        self._model = model
        for c in self.callbacks:
            c.set_model(model)

    @property
    def backups(self) -> list[Any]:
        """Those that back the training up."""
        return [c for c in self.callbacks if _backs_up(c)]

    @property
    def wants_train_batches(self) -> bool:
        return self._wants["train"]

    @property
    def wants_test_batches(self) -> bool:
        return self._wants["test"]

    @property
    def wants_predict_batches(self) -> bool:
        return self._wants["predict"]

    def on_progress(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """``step`` batches of the running phase are done; the loop calls it instead of the batch hooks nobody wants."""
        for call in self._progress:
            call(step, logs)


def _flat(callbacks: Any) -> Iterator[Callback]:
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, Callback) or _quacks(callbacks):
        yield callbacks
    elif isinstance(callbacks, Iterable) and not isinstance(callbacks, (str, Mapping)):
        for c in callbacks:
            yield from _flat(c)
    else:
        hint = f"; call it: {callbacks.__name__}()" if isinstance(callbacks, type) else ""
        check.fail("callbacks", f"expected Callback objects, got {callbacks!r}{hint}", TypeError)


def _quacks(x: Any) -> bool:
    """Whether ``x`` is a callback of another library: not of our class, but with all of its methods."""
    return not isinstance(x, type) and all(hasattr(x, name) for name in ("set_model", "set_params", *HOOKS))


def _backs_up(callback: Any) -> bool:
    return getattr(callback, "backs_up", False)


def _listens(callback: Callback, hook: str) -> bool:
    old = _OLD_NAME.get(hook)
    return overrides(callback, hook) or (old is not None and overrides(callback, old))


def _dispatcher(hook: str) -> Callable[..., None]:
    def of_batch(self: CallbackList, batch: int, logs: Logs = None) -> None:
        logs = {} if logs is None else logs
        for method in self._calls[hook]:
            method(batch, logs)

    def of_epoch(self: CallbackList, epoch: int, logs: Logs = None) -> None:
        of_batch(self, epoch, logs)

    def without(self: CallbackList, logs: Logs = None) -> None:
        logs = {} if logs is None else logs
        for method in self._calls[hook]:
            method(logs)

    call = of_batch if "batch" in hook else of_epoch if "epoch" in hook else without
    call.__name__, call.__doc__ = hook, getattr(Callback, hook).__doc__
    return call


for _hook in HOOKS:
    setattr(CallbackList, _hook, _dispatcher(_hook))
