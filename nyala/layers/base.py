"""The base of every layer: how it is made, built and called, and its config.

What a layer owns is in ``_state``, the calls that are running in ``_running``, what a call is made of in ``_arguments``, the
call on symbolic tensors in ``on_graph``, what older Keras called otherwise in ``_old``.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np

from nyala import backends, regularizers
from nyala._typing import Config, DType, Tensor
from nyala.backends import dtypes, host
from nyala.base import check, configurable, masks, naming, old, policy, scope, tracebacks, tracking, tree
from nyala.base.variable import Variable
from nyala.graph import infer, remat
from nyala.graph.node import backend_of_inputs, symbolic_outputs
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers import _derived, on_graph
from nyala.layers._arguments import (
    Call,
    argument_names,
    backend_of,
    batch_shape_from,
    bound_arguments,
    build_arguments,
    call_of,
    dtype_of,
    is_array,
    map_shapes,
    masks_of,
    moved,
    shape_of,
)
from nyala.layers._running import call_ids, running
from nyala.layers._state import LayerState
from nyala.layers.input_spec import InputSpec


def _wrap_build(build: Callable[..., Any]) -> Callable[..., Any]:
    """Whoever calls ``build``: variables get this layer's path, and the layer counts as built when it returns."""

    @functools.wraps(build)
    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> Any:
        if self._building:
            return build(self, *args, **kwargs)
        given = self.__dict__.get("_dtype_policy")
        named = given.named("/".join(self._scope_path())) if isinstance(given, policy.DTypePolicyMap) else None
        if named is not None:
            self.dtype_policy = named
            return type(self).build(self, *args, **kwargs)  # a quantized layer is of another class now
        self._building = True
        run = None if naming.is_ours(type(self)) else scope.Replayed([])
        before = {} if run is None else dict(vars(self))
        try:
            # What a user computes there is kept: it must not be part of a trace.
            outside = nullcontext() if run is None else self._find_backend().outside_trace()
            with naming.at(self._scope_path()), run or nullcontext(), outside:
                result = build(self, *args, **kwargs)
        finally:
            self._building = False
        self._build_args = (args, kwargs)
        if run is not None:
            self._derived = _derived.find(self, before, run)
        self.built = True
        self._take_waiting()
        self._after_build()
        return result

    wrapped._wrapped = True  # type: ignore[attr-defined]
    return wrapped


