"""Tensors, storage of variables, abstract evaluation and gradients on torch.

A variable's storage is one tensor that is written in place, so a tensor that was read follows later writes (torch's own
manner, and what its optimizers and ``loss.backward()`` rely on); ``numpy()`` copies.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
import torch.utils.checkpoint
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)

from nyala import backends
from nyala._typing import Nest
from nyala.backends import dtypes
from nyala.backends.base import BackendBase, TensorSpec
from nyala.backends.torch import fused, inplace, module, step
from nyala.backends.torch.arguments import rescued
from nyala.backends.torch.natives import natives
from nyala.backends.torch.random import next_seed
from nyala.backends.torch.types import DTYPES, NAMES, default_device, device_scope, native_dtype
from nyala.base import tree
from nyala.base.scope import StateScope
from nyala.base.scope import local as scope_local
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor

_FROM_NUMPY = frozenset(np.dtype(n) for n in dtypes.ALL if n in np.sctypeDict)
_SAME_BITS = {"bfloat16": np.uint16, "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8}
# What torch's own code and users of torch ask of a parameter.
_TORCH_ATTRIBUTES = frozenset({
    "grad", "requires_grad", "is_leaf", "grad_fn", "data", "device", "detach", "cpu", "cuda", "to", "stride", "item",
    "backward", "register_hook", "retain_grad", "is_cuda", "layout", "element_size", "untyped_storage", "data_ptr",
})  # fmt: skip


_METHODS = (
    "abs", "add", "all", "any", "argmax", "argmin", "argsort", "bmm", "bool", "chunk", "clamp", "clone", "contiguous",
    "cos", "cumsum", "diff", "div", "double", "eq", "exp", "expand", "flatten", "flip", "float", "floor", "gather",
    "ge", "gt", "half", "index_select", "int", "le", "log", "log_softmax", "long", "lt", "masked_fill", "matmul",
    "max", "mean", "min", "mm", "mul", "ne", "norm", "permute", "pow", "prod", "relu", "repeat", "roll", "round",
    "rsqrt", "sigmoid", "sign", "sin", "softmax", "sort", "split", "sqrt", "square", "std", "sub", "sum", "swapaxes",
    "t", "tanh", "tile", "topk", "transpose", "type_as", "unbind", "unfold", "unsqueeze", "var", "view", "where",
)  # fmt: skip


_QUIET = logging.getLogger("torch._subclasses.fake_tensor")


class _Local(threading.local):
    def __init__(self) -> None:
        self.fake: FakeTensorMode | None = None
        self.modes = 0
        self.differentiating = 0


_local = _Local()


def from_numpy(x: np.ndarray) -> Tensor:
    """A CPU tensor, on the array's own memory where torch can have it."""
    bits = _SAME_BITS.get(x.dtype.name)
    if bits is not None:
        return from_numpy(x.view(bits)).view(DTYPES[x.dtype.name])
    if x.dtype not in _FROM_NUMPY:
        native_dtype(x.dtype)  # says why strings cannot be
        x = x.astype(x.dtype.newbyteorder("="))
    if not x.flags.writeable or any(s < 0 for s in x.strides):
        x = x.copy()
    return torch.from_numpy(x)


