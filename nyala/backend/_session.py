"""K's state: settings, variables and their values, learning phase, functions and gradients of a graph."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config, old, scope, tree
from nyala.base.variable import Variable
from nyala.graph.function import Function as Graph
from nyala.graph.node import record
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._running import running
from nyala.layers.input import Input
from nyala.models.functional import Functional

# -- settings ----------------------------------------------------------------------------------------------------------

_ORDERINGS = {"channels_last": "tf", "channels_first": "th"}


def image_dim_ordering() -> str:
    """Keras 1: ``"tf"`` for channels last, ``"th"`` for channels first."""
    old.tell("K.image_dim_ordering()", "K.image_data_format()")
    return _ORDERINGS[config.image_data_format()]


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Keras 1: see ``image_dim_ordering``."""
    old.tell("K.set_image_dim_ordering(...)", "K.set_image_data_format(...)")
    check.one_of("K.set_image_dim_ordering", "dim_ordering", dim_ordering, tuple(_ORDERINGS.values()))
    config.set_image_data_format(next(k for k, v in _ORDERINGS.items() if v == dim_ordering))


def cast_to_floatx(x: Any) -> Any:
    """A tensor cast to ``floatx``; what is none as a NumPy array."""
    if backends.of(x) is not None or isinstance(x, (Variable, SymbolicTensor)):
        return ops.cast(x, config.floatx())
    return np.asarray(x, dtypes.numpy_dtype(config.floatx()))


_uids: collections.Counter[str] = collections.Counter()


def get_uid(prefix: str = "") -> int:
    """1, 2, ...: how often it was asked for ``prefix``."""
    _uids[prefix] += 1
    return _uids[prefix]


def reset_uids() -> None:
    _uids.clear()


# -- dtypes ------------------------------------------------------------------------------------------------------------


def is_float_dtype(dtype: DType) -> bool:
    return dtypes.standardize(dtype) in dtypes.FLOATS


def is_int_dtype(dtype: DType) -> bool:
    return dtypes.standardize(dtype) in dtypes.INTS


def result_type(*dtypes_: Any) -> str:
    """The dtype that values of these dtypes are promoted to."""
    names = {int: "int", float: "float", bool: "bool"}
    return dtypes.result_type(*(names.get(d) or d for d in dtypes_))


def dtype(x: Any) -> str:
    """Raises AttributeError for a number of Python's, by which programs tell it from a tensor."""
    return ops.dtype(x) if hasattr(x, "dtype") else x.dtype


# -- tensors and variables ---------------------------------------------------------------------------------------------


def variable(value: TensorLike, dtype: DType = None, name: str | None = None, constraint: Any = None) -> Variable:
    made = scope.made_once(lambda: Variable(value, dtype=dtype or config.floatx(), name=name))
    made.constraint = constraint
    return made


def constant(
    value: TensorLike, dtype: DType = None, shape: Sequence[int] | None = None, name: str | None = None
) -> Tensor:
    """A tensor, with ``shape`` filled with the value or reshaped."""
    made = ops.convert_to_tensor(value, dtype or config.floatx())
    if shape is None:
        return made
    return ops.reshape(made, shape) if len(made.shape) else ops.broadcast_to(made, shape)


def placeholder(
    shape: Sequence[int | None] | None = None,
    ndim: int | None = None,
    dtype: DType = None,
    sparse: bool = False,
    name: str | None = None,
    ragged: bool = False,
) -> SymbolicTensor:
    """A symbolic tensor, as ``Input`` gives it; ``shape`` has the batch axis, or ``ndim`` the number of axes."""
    if shape is None:
        if ndim is None:
            check.fail("K.placeholder", "needs a shape or ndim")
        shape = (None,) * ndim
    return Input(batch_shape=tuple(shape), dtype=dtype, sparse=sparse or None, ragged=ragged or None, name=name)


