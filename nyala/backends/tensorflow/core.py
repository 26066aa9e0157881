"""Tensors, variables, gradients and abstract evaluation on TensorFlow."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.autograph.core import config as autograph
from tensorflow.python.autograph.core.ag_ctx import ControlStatusCtx, Status, control_status_ctx
from tensorflow.python.ops.numpy_ops import np_utils

from nyala import backends
from nyala._typing import Nest, Tensor
from nyala.backends import dtypes
from nyala.backends.base import BackendBase, TensorSpec
from nyala.backends.tensorflow import checkpoint, distribute, step
from nyala.backends.tensorflow.arguments import to_dtype
from nyala.backends.tensorflow.natives import NATIVES
from nyala.backends.tensorflow.nn import FUSED_UPDATES, NN_NATIVES
from nyala.backends.tensorflow.rnn import RNN
from nyala.base import config, scope, tree
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor

_EAGER = tf.__internal__.EagerTensor
_GRAPH = tf.__internal__.SymbolicTensor
_OF_STORAGE = frozenset({
    "handle", "_shared_name", "_unique_id", "_handle_name", "_in_graph_mode", "_id", "device", "graph", "op",
    "read_value", "sparse_read", "gather_nd", "get_shape", "is_initialized",
})  # fmt: skip


_NOT_DISPATCHED = (
    (tf, "map_fn vectorized_map while_loop switch_case"),
    (tf.signal, "rfft rfft2d rfft3d irfft irfft2d irfft3d"),
)
"""Functions of tensors that TensorFlow has forgotten when it gave the others its dispatcher."""


_RULES = {
    "AdadeltaOptimizer": ("Adadelta", {"_lr": "learning_rate", "_rho": "rho", "_epsilon": "epsilon"}),
    "AdagradOptimizer": (
        "Adagrad",
        {"_learning_rate": "learning_rate", "_initial_accumulator_value": "initial_accumulator_value"},
    ),
    "AdamOptimizer": ("Adam", {"_lr": "learning_rate", "_beta1": "beta_1", "_beta2": "beta_2", "_epsilon": "epsilon"}),
    "GradientDescentOptimizer": ("SGD", {"_learning_rate": "learning_rate"}),
    "MomentumOptimizer": (
        "SGD",
        {"_learning_rate": "learning_rate", "_momentum": "momentum", "_use_nesterov": "nesterov"},
    ),
    "RMSPropOptimizer": (
        "RMSprop",
        {
            "_learning_rate": "learning_rate",
            "_decay": "rho",
            "_momentum": "momentum",
            "_epsilon": "epsilon",
            "_centered": "centered",
        },
    ),
}
"""TensorFlow 1's optimizers: the rule, and where they keep its arguments."""


