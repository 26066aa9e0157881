"""What every model can do: compile, fit, evaluate, predict. The loop itself is in ``loop``."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from nyala import backends, metrics, ops, optimizers
from nyala._typing import Nest, Tensor
from nyala.backends import host
from nyala.base import check, old, scope, tracebacks, tracking, tree
from nyala.base.variable import Variable
from nyala.training import data as data_
from nyala.training import loop
from nyala.training.callbacks import History
from nyala.training.compile import CompileLoss, CompileMetrics
from nyala.training.old import Appended, OldTrainer
from nyala.training.state_tree import get as get_state
from nyala.training.state_tree import put as put_state
from nyala.training.steps import step_function

_RESOLVED = {"steps_per_execution": 1, "jit_compile": True}
"""Keras's files hold what ``"auto"`` came to on the backend that saved them, not what was asked for."""


@functools.lru_cache(maxsize=256)
def _takes_training(compute_loss: Callable[..., Any]) -> bool:
    parameters = inspect.signature(compute_loss).parameters.values()
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


class Trainer(OldTrainer):
    """Mixed into ``Model``. Override ``train_step(self, data)`` and its kin for a step of your own; it runs on all backends."""

    _untracked: ClassVar[frozenset[str]] = frozenset(
        {
            "optimizer", "history", "_loss_tracker", "_compile_loss", "_compile_metrics", "_compiled", "_compile_args",
            "_steps", "_made_in", "stop_training", "_found", "_trainable_at_compile", "train_function", "test_function",
            "predict_function", "_named_values",
        }
    )  # fmt: skip

    optimizer: Any = None
    stop_training: bool = False
    history: Any = None
    _compiled: bool = False
    _compile_loss: CompileLoss | None = None
    _compile_metrics: CompileMetrics | None = None
    _loss_tracker: Any = None
    run_eagerly: bool = False
    jit_compile: bool | str | None = "auto"
    steps_per_execution: int | str = "auto"
    auto_scale_loss: bool = True
    _backend_is_open: bool = False
    _made_in: Any = None
    _found_for: Any = None
    _found: dict[str, list[Variable]]
    _trainable_at_compile: tuple[tuple[Any, bool], ...] = ()
    _told_of_trainable: bool = False
    _named_values: list[Tensor] = []
    """What tensors of the graph that a loss or metric names were in the last call."""

    # -- compile -----------------------------------------------------------------------------------------------------

    @old.compile_arguments
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | str = "auto",
        jit_compile: bool | str | None = "auto",
        auto_scale_loss: bool = True,
        *,
        backend: str | None = None,
    ) -> None:
        """Set what ``fit`` trains with.

        Args:
            optimizer: a name or an ``Optimizer``.
            loss: a name, function or ``Loss``; a list or dict of them for several outputs.
            loss_weights: numbers by which the outputs' losses are weighted, in the same form.
            metrics: a list of names, functions or ``Metric``s; lists or dicts of lists for several outputs.
            weighted_metrics: metrics that see sample and class weights.
            run_eagerly: run steps without compiling, so that they can be debugged line by line.
            steps_per_execution: steps run in one call; ``"auto"``: one, or more where that is measured to be faster and no
                callback asks for single batches.
            jit_compile: use the backend's compiler (jax jit, XLA, torch.compile); ``"auto"``: as is fast on the backend.
            auto_scale_loss: scale the loss in float16 training, so that small gradients are not lost.
            backend: move the model to this backend. ``"auto"``: the next ``fit`` times some training steps on each one that is
                installed and moves the model to the fastest; weights and random states are as they were.
        """
        if steps_per_execution != "auto":
            check.positive_int(self, "steps_per_execution", steps_per_execution)
        if jit_compile not in (True, False, None, "auto"):
            check.fail(self, f"jit_compile must be True, False or 'auto', got {jit_compile!r}")
        if run_eagerly and jit_compile is True:
            check.fail(self, "jit_compile=True and run_eagerly=True exclude each other")
        if backend not in (None, "auto"):
            self.to_backend(backend)  # type: ignore[attr-defined]
        self._backend_is_open = backend == "auto"
        self._made_in = self._find_backend().placement([])  # type: ignore[attr-defined]
        self.optimizer = optimizers.get(optimizer)
        half = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        if auto_scale_loss and half and not isinstance(self.optimizer, optimizers.LossScaleOptimizer):
            self.optimizer = optimizers.LossScaleOptimizer(self.optimizer, name="loss_scale_optimizer")
        names = self._known_output_names()
        losses, plain, weighted = (self._bind_to_graph(x) for x in (loss, metrics, weighted_metrics))
        self._compile_loss = CompileLoss(losses, loss_weights, names) if loss is not None else None
        self._compile_metrics = CompileMetrics(plain, weighted, names)
        self._loss_tracker = metrics_mean("loss")
        self._compile_args = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
            "auto_scale_loss": auto_scale_loss,
        }
        self.run_eagerly = run_eagerly
        self.jit_compile = jit_compile
        self.steps_per_execution = steps_per_execution
        self.auto_scale_loss = auto_scale_loss
        self.stop_training = False
        self._trainable_at_compile = tuple((layer, layer.trainable) for layer in self._flatten_layers())  # type: ignore[attr-defined]
        self._told_of_trainable = False
        self._compiled = True
        self._forget_steps()

    @property
    def compiled(self) -> bool:
        return self._compiled

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of ``compile`` as plain data, as Keras's files hold them; empty before it was called."""
        from nyala.base import configurable

        if not self._compiled:
            return {}
        config = configurable.serialize({**self._compile_args, "optimizer": self.optimizer})
        if config.pop("auto_scale_loss") is False:
            config["auto_scale_loss"] = False
        return {k: _RESOLVED[k] if k in _RESOLVED and v == "auto" else v for k, v in config.items()}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with what ``get_compile_config`` gave."""
        from nyala.base import configurable

        config = {k: "auto" if k in _RESOLVED and v == _RESOLVED[k] else v for k, v in config.items()}
        self.compile(**configurable.deserialize(config))

    @property
    def loss(self) -> Any:
        """The ``loss`` given to ``compile``."""
        return self._compile_args["loss"] if self._compiled else None

    def _bind_to_graph(self, given: Any) -> Any:
        """Losses or metrics with the functions among them that name tensors of this model's graph made to work with values."""
        return given

    def _known_output_names(self) -> list[str] | None:
        try:
            return self.output_names  # type: ignore[attr-defined]
        except AttributeError:
            return None

    @property
    def metrics(self) -> list[Any]:
        """The metrics of the model: the loss, those of ``compile`` (as one, "compile_metrics"), those in its attributes."""
        own = super().metrics  # type: ignore[misc]
        found = [self._loss_tracker] if self._loss_tracker is not None else []
        if self._compile_metrics:
            found.append(self._compile_metrics)
        if self._compile_loss is not None:
            found += self._compile_loss.metrics
        return tracking.unique([*found, *own])

    @property
    def metrics_names(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order."""
        return Appended(self.get_metrics_result(), functools.partial(self._take_half, 0))

    def reset_metrics(self) -> None:
        """Set all metrics to their beginning."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The present value of every metric, by name."""
        values: dict[str, Any] = {}
        if self._loss_tracker is not None:
            values["loss"] = self._loss_tracker.result()
        if self._compile_metrics is not None:
            values.update(self._compile_metrics.result())
        known = [self._loss_tracker, self._compile_metrics]
        for metric in self.metrics:
            if not any(metric is k for k in known):
                value = metric.result()
                values.update(value if isinstance(value, dict) else {metric.name: value})
        return values

    # -- steps: to be overridden -------------------------------------------------------------------------------------

    def compute_loss(
        self, x: Nest = None, y: Nest = None, y_pred: Nest = None, sample_weight: Nest = None, training: bool = True
    ) -> Tensor:
        """The loss of a batch: that of ``compile`` plus ``self.losses``. Override it for a loss of your own."""
        parts = []
        if self._compile_loss is not None:
            parts.append(self._compile_loss(y, y_pred, sample_weight))
        for value in self._losses_for(self._trained_weights()):  # type: ignore[attr-defined]
            value = ops.cast(value, "float32")
            value = ops.sum(value) if len(value.shape) else value
            share = backends.current().share()
            parts.append(value if share == 1.0 else value * share)
        if not parts:
            if not self._no_loss_is_fine():
                check.fail(self, "has nothing to train on: compile it with a loss or call add_loss in a layer")
            return ops.zeros(())
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[Tensor],
        non_trainable_variables: Sequence[Tensor],
        metrics_variables: Sequence[Tensor],
        x: Nest = None,
        y: Nest = None,
        y_pred: Nest = None,
        sample_weight: Nest = None,
        training: bool = True,
    ) -> tuple[Tensor, tuple[list[Tensor], ...]]:
        """``compute_loss`` without side effects: ``(loss, the three lists of values afterwards)``."""
        groups = dict(trainable=trainable_variables, non_trainable=non_trainable_variables, metrics=metrics_variables)
        with self._holding("stateless_compute_loss", **groups) as state:  # type: ignore[attr-defined]
            loss = self._loss_of(training, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
        return loss, tuple([state.values[v] for v in getattr(self, f"{name}_variables")] for name in groups)

    def _loss_of(self, training: bool, **given: Nest) -> Tensor:
        """``compute_loss``, which in programs of early Keras 3 has no ``training``."""
        if _takes_training(type(self).compute_loss):
            given["training"] = training
        return self.compute_loss(**given)  # type: ignore[arg-type]

    def _no_loss_is_fine(self) -> bool:
        return self._overrides("train_step")

    def _overrides(self, method: str) -> bool:
        own = getattr(self, method)
        return getattr(own, "__func__", own) is not getattr(Trainer, method)

    def _defines_call(self) -> bool:
        """Whether the model can be called as a whole; one that only has a ``train_step`` may not."""
        return True

    def compute_metrics(self, x: Nest, y: Nest, y_pred: Nest, sample_weight: Nest = None) -> dict[str, Any]:
        """Update the metrics of ``compile`` by a batch and return all results."""
        self._update_metrics(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _update_metrics(self, y: Nest, y_pred: Nest, sample_weight: Nest) -> None:
        if self._compile_metrics is not None and y is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training on a batch ``x``, ``(x, y)`` or ``(x, y, sample_weight)``; returns logs.

        Override it; inside, ``nyala.value_and_grad`` gives gradients on every backend.
        """
        return self._train_once(data, want_logs=True)[1]

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation; returns logs."""
        return self._test_once(data, want_logs=True)[1]

    def predict_step(self, data: Any) -> Nest:
        """The outputs for a batch."""
        x, _, _ = data_.unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def _train_once(self, data: Any, want_logs: bool) -> tuple[Tensor, Any]:
        x, y, sample_weight = data_.unpack_x_y_sample_weight(data)
        optimizer = self.optimizer

        def forward() -> tuple[Tensor, tuple[Tensor, Nest, list[Tensor]]]:
            y_pred = self(x, training=True)  # type: ignore[operator]
            loss = self._loss_of(True, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
            return optimizer.scale_loss(loss), (loss, y_pred, self._named_values)

        variables = self._trained_weights()
        if variables:
            step = backends.current().value_and_grad(forward, variables, has_aux=True)
            (_, (loss, y_pred, self._named_values)), gradients = step()
            optimizer.apply(gradients, variables)
        else:
            _, (loss, y_pred, _) = forward()
        return self._after_step(x, y, y_pred, sample_weight, loss, want_logs)

    def _trained_weights(self) -> list[Variable]:
        return self._found_once("trainable_variables")

    def _found_once(self, kind: str) -> list[Variable]:
        """``trainable_variables`` or ``variables``; found once, until a variable is made or something is frozen."""
        key = scope.python_state.version, scope.python_state.flags, Variable.made
        if self._found_for != key:
            self._found_for, self._found = key, {}
        if kind not in self._found:
            self._found[kind] = getattr(self, kind)
        return self._found[kind]

    @contextmanager
    def _trainable_as_compiled(self) -> Iterator[None]:
        """Within it every layer is as ``trainable`` as it was when ``compile`` was called, as Keras documents.

        Programs that train two models over the same layers rely on it: a GAN's discriminator is compiled, then frozen,
        and put into the combined model, and is still trained by itself.
        """
        changed = [(layer, then) for layer, then in self._trainable_at_compile if layer.trainable != then]
        if changed and not self._told_of_trainable:
            self._told_of_trainable = True
            warnings.warn(
                f"{check.who(self)}: `trainable` of {check.who(changed[0][0])} is {not changed[0][1]} since the model was "
                "compiled; training goes on as compiled. Call compile() again if the change is meant for this model",
                stacklevel=5,
            )
        try:
            for layer, then in changed:
                layer._switch_trainable(then)
            yield
        finally:
            for layer, then in changed:
                layer._switch_trainable(not then)

    def _test_once(self, data: Any, want_logs: bool) -> tuple[Tensor, Any]:
        x, y, sample_weight = data_.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self._loss_of(False, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
        return self._after_step(x, y, y_pred, sample_weight, loss, want_logs)

    def _after_step(self, x: Nest, y: Nest, y_pred: Nest, sample_weight: Nest, loss: Tensor, want_logs: bool) -> Any:
        share = backends.current().share()
        if share != 1.0:
            loss = loss / share
        self._loss_tracker.add_mean(loss, ops.shape(x if hasattr(x, "shape") else tree.flatten(x)[0])[0])
        logs = None
        if want_logs or self._overrides("compute_metrics"):
            logs = self.compute_metrics(x, y, y_pred, sample_weight)
        else:
            self._update_metrics(y, y_pred, sample_weight)
        self._named_values = []
        return loss, logs

    # -- the loop ----------------------------------------------------------------------------------------------------

    @tracebacks.filtered
    @old.loop_arguments
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x: inputs: an array, tensor, nest of them, generator, ``PyDataset``, ``tf.data.Dataset`` or torch ``DataLoader``.
            y: targets, for arrays. batch_size: samples a step, 32 unless given (arrays only).
            epochs: the epoch to stop at, counted from 0. verbose: 0 silent, 1 a bar, 2 a line an epoch; ``"auto"`` is 1.
            callbacks: a list of ``Callback``s. validation_split: the part of the arrays' end that is held out.
            validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or a data set. shuffle: order anew each epoch (arrays).
            class_weight: class -> weight, for every kind of data. sample_weight: weights of the samples (arrays).
            initial_epoch: where a training that goes on begins. steps_per_epoch: batches that make an epoch.
            validation_steps, validation_batch_size: the same for validation.
            validation_freq: validate every that many epochs, or after the epochs of the list (counted from 1).
            resume: a folder for a backup after each epoch: the program, started again after an interruption, goes on exactly
                where it was. Short for ``callbacks=[BackupAndRestore(resume)]``, which can back up within epochs, too.

        Returns: the ``History``, whose ``history`` maps each name to its values by epoch.
        """
        with self._trainable_as_compiled():
            return loop.fit(
                self, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight,
                sample_weight, initial_epoch, steps_per_epoch, validation_steps, validation_batch_size, validation_freq, resume,
            )  # fmt: skip

    @tracebacks.filtered
    @old.loop_arguments
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and metrics over the data: a number, a list in the order of ``metrics_names``, or a dict."""
        check.no_extra(self, kwargs)
        return loop.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict)

    @tracebacks.filtered
    @old.loop_arguments
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all samples as NumPy arrays."""
        return loop.predict(self, x, batch_size, verbose, steps, callbacks)

    @old.loop_arguments
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One training step on a batch; the metrics' values since they were last reset."""
        with self._trainable_as_compiled():
            return loop.on_batch(self, "train", x, y, sample_weight, class_weight, return_dict)

    @old.loop_arguments
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """One evaluation step on a batch."""
        return loop.on_batch(self, "test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for a batch as NumPy arrays."""
        return loop.predict_on_batch(self, x)

    def _settle_backend(self, data: Any) -> None:
        """After ``compile(backend="auto")``: move to the backend that trains fastest on the data's first batch."""
        if self._backend_is_open:
            from nyala.training.race import fastest

            self._backend_is_open = False
            self.to_backend(fastest(self, data))  # type: ignore[attr-defined]

    def _placement(self) -> Any:
        """How the model lies on several devices; ``None``: on one."""
        return self._find_backend().placement(self._found_once("variables")) or self._made_in  # type: ignore[attr-defined]

    # -- compiled steps ----------------------------------------------------------------------------------------------

    def _without_texts(self, inputs: Nest) -> Any:
        """Inputs for a compiled step: what reads strings has been run where the backend has no tensors of them."""
        backend = self._find_backend()  # type: ignore[attr-defined]
        if not host.has_strings(backend) and any(map(host.is_texts, tree.flatten(inputs))):
            check.fail(
                self,
                f"is given strings, of which {backend.name} has no tensors. Encode them in front of the model, make it a "
                "Sequential or Functional model, whose layers of strings are found, or use compile(run_eagerly=True)",
                TypeError,
            )
        return inputs

    def _forget_steps(self) -> None:
        self._steps: dict[Any, Callable[..., Any]] = {}

    def make_train_function(self, force: bool = False) -> Callable[..., Any]:
        """The compiled step ``data -> logs``."""
        return step_function(self, "train", force=force)

    def make_test_function(self, force: bool = False) -> Callable[..., Any]:
        return step_function(self, "test", force=force)

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        return step_function(self, "predict", force=force)

    def _all_variables(self) -> list[Variable]:
        """Every variable a step may touch: the layers', the seeds', the metrics', the optimizer's."""
        found = [*self._states()]  # type: ignore[attr-defined]
        found += self.metrics_variables  # type: ignore[attr-defined]
        if self.optimizer is not None:
            found += self.optimizer.variables
        return tracking.unique(found)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """All variables as nested dicts by their paths, below "trainable_variables", "non_trainable_variables",
        "optimizer_variables" and "metrics_variables".

        Args: value_format: "backend_tensor", or "numpy_array" for copies on the host.
        """
        return get_state(self, value_format)

    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Assign what ``get_state_tree`` gave, or a part of it. Raises ValueError, and assigns nothing, if it does not fit."""
        put_state(self, state_tree)

    def zero_grad(self) -> None:
        """Forget the gradients that ``loss.backward()`` left on the weights (torch)."""
        for variable in self.trainable_variables:  # type: ignore[attr-defined]
            if getattr(variable.value, "grad", None) is not None:
                variable.value.grad = None


def metrics_mean(name: str) -> Any:
    return metrics.Mean(name=name)


__all__ = ["Trainer"]
