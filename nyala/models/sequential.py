"""A stack of layers, each fed with the output of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import backends
from nyala._typing import Config, Nest
from nyala.backends import host
from nyala.base import check, configurable, naming, old, tree
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._arguments import Call, dtype_of
from nyala.layers.base import Layer
from nyala.layers.core import Embedding
from nyala.layers.input import InputLayer
from nyala.models.functional import Functional
from nyala.models.model import Model


class Sequential(Model):
    """A model with one input and one output, made of layers in a row.

    Args:
        layers: layers, models or an ``Input`` first. Without a known input shape the weights are made at the first call.
        trainable: whether its layers are trained. name: default ``"sequential"``, ...
    """

    keras_module = "keras"
    _untracked = Model._untracked | {"_functional"}
    _reads_texts = False

    def __init__(self, layers: Sequence[Any] | Layer | None = None, trainable: bool = True, name: str | None = None):
        Layer.__init__(self, trainable=trainable, name=name)
        self.autocast = False
        self._stack: list[Layer] = []
        self._functional: Functional | None = None
        if layers is not None:
            for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
                self.add(layer, rebuild=False)
            self._maybe_rebuild()
        if not trainable:
            self.trainable = False

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer on top. The first may be an ``Input``."""
        if isinstance(layer, SymbolicTensor):
            if layer.node is None or not layer.node.is_input:
                check.fail(self, "a symbolic tensor can be added only if it comes from Input(...)")
            layer = layer.node.operation  # type: ignore[union-attr]
        if not isinstance(layer, Layer):
            if not callable(layer):
                check.fail(self, f"add takes a layer, got {layer!r} of type {type(layer).__name__}", TypeError)
            from nyala.layers import Lambda

            layer = Lambda(layer)
        if any(existing.name == layer.name for existing in self._stack):
            check.fail(self, f"has a layer called {layer.name!r} already; give each layer a name of its own")
        if isinstance(layer, InputLayer):
            if self._stack:
                check.fail(self, f"an Input must come first; the model has {len(self._stack)} layers already")
        elif not self._stack:
            shape = layer._input_shape_arg
            if (
                shape is None
                and isinstance(layer, (Functional, Sequential))
                and layer.built
                and layer._graph() is not None
            ):
                inputs = layer.inputs
                if len(inputs) == 1:
                    self._stack.append(InputLayer(batch_shape=inputs[0].shape, dtype=inputs[0].dtype))
            elif shape is not None:
                self._stack.append(InputLayer(batch_shape=shape, dtype=_input_dtype(layer)))
        self._stack.append(layer)
        if rebuild:
            self._maybe_rebuild()
        else:
            self.built = False
            self._functional = None

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the top layer away and return it."""
        if not self._stack or (len(self._stack) == 1 and isinstance(self._stack[0], InputLayer)):
            check.fail(self, "has no layers to pop")
        layer = self._stack.pop()
        self.built = False
        self._functional = None
        if rebuild:
            self._maybe_rebuild()
        return layer

    def _maybe_rebuild(self) -> None:
        self.built = False
        self._functional = None
        if len(self._stack) > 1 and isinstance(self._stack[0], InputLayer):
            self.build(self._stack[0].batch_shape)
        elif self._stack and _takes_several(self._stack[0]):
            self.build()
        elif len(self._stack) == 1 and not isinstance(self._stack[0], InputLayer) and self._stack[0].built:
            self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape (batch axis included)."""
        if not self._stack:
            check.fail(self, "has no layers; add one first")
        first = self._stack[0]
        if _takes_several(first):
            self._make_graph(first.input, self._stack)  # type: ignore[attr-defined]
            return
        if not isinstance(first, InputLayer):
            if input_shape is None and isinstance(first, Embedding):
                input_shape = (None, None)  # rows of indices, as Keras 1 and 2 took it
            if input_shape is None:
                check.fail(self, "its input shape is not known; give build(input_shape) or start with Input(shape=...)")
            if not isinstance(input_shape, (list, tuple)) or isinstance(
                input_shape[0] if input_shape else None, (list, tuple, dict)
            ):
                return
            first = InputLayer(
                batch_shape=(None, *input_shape[1:]), dtype="string" if self._reads_texts else _input_dtype(first)
            )
            with_input = [first, *self._stack]
        else:
            with_input = self._stack
        self._make_graph(first.output, with_input[1:])
        self._stack = list(with_input)

    def _make_graph(self, inputs: Nest, stack: list[Layer]) -> None:
        backend = self._own_backend or backends.current()
        with backends.backend_scope(backend):
            x = inputs
            for layer in stack:
                x = layer(x)
            self._functional = Functional(inputs, x, name=self.name)
        self._own_backend = backend

    def _build_for(self, spec: Call, args: tuple[Any, ...], kwargs: dict[str, Any], backend: Any) -> None:
        first = next((x for x in tree.flatten((args, kwargs)) if hasattr(x, "shape")), None)
        self._reads_texts = host.is_texts(first) or (first is not None and dtype_of(first, backend) == "string")
        super()._build_for(spec, args, kwargs, backend)

    def _after_build(self) -> None:
        if self._input_shape_arg is None and self._functional is not None:
            self._checked = None

    def call(self, inputs: Nest, training: bool | None = None, mask: Any = None) -> Nest:
        if self._functional is not None:
            return self._functional.call(inputs, training=training, mask=mask)
        x = inputs
        for layer in self._stack:
            if not isinstance(layer, InputLayer):
                x = layer(x)
        return x

    def _without_texts(self, inputs: Nest) -> Any:
        return super()._without_texts(inputs) if self._functional is None else self._functional._without_texts(inputs)

    @old.takes_old_loss
    def add_loss(self, loss: Any) -> None:
        """Add a loss to that of ``compile``, as ``Functional.add_loss`` does."""
        if any(isinstance(x, SymbolicTensor) for x in tree.flatten(loss)):
            self._need_graph("graph for a symbolic loss").add_loss(loss)
            self._forget_steps()
        else:
            super().add_loss(loss)

    def _bind_to_graph(self, given: Any) -> Any:
        return given if self._functional is None else self._functional._bind_to_graph(given)

    @property
    def _named_values(self) -> list[Any]:
        return [] if self._functional is None else self._functional._named_values

    @_named_values.setter
    def _named_values(self, values: list[Any]) -> None:
        if self._functional is not None:
            self._functional._named_values = values

    def _graph(self) -> Any:
        return self._functional

    model: Any = old.Attribute(lambda self: self)
    """Keras 1: the graph model inside."""

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input layer."""
        return [x for x in self._stack if not isinstance(x, InputLayer)]

    @property
    def _layers(self) -> list[Layer]:
        return list(self._stack)

    def _need_graph(self, what: str) -> Functional:
        if self._functional is None:
            raise AttributeError(
                f"{check.who(self)} has no {what} yet: its input shape is not known. Start it with Input(shape=...), "
                "build(input_shape) it or call it on data"
            )
        return self._functional

    @property
    def inputs(self) -> list[SymbolicTensor]:
        return self._need_graph("inputs").inputs

    @property
    def outputs(self) -> list[SymbolicTensor]:
        return self._need_graph("outputs").outputs

    @property
    def input(self) -> Nest:
        return self._need_graph("input").input

    @property
    def output(self) -> Nest:
        return self._need_graph("output").output

    @property
    def input_shape(self) -> Any:
        return self._need_graph("input_shape").input_shape

    @property
    def output_shape(self) -> Any:
        return self._need_graph("output_shape").output_shape

    @property
    def input_names(self) -> list[str]:
        return self._need_graph("input_names").input_names

    @property
    def output_names(self) -> list[str]:
        return self._need_graph("output_names").output_names

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: Any) -> Any:
        return self.layers[index]

    def __bool__(self) -> bool:
        return True

    def get_config(self) -> Config:
        config: Config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": configurable.serialize(self.dtype_policy),
            "layers": [configurable.serialize_object(x) for x in self._stack],
        }
        if self._functional is not None:
            config["build_input_shape"] = tuple(self._functional.inputs[0].shape)
        return config

    @classmethod
    def from_config(cls, config: Config, custom_objects: Any = None) -> Any:
        from nyala.base import registry

        with registry.custom_object_scope(custom_objects or {}):
            model = cls(name=config.get("name") or naming.unique("sequential"))
            for item in config["layers"]:
                model.add(configurable.deserialize(item, role="layer"), rebuild=False)
            model._maybe_rebuild()
            if not model.built and config.get("build_input_shape"):
                model.build(tuple(config["build_input_shape"]))
        if not config.get("trainable", True):
            model.trainable = False
        return model


def _input_dtype(layer: Layer) -> str | None:
    """Embeddings and their like read integers; Keras gives a first layer's input the layer's own input dtype."""
    return getattr(layer, "input_dtype", None)


def _takes_several(layer: Layer) -> bool:
    """Whether it is a model with a graph of several inputs, which then are the stack's."""
    return isinstance(layer, (Functional, Sequential)) and layer._graph() is not None and len(layer.inputs) > 1
