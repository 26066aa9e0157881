"""What the loop runs: the step of each kind, compiled, and all that has to exist before its first run."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from nyala import backends, losses, ops
from nyala._typing import Nest
from nyala.backends import host
from nyala.base import check, tree
from nyala.base.scope import StateScope
from nyala.graph.symbolic import SymbolicTensor
from nyala.training import data as data_


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
    groups.append(model.metrics_variables)
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
def home(model: Any) -> Iterator[Any]:
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
    known = model._all_variables() if kind != "predict" else model._states()
    compiler = backend.compile_loop if many else backend.compile
    return compiler(fn, known, jit=_jit(model))


def converted(backend: Any, args: Any) -> Any:
    strings = host.has_strings(backend)

    def one(a: Any) -> Any:
        return backend.convert(a) if isinstance(a, np.ndarray) and (strings or not host.is_texts(a)) else a

    return tree.map(one, args)


# -- making ready --------------------------------------------------------------------------------------------------------


def _first_batch_specs(data: Any) -> Nest:
    """Symbolic tensors shaped like the inputs of a batch, its batch axis unknown."""
    x = data.x if isinstance(data, data_.ArrayData) else data.peek()[0]
    backend = backends.current()

    def spec(a: Any) -> SymbolicTensor:
        owner = owner_of(a)
        dtype = owner.dtype_of(a) if owner is not None else np.asarray(a).dtype
        return SymbolicTensor((None, *a.shape[1:]), dtype, backend=backend)

    return tree.map(lambda a: None if a is None else spec(a), x)


def owner_of(a: Any) -> Any:
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