def is_placeholder(x: Any) -> bool:
    return isinstance(x, SymbolicTensor) and x.node is not None and x.node.is_input


def is_variable(x: Any) -> bool:
    return isinstance(x, Variable)


def is_tensor(x: Any) -> bool:
    return isinstance(x, SymbolicTensor) or backends.of(x) is not None


def is_sparse(tensor: Any) -> bool:
    return bool(getattr(tensor, "sparse", False))


def to_dense(tensor: Any) -> Any:
    """The tensor itself: all are dense here."""
    return tensor


def int_shape(x: Any) -> tuple[int | None, ...] | None:
    """The sizes that are known, ``None`` for others; ``None`` for what has no shape."""
    shape = getattr(x, "shape", None)
    owner = backends.of(x)
    return (
        None if shape is None and owner is None else tuple(owner.shape_of(x)) if owner is not None else tuple(shape)  # type: ignore[arg-type]
    )


def get_variable_shape(x: Any) -> tuple[int | None, ...] | None:
    """Keras 1: ``int_shape``."""
    return int_shape(x)


def ndim(x: Any) -> int:
    return len(x.shape)


def count_params(x: Any) -> int:
    return int(np.prod(x.shape))


def get_value(x: Any) -> Any:
    """The value on the host: an array, or a NumPy scalar for a tensor without axes."""
    if isinstance(x, SymbolicTensor):
        check.fail("K.get_value", f"{x!r} has no value; K.function([inputs], [it]) computes it from inputs", TypeError)
    found = scope.made_once(lambda: x.numpy() if isinstance(x, Variable) else ops.convert_to_numpy(x))
    return found[()] if found.ndim == 0 else found


def eval(x: Any) -> Any:
    return get_value(x)


def set_value(x: Variable, value: TensorLike) -> None:
    if not isinstance(x, Variable):
        check.fail(
            "K.set_value",
            f"takes a variable, got {type(x).__name__}. A learning rate that follows a schedule cannot be set: make the "
            "optimizer with a number",
            TypeError,
        )
    x.assign(value)


def batch_get_value(tensors: Sequence[Any]) -> list[Any]:
    return [get_value(x) for x in tensors]


def batch_set_value(tuples: Sequence[tuple[Variable, TensorLike]]) -> None:
    for x, value in tuples:
        set_value(x, value)


def update(x: Variable, new_x: TensorLike) -> Variable:
    """Assign at once; older Keras did it when the graph ran."""
    return x.assign(new_x)


def update_add(x: Variable, increment: TensorLike) -> Variable:
    return x.assign(scope.latest(x) + ops.cast(increment, x.dtype))


def update_sub(x: Variable, decrement: TensorLike) -> Variable:
    return x.assign(scope.latest(x) - ops.cast(decrement, x.dtype))


def moving_average_update(x: Variable, value: TensorLike, momentum: float) -> Variable:
    """x := momentum * x + (1 - momentum) * value."""
    return x.assign(x.raw_value * momentum + ops.cast(value, x.dtype) * (1.0 - momentum))


def print_tensor(x: Any, message: str = "", summarize: int = 3) -> Any:
    """Print x when it is computed, and return it.

    Args: summarize: entries shown at each end of an axis; -1: all.
    """
    if isinstance(x, SymbolicTensor):
        return record(print_tensor, (x, message, summarize), {})
    x = ops.convert_to_tensor(x)
    backends.current().show(message, x, summarize)
    return x


# -- learning phase ----------------------------------------------------------------------------------------------------


def learning_phase() -> int:
    """1 where a layer's call is training (or ``set_learning_phase(1)`` was said), else 0."""
    return int(bool(running.training))


def set_learning_phase(value: int | bool) -> None:
    """What layers take for ``training`` when nothing else says it, in this thread."""
    old.tell("K.set_learning_phase(value)", "model(x, training=value)")
    check.one_of("K.set_learning_phase", "value", value, (0, 1))
    running.training = bool(value)


