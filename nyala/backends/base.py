"""The protocol: what a backend provides, and nothing else.

A backend is a folder with a class ``Backend(BackendBase)``:

- ``natives.py``: a table ``{op name: function}``, put together from those of ``elementwise.py``, ``shapes.py`` and others. A native
  has the op's own signature (positional and keyword); its tensor arguments arrive converted and promoted by the op's rule, Python
  numbers among them only beside a tensor. An op without a native runs its own body, which composes other ops.
- ``core.py``: tensors, dtypes, variables' storage, abstract evaluation, gradients.
- ``nn.py``: convolution, pooling and other kernels.
- ``rnn.py``: recurrent kernels, either of two that ``ops/rnn.py`` looks for. ``_recurrence`` has the signature of
  ``ops.rnn.recurrence``; without it the plain loop runs. ``_fused_rnn(kind, inputs, states, kernel, recurrent_kernel,
  bias, mask, sequences, cudnn)`` runs all of "lstm", "gru" (reset after), "tanh" or "relu" (simple cells) on inputs
  (batch, time, n) with Keras's order of gates and a mask (batch, time) or ``None``; ``cudnn=False``: without cuDNN. It
  gives ``(outputs, states)`` as ``ops.rnn.rnn`` does, or ``None`` for what its kernel cannot do.
- ``step.py``: ``compile``.

The methods below are all that the rest of Nyala calls. ``variable`` is a ``nyala.base.variable.Variable``; its
``_storage`` belongs to the backend alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nyala._typing import Nest, Tensor

if TYPE_CHECKING:
    from nyala.base.variable import Variable


@dataclass(frozen=True)
class TensorSpec:
    """Shape (``None``: unknown) and dtype of a tensor that does not exist yet."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class NamedSpec(TensorSpec):
    """An input of an exported function."""

    name: str | None = None


