"""What a layer's call is made of: its signature, and the tensors, shapes and backend of its arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nyala import backends
from nyala.backends import host
from nyala.base import check, masks, naming, tree
from nyala.base.configurable import Configurable
from nyala.base.variable import Variable
from nyala.graph import infer
from nyala.graph.symbolic import SymbolicTensor

if TYPE_CHECKING:
    from nyala.layers.base import Layer


class Call:
    """What the signature of ``call`` says, and whether there is a ``compute_mask``: found once a class."""

    __slots__ = (
        "signature", "names", "training", "training_default", "mask_names", "has_kwargs", "positional", "ours", "own_mask"
    )  # fmt: skip

    def __init__(self, cls: type[Layer]):
        from nyala.layers.base import Layer

        self.signature = inspect.signature(cls.call)
        self.ours = naming.is_ours(cls.call)
        self.own_mask = getattr(cls, "compute_mask", None) is not Layer.compute_mask  # a user's cell may be no layer
        parameters = list(self.signature.parameters.values())[1:]
        self.names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.has_kwargs = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.training = "training" in self.names
        default = self.signature.parameters["training"].default if self.training else None
        self.training_default = None if default is inspect.Parameter.empty else default
        self.mask_names = [n for n in self.names if n == "mask" or n.endswith("_mask")]


@functools.lru_cache(maxsize=None)
def call_of(cls: type[Layer]) -> Call:
    return Call(cls)


def declared_trainable(variable: Variable) -> bool:
    """Whether the variable was made to be trained, frozen now or not."""
    return (
        getattr(variable, "_declared_trainable", False)
        if "_declared_trainable" in variable.__dict__
        else variable.trainable
    )


def argument_names(cls: type) -> list[str]:
    return [
        n
        for klass in cls.__mro__
        if "__init__" in klass.__dict__ and issubclass(klass, Configurable)
        for n in inspect.signature(klass.__init__).parameters
        if n not in ("self", "args", "kwargs")
    ]


def batch_shape_from(layer: Layer, given: dict[str, Any]) -> tuple[int | None, ...] | None:
    """The input's batch shape from the arguments by which older Keras gave it to a first layer."""
    for name in ("batch_shape", "batch_input_shape"):
        if given.get(name) is not None:
            return tuple(given[name])
    batch, length, dim = (given.get(name) for name in ("batch_size", "input_length", "input_dim"))
    shape = given.get("input_shape")
    if shape is not None:
        return (batch, shape) if check.is_int(shape) else (batch, *shape)
    if dim is not None:
        return (batch, dim) if "input_length" not in given else (batch, length, dim)
    # An embedding's input_length may be one length or one for each axis of its input.
    if length is not None:
        return (batch, length) if check.is_int(length) else (batch, *length)
    return None


def is_array(x: Any) -> bool:
    return hasattr(x, "__array__") and hasattr(x, "shape") and hasattr(x, "dtype")


def backend_of(leaves: Any) -> Any:
    """The backend of the first tensor; ``None`` if there is none."""
    for x in leaves:
        if isinstance(x, Variable):
            return x.backend
        owner = backends.backend_of_type.get(type(x))
        if owner is not None:
            return owner
    return next((b for b in map(backends.of, leaves) if b is not None), None)


def moved(layer: Layer, x: Any, owner: Any, backend: Any) -> Any:
    """A value of another backend, copied over by way of the host; tracers and what needs a gradient cannot be."""
    if owner.is_tracing() or getattr(x, "requires_grad", False):
        check.fail(
            layer,
            f"computes on {backend.name!r} and got a {owner.name!r} tensor that is being traced or differentiated; "
            f"move the model with to_backend({owner.name!r})",
            TypeError,
        )
    array = owner.to_numpy(x)
    return array if host.is_texts(array) and not host.has_strings(backend) else backend.convert(array)