@contextmanager
def learning_phase_scope(value: int | bool) -> Iterator[None]:
    outer = running.training
    running.training = bool(value)
    try:
        yield
    finally:
        running.training = outer


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """``x`` in training, else ``alt``; either may be a function."""
    chosen = x if (learning_phase() if training is None else training) else alt
    return chosen() if callable(chosen) and not isinstance(chosen, Variable) else chosen


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    return in_train_phase(alt, x, training)


# -- graphs ------------------------------------------------------------------------------------------------------------


class function:
    """A callable from symbolic inputs to the values of symbolic outputs (or variables), as NumPy arrays.

    Args:
        inputs: symbolic tensors; ``K.learning_phase()`` among them is where a call says 1 for training.
        outputs: a list, or one. updates: none: assignments happen where they stand.
    Raises: ValueError for updates and for outputs that other inputs lead to.
    """

    def __init__(self, inputs: Any, outputs: Any, updates: Any = None, name: str | None = None, **kwargs: Any):
        check.no_extra("K.function", kwargs)
        if updates:
            check.fail("K.function", "has no graph for updates; assign to the variables, or use nyala.function")
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self.inputs = [x for x in given if isinstance(x, SymbolicTensor)]
        self._fed = [isinstance(x, SymbolicTensor) for x in given]
        self.outputs = outputs
        flat = tree.flatten(outputs)
        self._symbolic = [x for x in flat if isinstance(x, SymbolicTensor)]
        model = self._model = Functional(self.inputs, self._symbolic, name=name) if self._symbolic else None
        if model is not None:
            self._run = model._find_backend().compile(
                lambda xs, training: model(xs, training=training), model._states()
            )

    def __call__(self, inputs: Any) -> Any:
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(given) not in (len(self._fed), len(self.inputs)):
            check.fail("K.function", f"takes {len(self._fed)} inputs, got {len(given)}")
        fed = self._fed if len(given) == len(self._fed) else [True] * len(given)
        phases = [x for x, tensor in zip(given, fed) if not tensor]
        training = bool(phases[0]) if phases else bool(learning_phase())
        values: list[Any] = []
        if self._model is not None:
            backend = self._model._find_backend()
            tensors = [backend.convert(x, t.dtype) for x, t in zip((x for x, f in zip(given, fed) if f), self.inputs)]
            with backends.backend_scope(backend), backend.no_grad():
                values = tree.flatten(self._run(tensors, training))
        found = iter(values)
        flat = [next(found) if isinstance(x, SymbolicTensor) else x for x in tree.flatten(self.outputs)]
        return tree.unflatten(tree.structure(self.outputs), [ops.convert_to_numpy(x) for x in flat])


def gradients(loss: Any, variables: Any) -> list[Any]:
    """The gradients of a symbolic ``loss`` (its sum) by symbolic tensors of its graph, as symbolic tensors.

    Feed them by ``K.function([model.input], [...])``. Raises NotImplementedError for values, which have no graph.
    """
    wanted = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    if hasattr(loss, "gradients_of"):  # in an optimizer's get_updates
        return loss.gradients_of(wanted)
    if not isinstance(loss, SymbolicTensor):
        check.fail(
            "K.gradients",
            "needs a symbolic loss, made from a model's outputs; for values use nyala.value_and_grad(loss_fn, variables)()",
            NotImplementedError,
        )
    if not all(isinstance(v, (SymbolicTensor, Variable)) for v in wanted):
        check.fail("K.gradients", "takes symbolic tensors and variables", TypeError)
    weights = [v for v in wanted if isinstance(v, Variable)]
    by_weight = iter(_gradients_of_weights(loss, weights) if weights else ())
    # One graph a tensor, cut at it alone: a cut at another one would hide the paths through that.
    return [next(by_weight) if isinstance(v, Variable) else _gradient(loss, v) for v in wanted]