class Backend(BackendBase):
    name = "torch"
    tensor_types = (Tensor, torch.nn.Parameter, FakeTensor)
    natives = natives
    fused_updates = fused.updates
    tensor_methods = {name: getattr(Tensor, name) for name in _METHODS}
    floating = frozenset(d for d in NAMES if d.is_floating_point)

    def __init__(self) -> None:
        # Momenta of weights that get no gradient fade into denormal numbers, with which Adam takes ten times as long.
        # XLA and TensorFlow flush them to zero as well. Threads inherit it, so it comes before the first kernel.
        torch.set_flush_denormal(True)

    # -- tensors -----------------------------------------------------------------------------------------------------

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, Tensor)

    def convert(self, x: Any, dtype: str | None = None) -> Tensor:
        if isinstance(x, Tensor):
            if not x.is_cuda and default_device().type != "cpu" and x.ndim:
                x = x.to(default_device())
            kind = x.dtype if dtype is None else native_dtype(dtype)
            return x if x.dtype is kind else x.to(kind)
        if isinstance(x, (bool, int, float)):
            kind, device = native_dtype(dtype or type(x)), default_device()
            if _local.fake is not None:  # of fake tensors only these know their value, as a size must
                return torch.tensor(x, dtype=kind, device=device)
            return torch.full((), x, dtype=kind, device=device)
        if isinstance(x, Variable):
            return self.convert(x._as_foreign(self), dtype)
        owner = backends.of(x)
        if owner is not None:
            raise TypeError(
                f"a tensor of backend {owner.name!r} was given to backend 'torch'; move it with "
                "nyala.ops.convert_to_numpy(x), or the whole model with model.to_backend(...)"
            )
        if isinstance(x, (list, tuple)) and any(isinstance(v, (Tensor, Variable)) for v in tree.flatten(x)):
            return torch.stack([self.convert(v, dtype) for v in _alike(self, x)])
        if not isinstance(x, np.ndarray):
            known = hasattr(x, "dtype")
            x = np.asarray(x)
            if dtype is None and not known:
                dtype = {"f": dtypes.standardize(None), "i": "int32"}.get(x.dtype.kind)
        out = from_numpy(x)
        return out.to(default_device(), None if dtype is None else native_dtype(dtype))

    def to_numpy(self, x: Tensor) -> np.ndarray:
        x = x.detach().cpu().resolve_conj().resolve_neg()
        bits = _SAME_BITS.get(NAMES[x.dtype])
        if bits is None:
            return x.numpy().copy()
        view = x.contiguous().view(torch.uint16 if bits is np.uint16 else torch.uint8)
        return view.numpy().view(dtypes.numpy_dtype(NAMES[x.dtype])).copy()

    def dtype_of(self, x: Tensor) -> str:
        return NAMES[x.dtype]

    def native_dtype(self, dtype: str) -> torch.dtype:
        return native_dtype(dtype)

    def shape_of(self, x: Tensor) -> tuple[int | None, ...]:
        return tuple(x.shape)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        return natives["cast"](x, dtype)

    def is_tracing(self) -> bool:
        return _local.fake is not None or torch.compiler.is_compiling()

    def devices(self) -> list[str]:
        return [*(f"gpu:{i}" for i in range(torch.cuda.device_count())), "cpu:0"]

    def synchronize(self, x: Nest = None) -> None:
        if default_device().type == "cuda":
            torch.cuda.synchronize()

    def rescue(self, fn: Callable[..., Any], args: Any, kwargs: Any, error: RuntimeError) -> Any:
        found = rescued(fn, args, kwargs)
        if found is None:
            raise error
        return found

    # -- variables ---------------------------------------------------------------------------------------------------

    def create(self, variable: Variable, value: np.ndarray) -> None:
        with unset_fake_temporarily():
            storage = from_numpy(np.array(value, order="C")).to(_device_for(value))
            if storage.ndim in (4, 5) and storage.is_floating_point():
                # Kernels are logically HWIO and physically OHWI: torch's OIHW is then a view, in channels_last.
                storage = storage.movedim(-1, 0).contiguous().movedim(0, -1)
            variable._storage = storage.requires_grad_(variable.trainable and storage.is_floating_point())

    def read(self, variable: Variable) -> Tensor:
        return variable._storage

    def write(self, variable: Variable, value: Tensor) -> None:
        storage = variable._storage
        if value is storage:
            return
        if isinstance(value, FakeTensor) or torch._C._functorch.is_batchedtensor(value):  # pyright: ignore[reportAttributeAccessIssue]
            raise RuntimeError(
                f"variable `{variable.path}` was assigned inside a function that torch traces without Nyala's "
                "knowledge, so the value would be lost; use nyala.ops.vectorized_map or nyala.function"
            )
        with torch.no_grad():
            storage.copy_(value)

    def user_code(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return inplace.kept(fn)

    def outside_trace(self) -> AbstractContextManager[Any]:
        return _outside()

    # -- transforms --------------------------------------------------------------------------------------------------

    def abstract(self, fn: Callable[..., Nest], args: Nest) -> Nest:
        _QUIET.setLevel(logging.CRITICAL)  # what fails is raised; torch prints its own traceback besides
        outer = _local.fake
        mode = outer or FakeTensorMode(allow_non_fake_inputs=True)
        _local.fake = mode
        try:
            with mode, torch.no_grad(), StateScope():
                device = default_device()
                inputs = tree.map(lambda s: _empty(s, device), args)
                out = fn(*inputs)
        except DynamicOutputShapeException as error:
            raise ValueError(
                f"the shape that `{_op_name(error)}` gives depends on values, which a symbolic tensor does not have"
            ) from error
        except DataDependentOutputException as error:
            raise ValueError(
                f"`{_op_name(error)}` needs the values of a tensor, which a symbolic tensor does not have; "
                "use ops.cond, ops.where or ops.while_loop instead of Python's if and while"
            ) from error
        finally:
            _local.fake = outer
        return tree.map(lambda x: TensorSpec(tuple(x.shape), NAMES[x.dtype]) if isinstance(x, Tensor) else x, out)

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Variable], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Tensor | None]]]:
        variables = list(variables)

        def call(*args: Any, **kwargs: Any) -> tuple[Any, list[Tensor | None]]:
            nested = _local.differentiating > 0
            leaves = [_leaf(v.raw_value, nested) for v in variables]
            state = StateScope()
            state.values.update(zip(variables, leaves))
            _local.differentiating += 1
            try:
                with torch.enable_grad(), state:
                    out = fn(*args, **kwargs)
            finally:
                _local.differentiating -= 1
            loss = out[0] if has_aux else out
            gradients = _gradients(loss, leaves, nested)
            _flush(state, nested)
            return (out if nested else _detached(out)), gradients

        return call

    def grad(self, fn: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
        nested = _local.differentiating > 0
        leaves = [_leaf(x, True) if nested else x.detach().requires_grad_() for x in inputs]
        state = StateScope()
        _local.differentiating += 1
        try:
            with torch.enable_grad(), state:
                loss = fn(*leaves)
        finally:
            _local.differentiating -= 1
        gradients = _gradients(loss, leaves, nested)
        _flush(state, nested)
        found = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, gradients)]
        return (loss if nested else _detached(loss)), found

    def remat(self, fn: Callable[..., Nest], args: tuple[Any, ...]) -> Nest:
        first: dict[Variable, Tensor] = {}
        written: dict[Variable, Tensor] = {}
        again = False

        class Reads(StateScope):
            """Notes what is read, for the second run must find what the first one found."""

            def read(self, variable: Variable) -> Any:
                value = super().read(variable)
                if variable not in self.values:
                    first.setdefault(variable, value)
                return value

        def run(*args: Any) -> Nest:
            nonlocal again
            if again:
                with StateScope(dict(first)):
                    return fn(*args)
            again = True
            with Reads() as inner:
                out = fn(*args)
            written.update(inner.writes())
            # Assigning changes the storage, and with it what was read from there.
            first.update({v: first[v].detach().clone() for v in written if v in first})
            return out

        out = torch.utils.checkpoint.checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False)
        for variable, value in written.items():
            variable.assign(value)
        return out

    def on_device(self, name: str) -> AbstractContextManager[Any]:
        return device_scope(name)

    def show(self, message: str, x: Tensor, summarize: int = 3) -> None:
        if not isinstance(x, FakeTensor):
            super().show(message, x, summarize)

    def no_grad(self) -> AbstractContextManager[Any]:
        # Not inference_mode: its tensors can never enter a later training step.
        return torch.no_grad()

    instead_of_layouts = (
        "; move the model with to_backend('jax'), or train model.as_torch_module() by torch.distributed"
    )
    foreign_state = (torch.nn.Module, torch.nn.Parameter)
    as_module = staticmethod(module.as_module)  # pyright: ignore[reportAssignmentType]
    run_module = staticmethod(module.run_module)  # pyright: ignore[reportAssignmentType]
    attribute_of_layer = staticmethod(module.attribute_of_layer)  # pyright: ignore[reportAssignmentType]

    def adopt(self, x: Any) -> list[Variable]:
        return module.adopt(self, x)

    export_formats = ("torch", "onnx", "openvino")

    def export(self, *args: Any) -> None:
        from nyala.backends.torch import export

        export.export(self, *args)

    compile = step.compile
    compile_loop = step.compile_loop

    # -- for objects that other libraries hand us ---------------------------------------------------------------------

    def torch_function(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What torch calls when a Variable or a symbolic tensor is among the arguments of one of its functions."""
        leaves = tree.flatten((args, kwargs))
        if any(isinstance(x, SymbolicTensor) for x in leaves):
            from nyala.graph.node import record

            return record(func, args, kwargs)
        args, kwargs = tree.map(lambda x: x._as_foreign(self) if isinstance(x, Variable) else x, (args, kwargs))
        return func(*args, **kwargs)

    def foreign_protocol(self, variable: Variable, what: str) -> Any:
        if what in _TORCH_ATTRIBUTES or what in self.tensor_methods:
            return getattr(variable.value, what)
        raise AttributeError(f"a variable has no attribute {what!r}")

    def profiler(self, log_dir: str) -> AbstractContextManager[Any]:
        from torch.profiler import profile, tensorboard_trace_handler

        return profile(on_trace_ready=tensorboard_trace_handler(log_dir))

    def set_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def random_state(self) -> np.ndarray:
        return torch.get_rng_state().numpy()

    def set_random_state(self, state: np.ndarray) -> None:
        torch.set_rng_state(torch.from_numpy(state.copy()))

    def make_deterministic(self) -> None:
        # cuBLAS asks for it: https://docs.pytorch.org/docs/stable/notes/randomness.html
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False

    next_seed = staticmethod(next_seed)  # type: ignore[assignment]


@contextmanager
def _outside() -> Iterator[None]:
    fake, _local.fake = _local.fake, None
    try:
        with unset_fake_temporarily():
            yield
    finally:
        _local.fake = fake


def _device_for(value: np.ndarray) -> torch.device:
    """Seed states and counters of steps stay on the host, where they are read without waiting for the device."""
    on_host = value.dtype.kind in "iu" and (value.ndim == 0 or (value.dtype.name == "uint32" and value.shape == (2,)))
    return torch.device("cpu") if on_host else default_device()


def _alike(backend: Backend, x: Any) -> list[Tensor]:
    """The members of a list that holds tensors, converted to one dtype (Python numbers adapt)."""
    found = [v.value if isinstance(v, Variable) else v for v in x]
    numbers = (bool, int, float)
    kinds = [type(v).__name__ if isinstance(v, numbers) else NAMES[backend.convert(v).dtype] for v in found]
    to = dtypes.result_type(*kinds)
    return [backend.convert(v, to) for v in found]


def _empty(spec: Any, device: torch.device) -> Any:
    if not isinstance(spec, TensorSpec):
        return spec
    return torch.empty(tuple(spec.shape), dtype=native_dtype(spec.dtype), device=device)  # type: ignore[arg-type]


def _op_name(error: Any) -> str:
    return str(getattr(error, "func", error)).removeprefix("aten.").split(".")[0]


def _leaf(value: Tensor, nested: bool) -> Tensor:
    """What gradients are taken by. An inner one is by an alias: what was made of the value before is constant to it."""
    if nested:
        return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()
    return value if value.requires_grad and value.is_leaf else value.detach().requires_grad_()


def _gradients(loss: Tensor, leaves: list[Tensor], nested: bool) -> list[Tensor | None]:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ValueError(f"the function to differentiate must return a scalar tensor, got {_describe(loss)}")
    if not loss.requires_grad or not leaves:
        return [None] * len(leaves)
    loss = loss if loss.ndim == 0 else loss.reshape(())
    return list(torch.autograd.grad(loss, leaves, create_graph=nested, allow_unused=True))


def _describe(x: Any) -> str:
    return f"a tensor of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"{x!r} of type {type(x).__name__}"


def _detached(nest: Nest) -> Nest:
    if isinstance(nest, Tensor):
        return nest.detach()
    return tree.map(lambda x: x.detach() if isinstance(x, Tensor) else x, nest)


def _flush(state: StateScope, nested: bool) -> None:
    """Assign what was written in ``state`` in the scope around; no write may change the value of another."""
    writes = state.writes()
    if not writes:
        return
    outer = scope_local.scope
    if outer is not None:
        for variable, value in writes.items():
            outer.write(variable, value if nested else value.detach())
        return
    homes = {v._storage.untyped_storage().data_ptr(): v for v in writes} if len(writes) > 1 else {}
    values = {}
    for variable, value in writes.items():
        home = homes.get(value.untyped_storage().data_ptr()) if homes else None
        values[variable] = value.detach().clone() if home is not None and home is not variable else value.detach()
    for variable, value in values.items():
        variable.backend.write(variable, value)
