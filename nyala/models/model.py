"""The base of all models: a layer that can be trained, saved, summarised and moved between backends."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from nyala import backends
from nyala._typing import Nest
from nyala.base import check, old, scope, tree
from nyala.base.configurable import copied
from nyala.base.registry import custom_object_scope
from nyala.graph.node import OpCall
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._arguments import map_shapes
from nyala.layers.base import Layer
from nyala.training.trainer import Trainer


class Model(Trainer, Layer):
    """A trainable layer: subclass it and define ``call``, or give symbolic ``inputs`` and ``outputs``.

    Args:
        inputs, outputs: symbolic tensors (nests of them); then the model is a ``Functional`` one.
        name: default made from the class name.
        others: as for ``Layer``.
    """

    role = "model"
    keras_module = "keras"
    config_skip = frozenset({"args", "kwargs"})
    _untracked = Layer._untracked | Trainer._untracked

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        kwargs = old.renamed("Model", kwargs)
        if cls is Model and _is_graph(args, kwargs):
            from nyala.models.functional import Functional

            return super().__new__(Functional, *args, **kwargs)  # type: ignore[arg-type]
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs = old.renamed("Model", kwargs)
        if _is_graph(args, kwargs):
            from nyala.models.functional import Functional

            if not isinstance(self, Functional):
                self.__class__ = _with_graph(type(self))
            Functional.__init__(self, *args, **kwargs)  # type: ignore[arg-type]
            return
        if args:
            check.fail(type(self), f"takes symbolic inputs and outputs, or keyword arguments; got {args!r}", TypeError)
        super().__init__(**kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that ``get_config`` described; a graph of layers whatever class is asked."""
        from nyala.models.graph_config import functional_from_config

        with custom_object_scope(custom_objects or {}):
            if {"layers", "input_layers", "output_layers"} <= config.keys():
                return functional_from_config(cls, config)
            return super().from_config(config)

    def call(self, *args: Any, **kwargs: Any) -> Nest:
        check.fail(self, f"class {type(self).__name__} defines no call(self, inputs)", NotImplementedError)

    def _defines_call(self) -> bool:
        return type(self).call is not Model.call

    def build(self, input_shape: Any = None) -> None:
        """Make all weights by an abstract call on inputs of this shape (a tuple with the batch axis, or a nest of them)."""
        if input_shape is None:
            return
        backend = self._own_backend or backends.current()
        make = lambda s: SymbolicTensor(s, self.input_dtype, backend=backend)  # noqa: E731
        self.built = True
        try:
            self.compute_output_spec(map_shapes(make, input_shape))
        except Exception as error:
            self.built = False
            error.add_note(f"while {check.who(self)} was built for inputs of shape {input_shape}")
            raise

    def _build_for(self, spec: Any, args: tuple[Any, ...], kwargs: dict[str, Any], backend: Any) -> None:
        try:
            super()._build_for(spec, args, kwargs, backend)
        except Exception:
            is_symbolic = any(isinstance(x, SymbolicTensor) for x in tree.flatten((args, kwargs)))
            if type(self).build is not Model.build or is_symbolic:
                raise
            # ``call`` may read values, which abstract tensors do not have: the call on the data makes the weights itself.
            self.built = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.built:
            return super().__call__(*args, **kwargs)
        try:
            return super().__call__(*args, **kwargs)
        except Exception:
            self.built = False
            raise

    # -- layers ------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The direct sub-layers, in the order of their attributes."""
        return self._layers

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The sub-layer of that name or position. Raises ValueError with the nearest names."""
        if (name is None) == (index is None):
            check.fail(self, "get_layer takes a name or an index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                check.fail(self, f"has {len(layers)} layers, there is no index {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        return check.fail(self, f"has no layer {name!r}.{check.nearest(name, [x.name for x in layers])}")

    def _graph(self) -> Any:
        """The model as a graph of layers, if it is one."""
        return self if hasattr(self, "_function") else None

    # -- backends ----------------------------------------------------------------------------------------------------

    def to_backend(self, name: str) -> Model:
        """Move the model with its optimizer and metrics to another backend; every value moves bit for bit."""
        for variable in self._all_variables():
            variable.move_to(name)
        point_to(self, backends.get(name))
        self._forget_steps()
        scope.python_state.changed()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        if self._graph() is None:
            return super().__deepcopy__(memo)  # type: ignore[return-value]
        with backends.backend_scope(self._find_backend()):
            new = memo[id(self)] = clone_model(self)
            # A layer that was quantized has its weights in another order than one made so.
            theirs = new.weights
            places = {v.path: v for v in theirs}
            if len(places) == len(theirs) and all(v.path in places for v in self.weights):
                theirs = [places[v.path] for v in self.weights]
            twin = {id(v): other for v, other in zip(self.weights, theirs)}
            for variable, other in zip(self.weights, theirs):
                other.assign(variable.numpy())
            if self._compiled:
                # The optimizer knows the variables that it was built with, so it is made anew rather than copied.
                others = {k: v for k, v in self._compile_args.items() if k != "optimizer"}
                optimizer = copied(self.optimizer)
                new.compile(optimizer, **copy.deepcopy(others, memo))
                if self.optimizer.built:
                    optimizer.build([twin[id(v)] for v in self.trainable_variables])
                    for mine, theirs in zip(optimizer.variables, self.optimizer.variables):
                        mine.assign(theirs.numpy())
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds the archive that ``save`` writes, and the user's own classes and functions by reference."""
        from nyala.saving.api import pickled

        return pickled(self)

    def quantize(self, mode: Any = None, config: Any = None, filters: Any = None, **kwargs: Any) -> None:
        """Store the weights of the Dense, EinsumDense and Embedding layers in few bits; see ``Layer.quantize``.

        Args:
            mode: ``"int8"``, ``"int4"`` or ``"float8"``. config: in place of it, a config of ``nyala.quantizers``; a ``GPTQConfig``
                or ``AWQConfig``, which look at data, quantize the Dense and EinsumDense layers of the model's blocks.
            filters: which layers: a regular expression for a part of the name, a list of them, or ``layer -> bool``.
            type_check: as for ``Layer.quantize``.

        Raises: ValueError when the model is not built, no layer can be quantized, or one is quantized already.
        """
        from nyala.layers import quantized

        type_check = kwargs.pop("type_check", True)
        check.no_extra(self, kwargs, ("mode", "config", "filters", "type_check"))
        self._check_built("quantize")
        quantized.quantize_below(self, mode, config, filters, type_check)
        self._forget_steps()

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, Any] | None:
        """To override: ``{"pre_block_layers": [...], "sequential_blocks": [...]}``; "gptq" and "awq" quantize the blocks."""
        return None

    # -- looking at it -----------------------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[..., Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | list[str] | None = None,
    ) -> None:
        """Print a table of the layers with output shapes and numbers of parameters.

        Args:
            line_length: columns of the table. positions: relative or absolute ends of the columns.
            print_fn: gets the text in place of standard output. expand_nested: show the layers of sub-models.
            show_trainable: add a column. layer_range: names (or patterns) of the first and last layer to show.
        """
        from nyala.models.summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    # -- files -------------------------------------------------------------------------------------------------------

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Write the whole model to ``filepath``."""
        from nyala.saving import save_model

        save_model(self, filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: Any = None, **kwargs: Any) -> None:
        """Write the weights to ``filepath``; see ``nyala.saving.save_weights``."""
        from nyala.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size, **kwargs)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> Any:
        """Read weights that ``save_weights`` of Nyala or Keras wrote; see ``nyala.saving.load_weights``."""
        from nyala.saving import load_weights

        return load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write the model's inference for other programs to run; see ``nyala.export.export_model``."""
        from nyala.export import export_model

        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON."""
        import json

        from nyala.base import configurable

        return json.dumps(configurable.serialize_object(self), **kwargs)


def point_to(whole: Layer, target: Any) -> None:
    """Let a layer with all below it compute on another backend, where its variables are already."""
    for layer in whole._flatten_layers():
        layer._own_backend = target
        graph = layer._graph() if isinstance(layer, Model) else None
        for part in [layer, graph] if graph is not None and graph is not layer else [layer]:
            part._own_backend = target
            for op in getattr(part, "operations", [part]):
                for node in op._call_nodes:
                    for x in (*node.inputs, *node.flat_outputs):
                        if isinstance(x, SymbolicTensor):
                            x.backend = target


def _is_graph(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if len(args) == 1 and "outputs" in kwargs:
        return True
    if len(args) in (2, 3):
        leaves = tree.flatten(args[0])
        return any(isinstance(x, SymbolicTensor) for x in leaves) or not leaves
    return "inputs" in kwargs and "outputs" in kwargs


_graph_classes: dict[type, type] = {}


def _with_graph(cls: type) -> type:
    """A user's class whose ``__init__`` gave inputs and outputs, with the graph's behaviour below its own."""
    from nyala.models.functional import Functional

    if cls not in _graph_classes:
        own = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        _graph_classes[cls] = type(cls.__name__, (cls, Functional), own)
    return _graph_classes[cls]


def clone_model(
    model: Model,
    input_tensors: Nest = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Model:
    """A model of the same architecture with new layers and newly drawn weights.

    Args:
        input_tensors: symbolic tensors to build on in place of new inputs.
        clone_function: ``layer -> new layer``; default from the layer's config (input layers are always made anew).
        call_function: ``(layer, *args, **kwargs) -> outputs`` in place of calling the new layer (Functional models).
        recursive: also clone the layers of sub-models by ``clone_function``.
    """
    from nyala.models.functional import Functional
    from nyala.models.sequential import Sequential

    def copy(layer: Layer) -> Layer:
        if recursive and isinstance(layer, (Functional, Sequential)):
            return clone_model(layer, clone_function=clone_function, call_function=call_function, recursive=True)
        if clone_function is not None:
            return clone_function(layer)
        return copied(layer)

    if isinstance(model, Sequential):
        new = Sequential(name=model.name)
        if input_tensors is not None:
            new.add(tree.flatten(input_tensors)[0], rebuild=False)
        for layer in model._stack if input_tensors is None else model.layers:
            new.add(copy(layer) if layer in model.layers else copied(layer), rebuild=False)
        new._maybe_rebuild()
        return new
    if isinstance(model, Functional):
        return _clone_graph(model, input_tensors, copy, call_function)
    if input_tensors is not None or call_function is not None:
        check.fail(model, "clone_model of a subclassed model takes no input_tensors or call_function")
    return copied(model)


def _clone_graph(
    model: Any, input_tensors: Nest, copy: Callable[[Layer], Layer], call: Callable[..., Any] | None
) -> Model:
    from nyala.layers.input import InputLayer

    function = model._function
    if input_tensors is None:
        fed = [
            InputLayer(batch_shape=x.shape, dtype=x.dtype, name=name).output
            for x, name in zip(model.inputs, model.input_names)
        ]
    else:
        fed = tree.flatten(input_tensors)
        if len(fed) != len(function.flat_inputs):
            check.fail(model, f"clone_model needs {len(function.flat_inputs)} input_tensors, got {len(fed)}")
    copies: dict[int, Any] = {}

    def run(operation: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(operation, OpCall):
            return operation(*args, **kwargs)
        if id(operation) not in copies:
            copies[id(operation)] = copy(operation)
        new = copies[id(operation)]
        return call(new, *args, **kwargs) if call is not None else new(*args, **kwargs)

    outputs = function.run(fed, run)
    inputs = tree.unflatten(tree.structure(function.inputs), fed)
    # The same class keeps a user's train_step; its constructor may want other arguments, so it is not called.
    new = object.__new__(type(model))
    blank = Layer.__new__(type(model))
    new.__dict__.update(blank.__dict__)
    from nyala.models.functional import Functional

    Functional.__init__(new, inputs, outputs, name=model.name)
    return new


__all__ = ["Model", "clone_model"]