class Backend(BackendBase):
    name = "tensorflow"
    loops_in_one_call = True
    tensor_types = (_EAGER, _GRAPH)
    not_dense = (tf.RaggedTensor, tf.SparseTensor)
    natives = {**NATIVES, **NN_NATIVES, **RNN, **step.CONTROL}
    sparse_natives = {
        "cast": lambda x, dtype: tf.cast(x, dtypes.standardize(dtype)),
        "matmul": tf.sparse.sparse_dense_matmul,
        "reshape": tf.sparse.reshape,
        "transpose": tf.sparse.transpose,
    }
    fused_updates = FUSED_UPDATES
    floating = frozenset(tf.as_dtype(d) for d in dtypes.FLOATS)

    def __init__(self) -> None:
        # TF watches what is a tf.Variable; ours has what it asks of one (see foreign_protocol).
        tf.Variable.register(Variable)
        _Recorder().register()
        Variable.__tf_tracing_type__ = lambda self, context: _ItIs(self)  # type: ignore[attr-defined]
        for home, names in _NOT_DISPATCHED:
            for name in names.split():
                setattr(home, name, tf.__internal__.dispatch.add_dispatch_support(getattr(home, name)))
        checkpoint.install()
        # tf.experimental.numpy asks NumPy for the dtype of what is no tensor.
        dtype_of = np_utils._maybe_get_dtype
        np_utils._maybe_get_dtype = lambda x: dtype_of(x.value if isinstance(x, Variable) else x)
        # A user's tf.function converts what it calls; our code needs no conversion, which is slow and warns. No public way.
        plain = (autograph.DoNotConvert("nyala"), autograph.DoNotConvert("importlib"))
        autograph.CONVERSION_RULES = (*plain, *autograph.CONVERSION_RULES)

    # -- tensors -----------------------------------------------------------------------------------------------------

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, tf.Tensor) or (isinstance(x, tf.Variable) and not isinstance(x, Variable))

    def convert(self, x: Any, dtype: str | None = None) -> Tensor:
        if isinstance(x, tf.Tensor):
            return x if dtype is None or x.dtype.name == dtype else to_dtype(x, dtype)
        kind = type(x)
        if kind is float:
            return tf.constant(x, dtype or config.floatx())
        if kind is int or kind is bool:
            return tf.constant(x, dtype or ("bool" if kind is bool else "int32"))
        if isinstance(x, (np.ndarray, np.generic)):
            if dtype is not None and x.dtype != dtype and dtype != "string":
                x = x.astype(dtypes.numpy_dtype(dtype))
            return tf.convert_to_tensor(x)
        if isinstance(x, Variable):
            return self.convert(x.value, dtype)
        if isinstance(x, (tf.Variable, tf.IndexedSlices)):
            return self.convert(tf.convert_to_tensor(x), dtype)
        if isinstance(x, self.not_dense):
            raise TypeError(
                f"a {kind.__name__} was given where a dense tensor is needed; use .to_tensor() or tf.sparse.to_dense"
            )
        if isinstance(x, (list, tuple)):
            if any(
                not isinstance(v, (int, float, complex, str, bytes, np.generic, np.ndarray)) for v in tree.flatten(x)
            ):
                parts = [self.convert(v, dtype) for v in x]
                if dtype is None and len({p.dtype for p in parts}) > 1:
                    common = dtypes.result_type(*(p.dtype.name for p in parts))
                    parts = [to_dtype(p, common) for p in parts]
                return tf.stack(parts)
            return self._from_numbers(np.asarray(x), dtype)
        owner = backends.of(x)
        if owner is not None:
            raise TypeError(
                f"a tensor of backend {owner.name!r} was given to backend 'tensorflow'; "
                "convert it with ops.convert_to_numpy(x)"
            )
        if hasattr(x, "__tf_tensor__"):
            return self.convert(tf.convert_to_tensor(x), dtype)
        if hasattr(x, "dtype"):
            return self.convert(np.asarray(x), dtype)
        return self._from_numbers(np.asarray(x), dtype)

    @staticmethod
    def _from_numbers(x: np.ndarray, dtype: str | None) -> Tensor:
        if dtype is None and x.dtype.kind in "fi":
            dtype = config.floatx() if x.dtype.kind == "f" else "int32"
        if dtype is not None and dtype != "string":
            x = x.astype(dtypes.numpy_dtype(dtype))
        return tf.convert_to_tensor(x)

    def to_numpy(self, x: Tensor) -> np.ndarray:
        if isinstance(x, _EAGER):
            return np.asarray(x.numpy())
        value = tf.get_static_value(x)
        if value is None:
            raise TypeError(f"{x!r} is being traced and has no values; only an eager tensor becomes a NumPy array")
        return np.array(value)

    def dtype_of(self, x: Tensor) -> str:
        return x.dtype.name

    def dtype_name(self, dtype: Any) -> str:
        return tf.as_dtype(dtype).name

    def native_dtype(self, dtype: str) -> tf.DType:
        return tf.as_dtype(dtype)

    def shape_of(self, x: Tensor) -> tuple[int | None, ...]:
        return tuple(x.shape)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        return to_dtype(x, dtype)

    def sparse(self, x: Tensor) -> tf.SparseTensor:
        return tf.sparse.from_dense(x)

    def ragged(self, x: Tensor) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_tensor(x, padding=0) if x.shape.rank and x.shape.rank > 1 else x

    def is_tracing(self) -> bool:
        return not tf.executing_eagerly()

    def devices(self) -> list[str]:
        gpus = tf.config.list_logical_devices("GPU")
        tpus = tf.config.list_logical_devices("TPU")
        names = [f"{d.device_type.lower()}:{d.name.rsplit(':', 1)[1]}" for d in (*tpus, *gpus)]
        return [*names, *(f"cpu:{i}" for i in range(len(tf.config.list_logical_devices("CPU"))))]

    def synchronize(self, x: Nest = None) -> None:
        if x is None:
            tf.test.experimental.sync_devices()
        for leaf in tree.flatten(x):
            if isinstance(leaf, _EAGER):
                leaf.numpy()

    # -- variables ---------------------------------------------------------------------------------------------------

    def create(self, variable: Variable, value: np.ndarray) -> None:
        variable._storage = distribute.make(variable, value)

    def bare(self, variable: Variable) -> Any:
        return distribute.here(variable)

    def read(self, variable: Variable) -> Tensor:
        return variable._storage.value()

    def write(self, variable: Variable, value: Tensor) -> None:
        distribute.write(variable, value)

    def outside_trace(self) -> AbstractContextManager[Any]:
        return tf.init_scope()

    def foreign_protocol(self, variable: Variable, what: str) -> Any:
        if what == "_should_act_as_resource_variable":
            return True
        if what in _OF_STORAGE:
            return getattr(variable._storage, what)
        raise AttributeError(f"{type(variable).__name__!r} object has no attribute {what!r}")

    # -- transforms --------------------------------------------------------------------------------------------------

    def abstract(self, fn: Callable[..., Nest], args: Nest) -> Nest:
        graph = tf.__internal__.FuncGraph("abstract")
        with graph.as_default(), scope.StateScope():
            out = fn(*tree.map(_placeholder, args))
        return tree.map(_spec_of, out)

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Variable], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Tensor | None]]]:
        variables = list(variables)

        def call(*args: Any) -> tuple[Any, list[Tensor | None]]:
            outer = scope.local.scope
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                if outer is None:
                    sources = [v._storage for v in variables]
                    tape.watch(sources)
                    out = fn(*args)
                else:
                    sources = [tf.identity(v.raw_value) for v in variables]
                    tape.watch(sources)
                    with scope.StateScope(dict(zip(variables, sources))) as inner:
                        out = fn(*args)
            if outer is not None:
                for variable, value in inner.writes().items():
                    outer.write(variable, value)
            loss = out[0] if has_aux else out
            return out, [_dense(g) for g in tape.gradient(loss, sources)]

        return call

    def grad(self, fn: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
        inputs = [tf.identity(self.convert(x)) for x in inputs]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            out = fn(*inputs)
        gradients = tape.gradient(out, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return out, [_dense(g) for g in gradients]

    def compile(
        self,
        fn: Callable[..., Nest],
        variables: Sequence[Variable] = (),
        *,
        jit: bool | None = None,
        donate: bool = True,
    ) -> Callable[..., Nest]:
        return step.compile(self, fn, jit)

    def compile_loop(
        self, fn: Callable[..., Nest], variables: Sequence[Variable] = (), *, jit: bool | None = None
    ) -> Callable[..., Nest]:
        return step.compile_loop(self, fn, jit)

    def rule_of(self, optimizer: Any) -> tuple[str, dict[str, Any]] | None:
        if not isinstance(optimizer, tf.compat.v1.train.Optimizer) or type(optimizer).__name__ not in _RULES:
            return None
        name, kept = _RULES[type(optimizer).__name__]
        return name, {ours: getattr(optimizer, theirs) for theirs, ours in kept.items()}

    foreign_state = (tf.Module, tf.Variable)

    def adopt(self, x: Any) -> list[Variable]:
        variables = [x] if isinstance(x, tf.Variable) else x.variables
        return [self._adopted(v) for v in variables]

    def _adopted(self, storage: Any) -> Variable:
        found = storage.__dict__.get("_nyala")
        if found is None:
            name = storage.name.rsplit("/", 1)[-1].split(":")[0]
            found = storage._nyala = Variable.around(
                self, storage, tuple(storage.shape), storage.dtype.name, storage.trainable, name
            )
        return found

    def attribute_of_layer(self, layer: Any, name: str) -> Any:
        if name == "distribute_strategy":
            return self.placement(layer.variables) or tf.distribute.get_strategy()
        raise AttributeError(name)

    def load_saved_model(self, path: str) -> Any:
        return tf.saved_model.load(path)

    def call_saved(self, fn: Callable[..., Nest], inputs: Nest, kwargs: dict[str, Any]) -> Nest:
        outputs = fn(inputs, **kwargs)
        # The function forgets how many rows it got; without them no model could be built of it.
        rows = {x.shape[0] for x in tree.flatten(inputs) if len(x.shape)}
        if len(rows) == 1 and None not in rows:
            for x in tree.flatten(outputs):
                if x.shape.rank and x.shape[0] is None:
                    x.set_shape((*rows, *x.shape[1:]))
        return outputs

    def saved_variables(self, loaded: Any) -> list[Variable]:
        trained = {id(v) for v in getattr(loaded, "trainable_variables", ())}
        found = {id(v): v for v in (*getattr(loaded, "variables", ()), *_held(loaded))}
        for v in found.values():
            if trained and id(v) not in trained:
                v._trainable = False
        return [self._adopted(v) for v in found.values()]

    export_formats = ("tf_saved_model", "onnx", "openvino", "litert")

    def export(self, *args: Any) -> None:
        from nyala.backends.tensorflow import export

        export.export(self, *args)

    def endpoint(self, *args: Any) -> Any:
        from nyala.backends.tensorflow import export

        return export.endpoint(self, *args)

    def user_code(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Python's control flow over tensors works in what a user wrote, as under ``tf.function``."""
        if tf.executing_eagerly() or control_status_ctx().status is Status.DISABLED:
            return fn
        return tf.__internal__.autograph.tf_convert(fn, ControlStatusCtx(Status.ENABLED))

    # -- several devices ---------------------------------------------------------------------------------------------

    instead_of_layouts = "; make and compile the model in `with tf.distribute.MirroredStrategy().scope():`"
    placement = staticmethod(distribute.placement)
    placed = staticmethod(distribute.scope)
    spread = staticmethod(distribute.spread)
    settle = staticmethod(distribute.settle)
    share = staticmethod(distribute.share)
    sum_over_replicas = staticmethod(distribute.sum_over_replicas)

    def remat(self, fn: Callable[..., Nest], args: tuple[Any, ...]) -> Nest:
        return step.remat(fn, args)

    def on_device(self, name: str) -> AbstractContextManager[Any]:
        return tf.device(f"/device:{name.upper()}")

    def show(self, message: str, x: Tensor, summarize: int = 3) -> None:
        tf.print(message, x, summarize=summarize, output_stream=sys.stdout)

    # -- random numbers ----------------------------------------------------------------------------------------------

    def data_set(self, source: Any) -> Any:
        from nyala.backends.tensorflow.data import from_source

        return from_source(source)

    def profiler(self, log_dir: str) -> AbstractContextManager[Any]:
        return tf.profiler.experimental.Profile(log_dir)

    def set_seed(self, seed: int) -> None:
        tf.random.set_seed(seed)

    def make_deterministic(self) -> None:
        tf.config.experimental.enable_op_determinism()

    def next_seed(self, state: Variable) -> Tensor:
        seed = state.raw_value
        # TF has no uint32 addition on every device; the bits of int32 wrap alike.
        state.assign(tf.bitcast(tf.bitcast(seed, tf.int32) + tf.constant([0, 1]), tf.uint32))
        return distribute.own_seed(seed)


class _ItIs(tf.types.experimental.TraceType):
    """What a ``tf.function`` sees in an argument that is one of our variables: this very one, in lists, too."""

    def __init__(self, variable: Variable):
        self.variable = variable

    def is_subtype_of(self, other: Any) -> bool:
        return self == other

    def most_specific_common_supertype(self, others: Any) -> Any:
        return self if all(self == other for other in others) else None

    def placeholder_value(self, placeholder_context: Any) -> Variable:
        return self.variable

    def to_tensors(self, value: Any) -> list[Any]:
        return []

    def from_tensors(self, tensors: Any) -> Variable:
        return self.variable

    def flatten(self) -> list[Any]:
        return []

    def cast(self, value: Any, cast_context: Any) -> Any:
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ItIs) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)


def _dense(gradient: Any) -> Tensor | None:
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient


def _placeholder(x: Any) -> Any:
    return tf.compat.v1.placeholder(x.dtype, x.shape) if isinstance(x, TensorSpec) else x


def _spec_of(x: Any) -> Any:
    if isinstance(x, Variable):
        return TensorSpec(x.shape, x.dtype)
    if not isinstance(x, (tf.Tensor, tf.Variable)):
        return x
    if x.shape.rank is None or None in x.shape:
        raise ValueError(
            f"the shape {x.shape} of the result of `{x.op.type}` depends on values, which are not known while a model "
            "is being built; give the op a static size (for example `size=` or `num_segments=`)"
        )
    return TensorSpec(tuple(x.shape), x.dtype.name)


def _held(loaded: Any) -> list[Any]:
    """The variables that the functions of a SavedModel read."""
    functions = list(getattr(loaded, "signatures", {}).values())
    return [v for fn in functions for v in fn.graph.variables]


class _Recorder(tf.__internal__.dispatch.GlobalOpDispatcher):
    """Records TF's own functions as nodes when they are called on symbolic tensors.

    TF asks a global dispatcher after a function has refused its arguments, so ordinary calls pay nothing.
    """

    def handle(self, op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(isinstance(x, SymbolicTensor) for x in tree.flatten((args, kwargs))):
            from nyala.graph.node import record

            # A name that TensorFlow gave itself would be taken in a graph where the function is run again.
            return record(op, tuple(args), {k: v for k, v in kwargs.items() if k != "name"})
        return self.NOT_SUPPORTED