class BackendBase:
    name: str = ""
    tensor_types: tuple[type, ...] = ()
    """The concrete tensor types; subclasses are found through ``is_tensor``."""
    not_dense: tuple[type, ...] = ()
    """The library's types of sparse and ragged tensors."""
    natives: dict[str, Callable[..., Any]] = {}
    sparse_natives: dict[str, Callable[..., Any]] = {}
    """The ops that take the library's sparse tensors, which all others refuse."""
    fused_updates: dict[str, Callable[..., bool]] = {}
    """Optimizer name -> kernel that updates all variables at once (see ``optimizers/base.py``)."""
    loops_in_one_call: bool = False
    """Whether ``compile_loop`` runs its steps without coming back to Python."""
    floating: frozenset[Any] = frozenset()
    """The backend's own dtype objects that are floating point: ``x.dtype in backend.floating`` is the fast test."""

    # -- tensors -----------------------------------------------------------------------------------------------------

    def is_tensor(self, x: Any) -> bool:
        """Whether ``x`` is a tensor of this backend, tracers, graph tensors and fake tensors included."""
        raise NotImplementedError

    def convert(self, x: Any, dtype: str | None = None) -> Tensor:
        """A tensor on the default device from a NumPy array, Python numbers (nested), or a tensor of this backend.

        ``dtype=None`` keeps the dtype of an array; Python floats become ``floatx()``, ints ``int32``, bools ``bool``.
        Lists that hold tensors are stacked. A tensor of another backend raises ``TypeError`` naming both backends.
        """
        raise NotImplementedError

    def to_numpy(self, x: Tensor) -> np.ndarray:
        """A NumPy array (``bfloat16`` by ml_dtypes) that the caller may keep: never a view of memory that is later donated."""
        raise NotImplementedError

    def dtype_of(self, x: Tensor) -> str:
        raise NotImplementedError

    def dtype_name(self, dtype: Any) -> str:
        """The name of one of the backend's own dtype objects."""
        raise NotImplementedError

    def native_dtype(self, dtype: str) -> Any:
        """The backend's own dtype object. Where 64 bits are off (jax) the 32 bit one."""
        raise NotImplementedError

    def shape_of(self, x: Tensor) -> tuple[int | None, ...]:
        """The static shape; ``None`` where a graph tensor does not know."""
        return tuple(x.shape)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        raise NotImplementedError

    def sparse(self, x: Tensor) -> Any:
        """The library's sparse tensor with the entries of ``x`` that are not 0."""
        raise NotImplementedError(f"no sparse tensors are made on {self.name}; use sparse=False")

    def ragged(self, x: Tensor) -> Any:
        """The library's ragged tensor of the rows of ``x`` without the zeros at their ends."""
        raise NotImplementedError(f"{self.name} has no ragged tensors; use ragged=False")

    def rescue(self, fn: Callable[..., Any], args: Any, kwargs: Any, error: RuntimeError) -> Any:
        """Another way to do ``fn(*args, **kwargs)``, which raised ``error``; raises ``error`` when there is none."""
        raise error

    def is_tracing(self) -> bool:
        """Whether the running code is being traced (its tensors have no values)."""
        raise NotImplementedError

    def devices(self) -> list[str]:
        """``["cpu:0"]``, ``["gpu:0", "gpu:1", "cpu:0"]``, the default one first."""
        raise NotImplementedError

    def synchronize(self, x: Nest = None) -> None:
        """Wait until ``x`` (or all work queued so far) is computed; for timings."""
        raise NotImplementedError

    # -- variables ---------------------------------------------------------------------------------------------------

    def create(self, variable: Variable, value: np.ndarray) -> None:
        """Set ``variable._storage`` to new storage with ``value``, outside any trace that is running."""
        raise NotImplementedError

    def bare(self, variable: Variable) -> Any:
        """The library's own variable that holds the value; ``variable`` itself where the library has no variables."""
        return variable

    def read(self, variable: Variable) -> Tensor:
        """The storage as a tensor. The tensor stays valid when the variable is written later."""
        raise NotImplementedError

    def write(self, variable: Variable, value: Tensor) -> None:
        """Replace the value. ``value`` has the variable's shape and dtype already."""
        raise NotImplementedError

    def variable_numpy(self, variable: Variable) -> np.ndarray:
        """A host copy of the storage."""
        return self.to_numpy(self.read(variable))

    def outside_trace(self) -> AbstractContextManager[Any]:
        """Code inside runs eagerly although a trace (compile, abstract evaluation) is going on around it."""
        return nullcontext()

    # -- transforms --------------------------------------------------------------------------------------------------

    def abstract(self, fn: Callable[..., Nest], args: Nest) -> Nest:
        """``fn(*args)`` without computing: ``args`` is a tuple of nests of ``TensorSpec`` with concrete shapes (other
        leaves are passed as they are); the result is the same nest with every tensor replaced by a ``TensorSpec``.

        State that ``fn`` writes is dropped. Variables that it makes are real.
        """
        raise NotImplementedError

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Variable], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Tensor | None]]]:
        """``call(*args) -> (fn(*args), gradients)`` with one gradient a variable, ``None`` where it has no influence.

        ``fn`` returns a scalar, with ``has_aux`` a pair ``(scalar, anything)``. State written by ``fn`` is kept.
        Gradients have the variable's dtype.
        """
        raise NotImplementedError

    def grad(self, fn: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
        """``fn(*inputs)`` (a scalar) and its gradients by tensors rather than variables (zeros where no influence)."""
        raise NotImplementedError

    def no_grad(self) -> AbstractContextManager[Any]:
        """What runs inside records no gradients (torch); elsewhere nothing."""
        return nullcontext()

    def remat(self, fn: Callable[..., Nest], args: tuple[Any, ...]) -> Nest:
        """``fn(*args)`` (nests of tensors) without keeping its inner values: the gradient computes them again.

        State that ``fn`` writes is written once.
        """
        raise NotImplementedError

    def on_device(self, name: str) -> AbstractContextManager[Any]:
        """What is made inside lies on that one of ``devices()``."""
        raise NotImplementedError

    def show(self, message: str, x: Tensor, summarize: int = 3) -> None:
        """Print ``x`` when it is computed, inside a compiled step too; ``summarize``: entries at each end of an axis."""
        array = self.to_numpy(x)
        edge = array.size if summarize < 0 else summarize
        sys.stdout.write(f"{message} {np.array2string(array, edgeitems=edge, threshold=max(2 * edge, 1))}\n")

    def compile(
        self,
        fn: Callable[..., Nest],
        variables: Sequence[Variable] = (),
        *,
        jit: bool | None = None,
        donate: bool = True,
    ) -> Callable[..., Nest]:
        """``fn`` as one compiled step with the same signature; reads and writes variables as ``fn`` does.

        ``variables`` are those it is known to touch; others are found while tracing. Tensors (and NumPy arrays) in the
        arguments are traced, everything else must be hashable and is static. ``jit=None``: what is fast on this backend
        (jax: jit; tensorflow: a graph, XLA only where asked; torch: as it is); ``True``: the backend's compiler
        (jax jit, XLA, torch.compile); ``False``: no compiler (tensorflow: a graph without XLA).
        A change of ``scope.python_state`` traces anew; traces of flags that may come back are kept.
        """
        raise NotImplementedError

    def compile_loop(
        self, fn: Callable[..., Nest], variables: Sequence[Variable] = (), *, jit: bool | None = None
    ) -> Callable[..., Nest]:
        """Like ``compile``, but runs ``fn`` once per leading index of its first argument (a nest of stacked tensors)
        with the remaining arguments unchanged, all in one call: ``for x in xs: out = fn(x, *rest)``. Returns the last
        ``out``. ``fn`` sees one slice at a time.
        """
        raise NotImplementedError

    # -- what the backend's own library brings -----------------------------------------------------------------------

    tensor_methods: dict[str, Callable[..., Any]] = {}
    """The methods of the library's tensors that symbolic tensors have, too."""

    foreign_state: tuple[type, ...] = ()
    """The library's own variables and modules: as attributes of a layer they count among its weights."""

    def adopt(self, x: Any) -> list[Variable]:
        """Variables around the storage in ``x``, one of ``foreign_state``; always the same ones."""
        raise NotImplementedError

    def as_module(self, layer: Any) -> Any:
        """A built layer as a module of the library, on the same memory."""
        raise NotImplementedError(
            f"{self.name} has no modules that a layer could become; as_torch_module() is for models on torch: "
            "model.to_backend('torch')"
        )

    def run_module(self, module: Any, training: bool | None, args: Any, kwargs: Any) -> Any:
        """Call one of the library's modules (one of ``foreign_state``)."""
        raise NotImplementedError(f"{self.name} has no modules")

    def attribute_of_layer(self, layer: Any, name: str) -> Any:
        """What the library's users ask of a layer as of a module; ``AttributeError`` if nothing."""
        raise AttributeError(name)

    def load_saved_model(self, path: str) -> Any:
        """What TensorFlow reads from the folder of a SavedModel."""
        raise NotImplementedError(
            f"a SavedModel runs on tensorflow, the backend is {self.name}: nyala.backend_scope('tensorflow')"
        )

    def call_saved(self, fn: Callable[..., Nest], inputs: Nest, kwargs: dict[str, Any]) -> Nest:
        """Call a function in what ``load_saved_model`` gave."""
        raise NotImplementedError

    def saved_variables(self, loaded: Any) -> list[Variable]:
        """The variables in what ``load_saved_model`` gave."""
        raise NotImplementedError

    # -- export ------------------------------------------------------------------------------------------------------
    # A signature is a list with an entry for each positional argument: a nest of ``NamedSpec``.

    export_formats: tuple[str, ...] = ()
    """The formats of ``Model.export`` that the library, or one beside it, writes."""

    def export(self, format: str, layer: Any, signature: list[Nest], path: str, options: dict[str, Any]) -> None:
        """Write the inference of a built layer; the formats but SavedModel, which is made of endpoints."""
        raise NotImplementedError

    def endpoint(self, fn: Callable[..., Nest], signature: list[Nest], archive: Any, options: dict[str, Any]) -> Any:
        """``fn`` as a ``tf.function`` over the variables that ``archive`` (``savedmodel.Archive``) has for those it reads."""
        raise NotImplementedError

    def user_code(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """``fn``, which a user wrote, ready to be traced."""
        return fn

    # -- several devices ---------------------------------------------------------------------------------------------
    # A placement says how variables lie on several devices: a strategy of TF, a distribution of jax. Its kind is the
    # backend's own affair.

    def placement(self, variables: Sequence[Variable]) -> Any:
        """That of the variables, or if there are none the one that is current; ``None``: one device."""
        return None

    def placed(self, placement: Any) -> AbstractContextManager[Any]:
        """What is made inside lies as ``placement`` says."""
        return nullcontext()

    def spread(self, fn: Callable[..., Nest], placement: Any) -> Callable[..., Nest]:
        """``fn`` with the rows of its first argument (a nest) shared among the devices; it gives what one device gives."""
        return fn

    has_layouts: bool = False
    """Whether ``nyala.distribution`` works: the methods ``make_mesh``, ``make_layout``, ``lay_out``, ``join_processes``."""

    def rule_of(self, optimizer: Any) -> tuple[str, dict[str, Any]] | None:
        """The class and the arguments of our optimizer with the rule of one of the library's own older ones."""
        return None

    instead_of_layouts: str = ""
    """What there is where it does not."""

    def make_mesh(self, devices: np.ndarray, axis_names: Sequence[str]) -> Any:
        """The library's mesh of devices by name."""
        raise NotImplementedError

    def make_layout(self, mesh: Any, axes: Sequence[str | None]) -> Any:
        """The library's layout of a tensor cut along these axes of ``mesh``."""
        raise NotImplementedError

    def lay_out(self, x: Tensor, layout: Any) -> Tensor:
        """``x`` with this layout, in traced code too."""
        raise NotImplementedError

    def join_processes(self, address: str | None, count: int | None, number: int | None) -> None:
        """Become process ``number`` of ``count`` that meet at ``address``."""
        raise NotImplementedError

    def process_count(self) -> int:
        return 1

    def align(self, variable: Variable, reference: Variable) -> None:
        """Let ``variable`` lie as ``reference`` does."""

    def settle(self, variables: Sequence[Variable]) -> None:
        """Make what the devices have collected apart one, where they differ."""

    def share(self) -> Any:
        """The part of the batch that the running code sees, for means of which the sum over all devices is taken."""
        return 1.0

    def sum_over_replicas(self, values: list[Any]) -> list[Any]:
        """Each tensor (or ``None``) summed over the devices that run this code apart."""
        return values

    def profiler(self, log_dir: str) -> AbstractContextManager[Any] | None:
        """Records what runs inside as files below ``log_dir`` that TensorBoard shows; ``None``: there is none."""
        return None

    def data_set(self, source: Any) -> Any:
        """``source``, a ``utils.dataset.Dataset``, as the type of data set that this backend's users know."""
        return source

    # -- for objects that other libraries hand us --------------------------------------------------------------------

    def foreign_protocol(self, variable: Variable, what: str) -> Any:
        """Answers ``handle`` and the like for this backend's own libraries; ``AttributeError`` if it has none."""
        raise AttributeError(what)

    def torch_function(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What ``__torch_function__`` of our objects does; only the backend whose protocol that is has one."""
        raise NotImplementedError

    # -- random numbers ----------------------------------------------------------------------------------------------

    def set_seed(self, seed: int) -> None:
        """Seed the library's own global generator, if it has one; Nyala itself never draws from it."""

    def random_state(self) -> np.ndarray | None:
        """Where that generator stands; ``None`` if there is none whose place can be read."""
        return None

    def set_random_state(self, state: np.ndarray) -> None:
        """Go back to what ``random_state`` gave."""

    def make_deterministic(self) -> None:
        """From now on every kernel gives the same bits for the same values, or raises."""

    def next_seed(self, state: Variable) -> Tensor:
        """The seed that a ``SeedGenerator`` with ``state`` (uint32, ``[key, counter]``) hands out; advances the counter."""
        raise NotImplementedError
