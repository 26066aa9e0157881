"""Models with fewer weights: pruned by magnitude while they are trained, by the names of TensorFlow's optimization toolkit.

model = pruning.prune_low_magnitude(model, pruning_schedule=pruning.PolynomialDecay(0.0, 0.8, 0, 1000))
model.compile(...); model.fit(...)
model = pruning.strip_pruning(model)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nyala.base import check, registry
from nyala.layers.base import Layer
from nyala.layers.pruning import ConstantSparsity, PolynomialDecay, PruneLowMagnitude, PruningSchedule, prunable
from nyala.models.functional import Functional
from nyala.models.model import Model, clone_model
from nyala.models.sequential import Sequential
from nyala.training.callbacks import Callback
from nyala.training.callbacks.tensorboard import EventWriter


def prune_low_magnitude(
    to_prune: Any,
    pruning_schedule: Any = None,
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    sparsity_m_by_n: tuple[int, int] | None = None,
    **kwargs: Any,
) -> Any:
    """The layer, list of layers or Functional or Sequential model with its weights pruned during training.

    The layers inside stay the same objects: training the pruned model trains them. Args: see ``PruneLowMagnitude``.

    Raises: ValueError for a model or layer that has nothing to prune, or is a subclass of Model.
    """
    arguments = (pruning_schedule, block_size, block_pooling_type, sparsity_m_by_n)

    def wrapped(layer: Layer) -> Layer:
        if isinstance(layer, (Functional, Sequential)):
            return _rebuilt(layer, wrapped)
        if isinstance(layer, PruneLowMagnitude) or not prunable(layer):
            return layer
        return PruneLowMagnitude(layer, *arguments, **kwargs)

    if isinstance(to_prune, (list, tuple)):
        return [wrapped(layer) for layer in to_prune]
    if isinstance(to_prune, Model):
        if not isinstance(to_prune, (Functional, Sequential)):
            check.fail(
                to_prune, "only Functional and Sequential models can be pruned as a whole; prune the layers of this one"
            )
        if not any(prunable(layer) for layer in to_prune._flatten_layers()):
            check.fail(to_prune, "has no layer with weights to prune")
        return wrapped(to_prune)
    return PruneLowMagnitude(to_prune, *arguments, **kwargs)


def strip_pruning(model: Model) -> Model:
    """The model that was pruned without what pruned it, with its weights: those at 0 are 0."""

    def plain(layer: Layer) -> Layer:
        if isinstance(layer, (Functional, Sequential)):
            return _rebuilt(layer, plain)
        if not isinstance(layer, PruneLowMagnitude):
            return layer
        if layer.built:
            for weight, mask in zip(layer._weights_to_prune(), layer.masks):
                weight.assign(weight.numpy() * mask.numpy())
                weight.constraint = weight.constraint.before
        return layer.layer

    if not isinstance(model, (Functional, Sequential)):
        check.fail(model, "strip_pruning takes a Functional or Sequential model", TypeError)
    return _rebuilt(model, plain)


def _rebuilt(model: Any, change: Any) -> Any:
    return clone_model(model, clone_function=change)


class UpdatePruningStep(Callback):
    """Lets pruning go on where the optimizer is: of use when a model that was trained before is pruned.

    Masks are made by the training step itself; a model is pruned without this callback, too.
    """

    def on_train_begin(self, logs: Any = None) -> None:
        done = int(self.model.optimizer.iterations)
        for layer in _pruned(self.model):
            layer.pruning_step.assign(done)


class PruningSummaries(Callback):
    """Writes how sparse each pruned weight is for TensorBoard to show, after each epoch.

    Args: log_dir: the folder. update_freq: ``"epoch"``.
    """

    def __init__(self, log_dir: Any, update_freq: str = "epoch", **kwargs: Any):
        super().__init__()
        check.no_extra(self, kwargs, ("log_dir", "update_freq"))
        self.log_dir, self.update_freq = log_dir, check.one_of(self, "update_freq", update_freq, ("epoch",))
        self._writer: EventWriter | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._writer = self._writer or EventWriter(self.log_dir)
        masks = [mask for layer in _pruned(self.model) for mask in layer.masks]
        self._writer.scalars({f"{mask.path}/sparsity": 1 - mask.numpy().mean() for mask in masks}, epoch)

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _pruned(model: Any) -> list[PruneLowMagnitude]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, PruneLowMagnitude) and layer.built]


def report(model: Model, *data: Any, **kwargs: Any) -> dict[str, Any]:
    """Sizes of a model's weights, and with ``data`` what ``model.evaluate(*data, **kwargs)`` says of it.

    Returns: ``parameters``, ``zeros``, ``sparsity`` (their quotient), ``bytes`` as they are stored, ``compressed_bytes`` by zlib,
    ``layers``: the sparsity of each weight with more than one axis, and ``metrics``.
    """
    masks = {id(v) for layer in _pruned(model) for v in (*layer.masks, layer.pruning_step)}
    values = {v.path: v.numpy() for v in model.weights if id(v) not in masks}
    total, zeros = sum(v.size for v in values.values()), sum(int(v.size - np.count_nonzero(v)) for v in values.values())
    found: dict[str, Any] = {
        "parameters": total,
        "zeros": zeros,
        "sparsity": zeros / max(1, total),
        "bytes": sum(v.nbytes for v in values.values()),
        "compressed_bytes": sum(len(zlib.compress(v.tobytes())) for v in values.values()),
        "layers": {k: float(1 - np.count_nonzero(v) / v.size) for k, v in values.items() if v.ndim > 1},
    }
    if data:
        found["metrics"] = model.evaluate(*data, **{"verbose": 0, "return_dict": True, **kwargs})
    return found


@contextmanager
def prune_scope() -> Iterator[None]:
    """Names that files of pruned models hold are known inside the ``with`` block; Nyala knows them anyway."""
    with registry.custom_object_scope({"PruneLowMagnitude": PruneLowMagnitude}):
        yield


__all__ = [
    "ConstantSparsity",
    "PolynomialDecay",
    "PruneLowMagnitude",
    "PruningSchedule",
    "PruningSummaries",
    "UpdatePruningStep",
    "prune_low_magnitude",
    "prune_scope",
    "report",
    "strip_pruning",
]