class Layer(LayerState):
    """Base of all layers: owns variables, and computes outputs from inputs by ``call``.

    A subclass defines ``__init__`` (own arguments), ``build(input_shape)`` (makes variables by ``add_weight``) and
    ``call(inputs)``; ``call`` may take ``training`` and ``mask``. Output shapes, configs and tracking of variables and sub-layers
    need no code.

    Args:
        activity_regularizer: a regularizer of the output; its loss is the mean over the batch.
        trainable: whether the layer's weights are trained.
        dtype: a dtype name or policy; default: the global policy.
        autocast: whether float inputs are cast to the compute dtype.
        name: unique in a model; default: made from the class name.
        input_shape, batch_shape, ...: the shape of the first layer's input, as older Keras wrote it.
    """

    role: ClassVar[str] = "layer"
    keras_module: ClassVar[str] = "keras.layers"
    config_skip = frozenset({"activity_regularizer", "autocast"})
    config_order: ClassVar[tuple[str, ...]] = ("name", "trainable", "dtype")
    supports_masking: bool = False
    input_spec: Any = None
    _policy_goes_below: ClassVar[bool] = False
    """Whether the layer makes its sub-layers with its own policy, so that its config has to say which are quantized."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        build = cls.__dict__.get("build")
        if build is not None and not hasattr(build, "_wrapped"):
            setattr(cls, "build", _wrap_build(build))
        if naming.is_ours(cls) and "__init__" in cls.__dict__:
            setattr(cls, "__init__", old.takes_old_arguments(cls.__dict__["__init__"]))

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: DType = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        shape_args = {k: kwargs.pop(k) for k in old.OLD_SHAPES if k in kwargs}
        if shape_args:
            old.tell(f"{next(iter(shape_args))}= on a layer", "Input(shape=...) in front of it")
        initial = kwargs.pop("weights", None)
        if initial is not None:
            old.tell("weights= on a layer", "layer.set_weights(...) once it is built")
        check.no_extra(
            f"{type(self).__name__} `{name or ''}`" if name else type(self), kwargs, argument_names(type(self))
        )
        self.name = naming.auto(type(self).__name__, name)
        if not isinstance(self.name, str):
            check.fail(type(self), f"name must be a str, got {self.name!r}", TypeError)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.dtype_policy = policy.get(dtype)
        self.autocast = autocast
        self._trainable = bool(trainable)
        self._remat = remat.current()
        self._input_shape_arg = batch_shape_from(self, shape_args)
        self._initial_weights = initial
        self._initialised = True

    # -- to be defined by subclasses ---------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the variables for inputs of this shape (a tuple, or a nest of tuples for nested inputs)."""

    build = _wrap_build(build)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for the inputs."""
        check.fail(self, f"class {type(self).__name__} defines no call(self, inputs)", NotImplementedError)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output; unless overridden, that of the input."""
        return previous_mask

    # -- variables ---------------------------------------------------------------------------------------------------

    # -- dtypes and backend ------------------------------------------------------------------------------------------

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        """Store the weights in few bits, and compute with them.

        Args:
            mode: ``"int8"``, ``"int4"`` or ``"float8"``. config: in place of it, a config of ``nyala.quantizers``.
            type_check: whether a subclass, which may compute otherwise, is refused.

        Raises: ValueError for a layer that is not built or quantized already, NotImplementedError for one that has no such form.
        """
        from nyala.layers import quantized

        quantized.quantize(self, mode, type_check, config)

    # -- names -------------------------------------------------------------------------------------------------------

    # -- losses ------------------------------------------------------------------------------------------------------

    # -- the call ----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for tensors, arrays, or symbolic tensors (then the call becomes a node of the graph)."""
        if not self._initialised:
            check.fail(
                type(self),
                "super().__init__() was not called in __init__; call it before the layer is used",
                RuntimeError,
            )
        spec = call_of(type(self))
        leaves = args if len(args) == 1 and not kwargs and not isinstance(args[0], (list, tuple, dict)) else None
        if leaves is None:
            leaves = tree.flatten((args, kwargs))
        if any(isinstance(x, SymbolicTensor) for x in leaves):
            return on_graph.call(self, spec, args, kwargs)

        backend = self._own_backend
        if backend is None:
            backend = backend_of(leaves) or self._find_backend()
        outer_backend = backends.local.backend
        outer_stack, outer_training, outer_call = running.stack, running.training, running.call_id
        outer_cast = scope.local.autocast
        backends.local.backend = backend
        try:
            args = tuple(self._convert_input(a, backend) for a in args)
            if kwargs:
                kwargs = {k: v if k == "training" else self._convert_input(v, backend) for k, v in kwargs.items()}
            training = self._training_of(spec, args, kwargs)
            if not outer_stack and outer_call >= 0:
                running.call_id = next(call_ids)
            running.stack = (*outer_stack, self)
            running.training = training
            if not self.built:
                self._build_for(spec, args, kwargs, backend)
            self._last_call = running.call_id
            if self.input_spec is not None:
                self._check_input(args[0] if args else kwargs.get(spec.names[0]), backend)
            inputs, in_masks = masks_of(spec, args, kwargs)
            scope.local.autocast = self._cast_to
            try:
                call = self.call if spec.ours else backend.user_code(self.call)
                if self._remat is not None and self._remat.covers(self, call, args, kwargs):
                    call = remat.remat(call)
                if self._derived is None:
                    outputs = call(*args, **kwargs)
                else:
                    with _derived.anew([self]):
                        outputs = call(*args, **kwargs)
            except Exception as error:
                self._explain(error, args, kwargs)
                if not outer_stack:
                    error.__traceback__ = tracebacks.of_user(error.__traceback__)
                raise
            finally:
                scope.local.autocast = outer_cast
            if self.activity_regularizer is not None:
                self._regularize_activity(outputs)
            if self.supports_masking or in_masks is not None or spec.own_mask:
                self._give_mask(inputs, in_masks, outputs)
            return outputs
        finally:
            backends.local.backend = outer_backend
            running.stack, running.training, running.call_id = outer_stack, outer_training, outer_call

    def _quick(self) -> Callable[[Any], Any]:
        """What a model's graph calls for ``self(x)``: once a full call has seen inputs of a dtype, that of a leaf layer of
        ours needs no conversion, build, checks or context any more.
        """
        spec = call_of(type(self))
        if (
            not type(self).__module__.startswith("nyala.layers")
            or spec.own_mask
            or self._remat is not None
            or self.activity_regularizer is not None
            or self._layers
            or not spec.names
        ):
            return self
        takes_training, tensor_types, local = spec.training, backends.backend_of_type, scope.local
        seen: Any = None

        def run(x: Any) -> Any:
            nonlocal seen
            if (
                type(x) not in tensor_types
                or x.dtype != seen
                or local.autocast is not None
                or masks.get_mask(x) is not None
            ):
                ours = type(x) in tensor_types and self._cast_to is None
                seen = x.dtype if ours and self._convert_input(x, tensor_types[type(x)]) is x else None
                return self(x)
            try:
                # Looked up anew: a layer that is quantized has another call from then on.
                return self.call(x, training=running.training) if takes_training else self.call(x)
            except Exception as error:
                self._explain(error, (x,), {})
                raise

        return run

    def _training_of(self, spec: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool | None:
        """The value of ``training``: the argument, else that of the call around, else the signature's default.

        ``kwargs`` is completed where ``call`` takes it, and freed of it where it does not.
        """
        if not spec.training:
            given = kwargs.pop("training", None) if not spec.has_kwargs else kwargs.get("training")
            return given if given is not None else running.training
        position = spec.positional.index("training") if "training" in spec.positional else len(args)
        if position < len(args):
            return args[position] if args[position] is not None else running.training
        training = kwargs.get("training")
        if training is None:
            training = running.training
        if training is None:
            training = spec.training_default
        kwargs["training"] = training
        return training

    def _convert_input(self, x: Any, backend: Any) -> Any:
        """Arrays become tensors, float tensors the compute dtype; nests are walked, anything else passes."""
        if isinstance(x, (list, tuple, dict)):
            if not any(hasattr(v, "shape") for v in tree.flatten(x)):
                return x
            return tree.map(lambda v: self._convert_input(v, backend), x)
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        if isinstance(x, Variable):
            x = x.value
        owner = backends.backend_of_type.get(type(x))
        if owner is None:
            owner = backends.of(x)
            if owner is None:
                if not isinstance(x, (np.ndarray, np.generic)) and not is_array(x):
                    return x
                array = np.asarray(x)
                if array.dtype == object or (host.is_texts(array) and not host.has_strings(backend)):
                    return x
                name = dtypes.standardize(array.dtype)
                return backend.convert(array, self.compute_dtype if self.autocast and name in dtypes.FLOATS else name)
        if owner is not backend:
            x = moved(self, x, owner, backend)
        if self.autocast and x.dtype in backend.floating and backend.dtype_of(x) != self.compute_dtype:
            mask = masks.get_mask(x)
            x = backend.cast(x, self.compute_dtype)
            if mask is not None:
                masks.set_mask(x, mask)
        return x

    def _build_for(self, spec: Call, args: tuple[Any, ...], kwargs: dict[str, Any], backend: Any) -> None:
        """Call ``build`` with the shapes of the tensors among the arguments."""
        shapes: dict[str, Any] = {}
        for name, value in bound_arguments(self, spec, args, kwargs).items():
            if name in spec.mask_names and name != "mask":
                continue
            shape = shape_of(value, backend)
            if shape is not None and name not in ("mask", "training"):
                shapes[name] = shape
        with backends.backend_scope(backend), scope.autocast(None):
            named = build_arguments(self.build, shapes)
            if named is not None:
                self.build(**named)
            else:
                self.build(next(iter(shapes.values())) if shapes else None)
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)
            self._initial_weights = None

    def _after_build(self) -> None:
        """For subclasses that settle something when the variables exist."""

    def _check_input(self, inputs: Any, backend: Any) -> None:
        shape = getattr(inputs, "shape", None)
        if shape is not None and shape == self._checked:
            return
        specs = tree.flatten(self.input_spec)
        values = tree.flatten(inputs)
        if len(specs) > 1 and len(values) != len(specs):
            check.fail(self, f"expected {len(specs)} inputs, got {len(values)}")
        for one, value in zip(specs, values):
            if value is None:
                if not one.optional:
                    check.fail(self, "got None where an input is needed")
            elif hasattr(value, "shape"):
                one.check(self, shape_of(value, backend), None if one.dtype is None else dtype_of(value, backend))
        self._checked = shape

    def _give_mask(self, inputs: Any, in_masks: Any, outputs: Any) -> None:
        spec = call_of(type(self))
        if not self.supports_masking and not spec.own_mask:
            if not getattr(type(self), "_takes_mask", False) and not spec.mask_names:
                warnings.warn(
                    f"{check.who(self)}: its input has a mask, which this layer drops; set supports_masking = True to pass it on",
                    stacklevel=4,
                )
            return
        if in_masks is None and isinstance(inputs, (list, tuple, dict)) and not naming.is_ours(type(self).compute_mask):
            in_masks = tree.map(lambda x: None, inputs)
        out_mask = self.compute_mask(inputs, in_masks)
        if out_mask is None:
            return
        flat = tree.flatten(outputs)
        flat_masks = tree.flatten(out_mask)
        for x, m in zip(flat, flat_masks):
            if m is not None and x is not None:
                masks.set_mask(x, m)

    def _regularize_activity(self, outputs: Any) -> None:
        from nyala import ops

        for x in tree.flatten(outputs):
            if backends.of(x) is not None:
                batch = ops.cast(ops.shape(x)[0], backends.current().dtype_of(x)) if len(x.shape) else 1
                self.add_loss(ops.divide(self.activity_regularizer(x), batch))

    def _in_training(self) -> bool:
        return bool(running.training)

    def _explain(self, error: Exception, args: Any, kwargs: Any) -> None:
        if not getattr(error, "_nyala_explained", False):
            shapes = [str(tuple(x.shape)) for x in tree.flatten((args, kwargs)) if hasattr(x, "shape")]
            where = "/".join(layer.name for layer in tracking.unique([*running.stack, self]))
            error.add_note(
                f"while {type(self).__name__} `{where}` was called on inputs of shape {', '.join(shapes) or '()'}"
            )
            error._nyala_explained = True  # type: ignore[attr-defined]

    # -- symbolic calls ----------------------------------------------------------------------------------------------

    def _users_function(self, spec: Call) -> Any:
        """The code of the user's that a call runs."""
        return None if spec.ours else self.call

    def _call_abstract(self, *args: Any, **kwargs: Any) -> Any:
        built, self.built = self.built, True
        outer_call, running.call_id = running.call_id, -next(call_ids)
        try:
            return Layer.__call__(self, *args, **kwargs)
        finally:
            self.built, running.call_id = built or self.built, outer_call

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs, without a node."""
        backend = backend_of_inputs((args, kwargs))
        if not self.built:
            self._build_for(call_of(type(self)), args, kwargs, backend)
        return symbolic_outputs(infer.infer(self._call_abstract, args, kwargs, backend), backend)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        return self.compute_output_spec(*args, **kwargs)

    def compute_output_shape(self, *shapes: Any, **named: Any) -> Any:
        """The shape of the output for inputs of the given shape(s), by abstract evaluation."""
        make = lambda s: SymbolicTensor(s, self.compute_dtype)  # noqa: E731
        args = [map_shapes(make, s) for s in shapes]
        kwargs = {k.removesuffix("_shape"): map_shapes(make, s) for k, s in named.items()}
        outputs = self.compute_output_spec(*args, **kwargs)
        return tree.map(lambda x: x.shape, outputs)

    # -- pure calls --------------------------------------------------------------------------------------------------

    def stateless_call(
        self,
        trainable_variables: Sequence[Tensor],
        non_trainable_variables: Sequence[Tensor],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The call as a function without side effects.

        Returns ``(outputs, new non-trainable values)``, with ``return_losses`` also ``losses``. The values come in the
        order of ``self.trainable_variables`` and ``self.non_trainable_variables``.
        """
        state = self._holding("stateless_call", trainable=trainable_variables, non_trainable=non_trainable_variables)
        with state:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else None
        updated = [state.values[v] for v in self.non_trainable_variables]
        return (outputs, updated, losses) if return_losses else (outputs, updated)

    def _holding(self, what: str, **groups: Sequence[Tensor]) -> scope.StateScope:
        """A scope in which the variables of each group, e.g. ``trainable``, have the values that ``what`` was given."""
        self._check_built(what)
        values: dict[Any, Any] = {}
        for name, given in groups.items():
            own = getattr(self, f"{name}_variables")
            if len(own) != len(given):
                check.fail(self, f"{what} needs {len(own)} {name}_variables, got {len(given)}")
            values.update(zip(own, (x.raw_value if isinstance(x, Variable) else x for x in given)))
        return scope.StateScope(values)

    def _check_built(self, what: str) -> None:
        if not self.built:
            check.fail(self, f"{what} needs a built layer: call it on data or use build(input_shape) first")

    # -- config ------------------------------------------------------------------------------------------------------

    def get_config(self) -> Config:
        config = super().get_config()
        if self.activity_regularizer is not None and "activity_regularizer" not in config:
            base = {k: config.pop(k) for k in Layer.config_order if k in config}
            config = {**base, "activity_regularizer": configurable.serialize(self.activity_regularizer), **config}
        return config

    def config_value(self, name: str) -> Any:
        if name == "dtype":
            below = self._flatten_layers(include_self=False) if self._policy_goes_below else []
            quantized = {x.path: x.dtype_policy for x in below if x.quantization_mode is not None}
            whole = policy.DTypePolicyMap(self.dtype_policy, quantized) if quantized else self.dtype_policy
            return policy.serialize(whole)
        return super().config_value(name)

    def get_build_config(self) -> dict[str, Any] | None:
        """The arguments of ``build``, so that a file can make the variables again."""
        if self._build_args is None or type(self).build is Layer.build:
            return None
        args, kwargs = self._build_args
        shapes = inspect.signature(self.build).bind(*args, **kwargs).arguments
        several = len(shapes) > 1 or any(k != "input_shape" for k in kwargs)
        return {"shapes_dict": dict(shapes)} if several else {"input_shape": args[0]} if args else dict(kwargs) or None

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        if config and "input_shape" in config:
            self.build(config["input_shape"])
        elif config:
            self.build(**config.get("shapes_dict", config))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def as_torch_module(self) -> Any:
        """This layer (built, on torch) as a ``torch.nn.Module`` on the same weights: for torch's optimizers, hooks, state_dict.

        Its ``train()`` and ``eval()`` say whether the layer is called with ``training=True``.
        """
        self._check_built("as_torch_module")
        return self._find_backend().as_module(self)

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there, and for a property that raised AttributeError, which then says it again.
        own = getattr(type(self), name, None)
        get = own.fget if isinstance(own, property) else own.get if isinstance(own, old.Attribute) else None
        if get is not None:
            return get(self)
        backend = self.__dict__.get("_own_backend")
        if backend is not None and not name.startswith("_"):
            try:
                return backend.attribute_of_layer(self, name)
            except AttributeError:
                pass
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        import copy

        new = object.__new__(type(self))
        memo[id(self)] = new
        for key, value in self.__dict__.items():
            if key not in ("_call_nodes", "_steps", "_own_backend", "_torch_module"):
                new.__dict__[key] = copy.deepcopy(value, memo)
        new.__dict__.update(_call_nodes=[], _own_backend=self._own_backend)
        return new


__all__ = ["InputSpec", "Layer"]
