"""ExportArchive: a SavedModel with the endpoints that one chooses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nyala import backends
from nyala._typing import Nest
from nyala.backends.formats import SAVED_MODEL
from nyala.backends.savedmodel import Archive
from nyala.base import check, tracking
from nyala.base.variable import Variable
from nyala.export.files import in_place
from nyala.export.moving import able, moved
from nyala.export.signature import signature_of, standardize
from nyala.layers.base import Layer


class ExportArchive:
    """Endpoints, each a function with an input signature, to be written as a SavedModel for TensorFlow Serving and others.

    Endpoints of models on jax are converted by jax2tf; those of models on torch are traced on tensorflow, so what they call
    must be tracked and must run there.

    Args: format: "saved_model", the only one.

    Attributes: variables, trainable_variables, non_trainable_variables: of what is tracked.
    """

    def __init__(self, format: str = "saved_model"):
        check.one_of(self, "format", format, ("saved_model",))
        self._archive = Archive()
        self._layers: list[Layer] = []
        self._names: list[str] = []
        self._resources = 0

    # -- what there is to export -------------------------------------------------------------------------------------

    def track(self, resource: Any) -> None:
        """Have the variables of a built layer or model written, or a resource of TensorFlow's own (a lookup table)."""
        if isinstance(resource, Layer):
            if not resource.built:
                check.fail(self, f"{check.who(resource)} is not built yet: call it on data or use build(input_shape)")
            if not any(resource is known for known in self._layers):
                self._layers.append(resource)
        elif self._archive.is_resource(resource):
            self._archive.hold(f"_resource_{self._resources}", resource)
            self._resources += 1
        else:
            check.fail(self, f"track takes a layer, a model or a resource of TensorFlow, got {type(resource).__name__}")

    @property
    def variables(self) -> list[Variable]:
        return tracking.unique([v for layer in self._layers for v in layer._states()])

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if not v.trainable]

    # -- endpoints ---------------------------------------------------------------------------------------------------

    def add_endpoint(self, name: str, fn: Callable[..., Nest], input_signature: Nest = None, **kwargs: Any) -> Any:
        """Make ``fn`` an endpoint; returns the ``tf.function`` that runs it.

        Args:
            name: a Python identifier, under which what is loaded has it.
            fn: a function of tensors; or a ``tf.function`` that has been called, which needs no signature.
            input_signature: a list with an entry for each argument: an ``InputSpec``, ``tf.TensorSpec``, symbolic tensor or
                array, or a nest of them.
            kwargs: on jax ``is_static`` (drop what ``fn`` assigns) and ``jax2tf_kwargs``.
        """
        if name in self._names:
            check.fail(self, f"there is an endpoint {name!r} already; give this one another name")
        if not name.isidentifier() or name.startswith("_"):
            check.fail(self, f"an endpoint's name is a Python identifier without a leading underscore, got {name!r}")
        if input_signature is None:
            if not self._archive.is_traced(fn):
                check.fail(
                    self,
                    f"endpoint {name!r} needs an input_signature, such as [InputSpec(shape=(None, 3), dtype='float32')]; only a "
                    "tf.function that has been called needs none",
                )
            check.no_extra("add_endpoint", kwargs)
            function: Any = fn
        else:
            owner = getattr(fn, "__self__", fn)
            layers = [*self._layers, *([owner] if isinstance(owner, Layer) else [])]
            backend = layers[-1]._find_backend() if layers else backends.current()
            signature = standardize(self, input_signature)
            if SAVED_MODEL in backend.export_formats:
                function = backend.endpoint(fn, signature, self._archive, kwargs)
            else:
                if not layers:
                    check.fail(
                        self, f"track the layers on {backend.name} that endpoint {name!r} calls before it is added"
                    )
                target = able(SAVED_MODEL, layers[-1])
                function = target.endpoint(self._elsewhere(fn, layers, target), signature, self._archive, kwargs)
        self._archive.add(name, function)
        self._names.append(name)
        return function

    def _elsewhere(self, fn: Callable[..., Nest], layers: list[Layer], target: Any) -> Callable[..., Nest]:
        """``fn``, to be traced whenever TensorFlow likes, with the layers moved while it is."""
        for layer in layers:
            for variable in layer._states():
                self._archive.storage(variable)

        def run(*args: Any) -> Nest:
            with moved(layers, target, self._archive.storage):
                return fn(*args)

        return run

    def track_and_add_endpoint(self, name: str, resource: Any, input_signature: Nest = None, **kwargs: Any) -> Any:
        """``track`` a layer or model and make its call an endpoint."""
        self.track(resource)
        if input_signature is None:
            input_signature = signature_of(resource)
        return self.add_endpoint(name, resource.__call__, input_signature, **kwargs)

    def add_variable_collection(self, name: str, variables: Iterable[Variable]) -> None:
        """Have these variables as a list under that name in what is loaded."""
        if not isinstance(variables, (list, tuple, set)) or not all(isinstance(v, Variable) for v in variables):
            check.fail(self, f"variables must be a list, tuple or set of variables, got {variables!r}")
        self._archive.hold(name, list(variables))

    # -- writing -----------------------------------------------------------------------------------------------------

    def write_out(self, filepath: str | os.PathLike[str], options: Any = None, verbose: bool = True) -> None:
        """Write the SavedModel. The first endpoint is "serving_default", too, unless there is one of that name.

        Args: filepath: a folder. options: ``tf.saved_model.SaveOptions``. verbose: print the endpoints.
        """
        if not self._names:
            check.fail(self, "has no endpoint yet: call add_endpoint or track_and_add_endpoint")
        for name in ("variables", "trainable_variables", "non_trainable_variables"):
            self._archive.hold(name, getattr(self, name))
        path = os.fspath(filepath)
        if "://" in path:
            self._archive.write(path, options)
        else:
            with in_place(Path(path)) as new:
                self._archive.write(str(new), options)
        if verbose:
            print(f"Exported to {path}\n" + "\n".join(f"  {line}" for line in self._archive.describe()))  # noqa: T201


__all__ = ["ExportArchive"]