def _gradient(loss: SymbolicTensor, x: SymbolicTensor) -> SymbolicTensor:
    needed = _sources(loss, x)
    graph = Graph([x, *needed], loss, "K.gradients")

    def gradient(value: Any, *rest: Any) -> Tensor:
        return backends.current().grad(lambda v: ops.sum(graph.run([v, *rest])), [value])[1][0]

    return record(gradient, (x, *needed), {})


def _gradients_of_weights(loss: SymbolicTensor, weights: list[Variable]) -> list[SymbolicTensor]:
    needed = _sources(loss)
    graph = Graph(needed, loss, "K.gradients")

    def gradients(*values: Any) -> list[Tensor]:
        run = backends.current().value_and_grad(lambda: ops.sum(graph.run(list(values))), weights)
        return [ops.zeros(v.shape, v.dtype) if g is None else g for g, v in zip(run()[1], weights)]

    return record(gradients, tuple(needed), {})


def _sources(x: SymbolicTensor, stop: SymbolicTensor | None = None) -> list[SymbolicTensor]:
    """The graph's inputs that lead to x otherwise than through ``stop``."""
    found: dict[int, SymbolicTensor] = {}
    seen = {id(stop)}
    todo = [x]
    while todo:
        tensor = todo.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if tensor.node is None or tensor.node.is_input:
            found[id(tensor)] = tensor
        else:
            todo += tensor.node.inputs
    return list(found.values())


# -- gone --------------------------------------------------------------------------------------------------------------


class Session:
    """What is left of a session: ``run`` computes symbolic tensors from those that are fed, and reads variables.

    The configuration (memory of a device, threads) is the backend's own matter and read by nobody.
    """

    graph: Any = None

    def __init__(self, target: str = "", graph: Any = None, config: Any = None):
        old.tell("tf.Session(...)", "left out, for there are no sessions")

    def run(self, fetches: Any, feed_dict: Any = None) -> Any:
        """The values of a nest of symbolic tensors, variables, tensors and ``None``, as NumPy arrays."""
        fed = {x: v for x, v in (feed_dict or {}).items() if isinstance(x, SymbolicTensor)}
        phase = [v for x, v in (feed_dict or {}).items() if not isinstance(x, SymbolicTensor)]
        flat = [x for x in tree.flatten(fetches) if x is not None]
        found = iter(function([*fed, 0], flat)([*fed.values(), phase[0] if phase else 0]) if flat else ())
        return tree.map(lambda x: None if x is None else next(found), fetches)

    def close(self) -> None:
        """There is nothing to close."""

    def as_default(self) -> Session:
        return self

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: Any) -> None:
        """There is nothing to close."""


def get_session() -> Session:
    """Keras 1 and 2: see ``Session``."""
    return Session()


def set_session(session: Any) -> None:
    """Keras 1 and 2: nothing, for there are no sessions; how much memory a device gives is the backend's own option."""
    old.tell("K.set_session(...)", "left out, for there are no sessions")


_GONE = {
    "get_graph": "there is no global graph; a model has its own",
    "manual_variable_initialization": "variables have their value from the start",
    "control_dependencies": "statements run in the order in which they stand",
    "local_conv1d": "use ops.extract_patches (or ops.unfold) and ops.einsum with a kernel for each place",
    "local_conv2d": "use ops.image.extract_patches and ops.einsum with a kernel for each place",
    "ctc_label_dense_to_sparse": "losses take dense labels",
    "tf": "import tensorflow as tf",
    "theano": "Theano is no backend",
    "T": "Theano is no backend",
}


def gone(name: str) -> Any:
    if name == "_BACKEND":
        old.tell("K._BACKEND", "K.backend()")
        return backends.default_name()
    if name in _GONE:
        raise AttributeError(f"keras.backend has no {name}: {_GONE[name]}")
    raise AttributeError(f"module 'nyala.backend' has no attribute {name!r}")
