"""Layers around what the backends' own libraries make: torch modules, JAX functions, Flax modules, SavedModels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, DType, Nest, TensorLike
from nyala.base import check, tree
from nyala.base.configurable import Configurable
from nyala.base.seeds import SeedGenerator
from nyala.base.variable import Variable
from nyala.layers.base import Layer


class _Foreign(Layer):
    """What these layers share: they hold Python code, which no config can."""

    def get_config(self) -> Config:
        return check.fail(
            self,
            "holds code of another library and has no config; make the model in Python and use save_weights and load_weights",
            NotImplementedError,
        )

    @classmethod
    def from_config(cls, config: Config) -> NoReturn:
        check.fail(
            cls,
            "holds code of another library, which is never made from a config; make the layer in Python and use load_weights",
        )


class TorchModuleWrapper(_Foreign):
    """A ``torch.nn.Module`` as a layer; its parameters and buffers are the weights. On the torch backend.

    Args:
        module: the module; lazy ones must have been called once.
        output_shape: what ``compute_output_shape`` says; default: found by a dry run.

    Raises: TypeError if ``module`` is no module, or the layer is used on another backend.
    """

    def __init__(self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self._own_backend = backends.owner_of(module)
        if self._own_backend is None:
            check.fail(self, f"module must be a torch.nn.Module, got {type(module).__name__}", TypeError)
        self.module = module
        self._given_shape = output_shape
        self.built = True

    def parameters(self, recurse: bool = True) -> Any:
        return self.module.parameters(recurse)

    def compute_output_shape(self, *shapes: Any, **named: Any) -> Any:
        return self._given_shape or super().compute_output_shape(*shapes, **named)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Nest:
        return self._own_backend.run_module(self.module, training, args, kwargs)


class JaxLayer(_Foreign):
    """A JAX function with its parameters as a layer. On the jax backend.

    Args:
        call_fn: ``call_fn(params, state, rng, inputs, training)``, of which it takes those that it names; gives the outputs, with
            ``state`` among its arguments ``(outputs, new state)``.
        init_fn: ``init_fn(rng, inputs, training)`` likewise, gives ``params`` or ``(params, state)`` for example inputs.
        params, state: nests of arrays in place of ``init_fn``: trained, and carried along.
        seed: for ``rng``; default a random one. native_serialization_platforms: must be ``None``.
    """

    def __init__(
        self,
        call_fn: Callable[..., Any],
        init_fn: Callable[..., Any] | None = None,
        params: Nest = None,
        state: Nest = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if native_serialization_platforms is not None:
            check.fail(self, "native_serialization_platforms must be None: a JAX function runs on jax only")
        self.call_fn, self.init_fn, self.seed = call_fn, init_fn, seed
        self._takes = _arguments(self, "call_fn", call_fn, {"params", "state", "rng", "inputs", "training"})
        if init_fn is None and params is None and state is None:
            check.fail(self, "needs init_fn, params or state")
        if init_fn is not None:
            self._init_takes = _arguments(self, "init_fn", init_fn, {"rng", "inputs", "training"})
        self.seed_generator = SeedGenerator(seed)
        self.params = self._weights_of(params, True)
        self.state = self._weights_of(state, False)
        if init_fn is None:
            self.built = True

    def _weights_of(self, nest: Nest, trainable: bool) -> Nest:
        def one(x: Any) -> Variable:
            value = np.asarray(x)
            return self.add_weight(
                shape=value.shape, initializer=lambda shape, dtype: value, dtype=value.dtype.name, trainable=trainable
            )

        return None if nest is None else tree.map(one, nest)

    def build(self, input_shape: Any) -> None:
        if self.init_fn is None or self.params is not None or self.state is not None:
            return
        backend = self._find_backend()
        with backend.outside_trace():
            inputs = _examples(input_shape, self.input_dtype)
            given = {"rng": self.seed_generator.next(), "inputs": inputs, "training": True}
            made = self.init_fn(*(given[n] for n in self._init_takes))
        params, state = made if "state" in self._takes else (made, None)
        self.params, self.state = self._weights_of(params, True), self._weights_of(state, False)

    def call(self, inputs: TensorLike, training: bool = False) -> Nest:
        read = lambda nest: None if nest is None else tree.map(lambda v: v.value, nest)  # noqa: E731
        given: dict[str, Any] = {"inputs": inputs, "training": training}
        for name, make in (
            ("params", lambda: read(self.params)),
            ("state", lambda: read(self.state)),
            ("rng", self.seed_generator.next),
        ):
            if name in self._takes:
                given[name] = make()
        out = self.call_fn(*(given[n] for n in self._takes))
        if "state" not in self._takes:
            return out
        outputs, state = out
        tree.map(lambda v, new: v.assign(new), self.state, state)
        return outputs


class FlaxLayer(JaxLayer):
    """A Flax (linen) module as a layer. On the jax backend.

    Args:
        module: the module. method: called in place of ``__call__``: the method or its name; it may take ``training``.
        variables: from ``module.init``; default made at the first call. Collections other than "params" are state.
    """

    def __init__(self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any):
        self.module, self.method = module, method
        run = getattr(type(module), method) if isinstance(method, str) else method or type(module).__call__
        self._trains = "training" in inspect.signature(run).parameters
        parts: dict[str, Any] = {}
        if variables is not None:
            variables = dict(variables)
            parts = {"params": variables.pop("params", {}), "state": variables}
        super().__init__(self._run, self._init if variables is None else None, **parts, **kwargs)

    def _flax(self, training: bool) -> dict[str, Any]:
        return {**({"training": training} if self._trains else {}), **({"method": self.method} if self.method else {})}

    def _run(self, params: Nest, state: Nest, rng: Any, inputs: Any, training: bool) -> Any:
        variables = {"params": params, **(state or {})}
        args = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        mutable = list(state or {}) if training else False
        out = self.module.apply(variables, *args, rngs={"dropout": rng}, mutable=mutable, **self._flax(bool(training)))
        if mutable is False:
            return out, state
        return out[0], {**(state or {}), **dict(out[1])}

    def _init(self, rng: Any, inputs: Any, training: bool) -> Any:
        args = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        variables = dict(self.module.init({"params": rng, "dropout": rng}, *args, **self._flax(training)))
        return variables.pop("params", {}), variables


class TFSMLayer(_Foreign):
    """A TensorFlow SavedModel as a layer for inference and fine-tuning. On the tensorflow backend.

    Args:
        filepath: the SavedModel's folder. call_endpoint: the name of a signature or of a function in it.
        call_training_endpoint: the same for ``training=True``; default ``call_endpoint``.

    Raises: ValueError if there is no such endpoint.
    """

    def __init__(
        self,
        filepath: Any,
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: DType = None,
    ):
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        self.filepath = str(filepath)
        self.call_endpoint, self.call_training_endpoint = call_endpoint, call_training_endpoint
        self._own_backend = backends.current()
        self._loaded = self._own_backend.load_saved_model(self.filepath)
        self._serve = self._endpoint(call_endpoint)
        self._train = self._endpoint(call_training_endpoint) if call_training_endpoint else self._serve
        self._own_variables += self._own_backend.saved_variables(self._loaded)
        if not trainable:
            self.trainable = False
        self.built = True

    _untracked = Layer._untracked | {"_loaded", "_serve", "_train"}

    def _endpoint(self, name: str) -> Any:
        signatures = getattr(self._loaded, "signatures", {})
        found = getattr(self._loaded, name, None) or signatures.get(name)
        if not callable(found):
            check.fail(self, f"{self.filepath} has no endpoint {name!r}; its signatures are {list(signatures)}")
        return found

    def call(self, inputs: TensorLike, training: bool = False, **kwargs: Any) -> Nest:
        return self._own_backend.call_saved(self._train if training else self._serve, inputs, kwargs)

    def get_config(self) -> Config:
        names = ("filepath", "call_endpoint", "call_training_endpoint")
        base = {k: v for k, v in Configurable.get_config(self).items() if k not in names}
        return {**base, **{n: getattr(self, n) for n in names}}


def _arguments(owner: Any, what: str, fn: Callable[..., Any], known: set[str]) -> list[str]:
    """The names of the function's arguments. Raises ValueError for one that is not known."""
    names = list(inspect.signature(fn).parameters)
    unknown = [n for n in names if n not in known]
    if unknown or "inputs" not in names:
        check.fail(owner, f"{what} takes `inputs` and any of {sorted(known - {'inputs'})}, got {names}")
    return names


def _examples(shapes: Any, dtype: str) -> Nest:
    """Zeros of these shapes, one for each dimension that is not known."""
    if isinstance(shapes, dict):
        return {k: _examples(v, dtype) for k, v in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple, dict)):
        return [_examples(v, dtype) for v in shapes]
    return ops.zeros([1 if n is None else n for n in shapes], dtype)


__all__ = ["FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"]