def bound_arguments(layer: Layer, spec: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``call`` by name, in the order of its signature; ``training`` need not be given, ever."""
    if spec.training and "training" not in (*spec.positional[: len(args)], *kwargs):
        kwargs = {**kwargs, "training": None}
    try:
        bound = spec.signature.bind(layer, *args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{check.who(layer)}: {error}; call is {type(layer).__name__}.call{spec.signature}") from None
    result: dict[str, Any] = {}
    for i, (name, value) in enumerate(bound.items()):
        if i == 0:
            continue
        kind = spec.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            result.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            result.update({f"{name}_{j}": v for j, v in enumerate(value)})
        else:
            result[name] = value
    return result


def masks_of(spec: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Hand the masks of the inputs to the mask arguments that are free; the masks of the first argument."""
    inputs = args[0] if args else kwargs.get(spec.names[0]) if spec.names else None
    if type(inputs) in backends.backend_of_type or isinstance(inputs, SymbolicTensor):
        found = masks.get_mask(inputs)
    elif isinstance(inputs, (list, tuple, dict)):
        found = tree.map(masks.get_mask, inputs)
        if all(m is None for m in tree.flatten(found)):
            found = None
    else:
        found = None
    if spec.mask_names:
        if "mask" in spec.mask_names:
            if kwargs.get("mask") is not None:
                found = kwargs["mask"]
            elif found is not None and spec.names.index("mask") >= len(args):
                kwargs["mask"] = found
        for name in spec.mask_names:
            source = name.removesuffix("_mask")
            if name != "mask" and kwargs.get(name) is None and source in spec.names:
                position = spec.names.index(source)
                value = args[position] if position < len(args) else kwargs.get(source)
                own = masks.get_mask(value) if value is not None and not isinstance(value, (list, dict)) else None
                if own is not None and spec.names.index(name) >= len(args):
                    kwargs[name] = own
    return inputs, found


def build_arguments(build: Callable[..., Any], shapes: dict[str, Any]) -> dict[str, Any] | None:
    """The shapes that ``build`` asks for by name; ``None`` where it takes that of the first input alone."""
    parameters = inspect.signature(build).parameters
    named = {f"{name}_shape": shape for name, shape in shapes.items()}
    wanted = {name: named[name] for name in parameters if name in named}
    needed = {n for n, p in parameters.items() if p.default is p.empty and p.kind not in (2, 4)}
    return wanted if not parameters or (len(parameters) > 1 and wanted and needed <= wanted.keys()) else None


def shape_of(x: Any, backend: Any) -> Any:
    """The shape(s) for ``build``: a tuple, a nest of tuples, or ``None`` when there is no tensor.

    In an abstract evaluation the sizes that stand for "unknown" are given as ``None`` again.
    """
    if isinstance(x, SymbolicTensor):
        return x.shape
    if isinstance(x, dict):
        shapes = {k: shape_of(v, backend) for k, v in x.items()}
        return shapes if any(s is not None for s in shapes.values()) else None
    if isinstance(x, (list, tuple)):
        inner = [shape_of(v, backend) for v in x]
        return type(x)(inner) if inner and not hasattr(x, "_fields") and any(s is not None for s in inner) else None
    if x is None or not hasattr(x, "shape"):
        return None
    shape = tuple(backend.shape_of(x) if backend.is_tensor(x) else x.shape)
    return infer.unprobed(shape, "float" in str(x.dtype)) if infer.is_abstract() else shape


def dtype_of(x: Any, backend: Any) -> str:
    return x.dtype if isinstance(x, SymbolicTensor) else backend.dtype_of(x)


def map_shapes(fn: Callable[[Any], Any], shapes: Any) -> Any:
    """``fn`` over the shapes in a nest of shapes."""
    if isinstance(shapes, dict):
        return {k: map_shapes(fn, v) for k, v in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple, dict)):
        return type(shapes)(map_shapes(fn, v) for v in shapes)
    return fn(shapes)
