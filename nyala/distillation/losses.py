"""How far a student is from its teacher: by their outputs, or by what is inside."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, Self

from nyala import losses, ops
from nyala._typing import Config, Nest, Tensor
from nyala.base import check, tree
from nyala.base.configurable import Configurable
from nyala.losses.base import serialize_with_functions

_OF_DISTRIBUTIONS = (losses.kl_divergence, losses.categorical_crossentropy)


class DistillationLoss(Configurable):
    """Base of distillation losses: subclass it and define ``compute_loss``."""

    role = "distillation"
    keras_module = "keras.distillation"
    teacher_layer_name: str | None = None
    """The layer whose output stands for the teacher; ``None``: the model's outputs."""
    student_layer_name: str | None = None

    def compute_loss(self, teacher_outputs: Nest, student_outputs: Nest, **kwargs: Any) -> Tensor:
        """The loss of a batch, a scalar."""
        check.fail(
            type(self), "has no method compute_loss(self, teacher_outputs, student_outputs)", NotImplementedError
        )

    def validate_outputs(self, teacher_outputs: Nest, student_outputs: Nest) -> None:
        """Raise ValueError for outputs that cannot be compared. Here: unless they are nested alike."""
        ours, theirs = tree.structure(student_outputs), tree.structure(teacher_outputs)
        if ours != theirs:
            check.fail(type(self), f"the teacher gives {theirs} and the student {ours}; they must be nested alike")

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Raise ValueError for models that cannot be compared. Here none is."""


class _ByLosses(DistillationLoss):
    """A distillation loss that is the sum of one loss an output.

    Args: loss: a name, function or ``Loss`` for all outputs, or a nest of them like the outputs; ``None`` leaves one out.
    """

    loss: Any

    def _take(self, given: Any) -> Any:
        found = _map(losses.get, given)
        if all(one is None for one in tree.flatten(found)):
            check.fail(type(self), "loss must hold at least one that is not None")
        return found

    def compute_loss(self, teacher_outputs: Nest, student_outputs: Nest, **kwargs: Any) -> Tensor:
        check.no_extra(type(self), kwargs)
        self.validate_outputs(teacher_outputs, student_outputs)
        parts = [
            ops.mean(self._distance(loss, ops.stop_gradient(t), s))
            for loss, t, s in zip(
                self._each(student_outputs), tree.flatten(teacher_outputs), tree.flatten(student_outputs)
            )
            if loss is not None
        ]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _each(self, outputs: Nest) -> list[Any]:
        n = len(tree.flatten(outputs))
        if not _nested(self.loss):
            return [self.loss] * n
        each = tree.flatten(self.loss)
        if len(each) != n:
            check.fail(type(self), f"loss has {len(each)} entries for {n} outputs")
        return each

    def validate_outputs(self, teacher_outputs: Nest, student_outputs: Nest) -> None:
        super().validate_outputs(teacher_outputs, student_outputs)
        self._validate_shapes(teacher_outputs, student_outputs)

    def _validate_shapes(self, teacher_outputs: Nest, student_outputs: Nest) -> None:
        """Losses of ours compare element by element; a user's may do as it likes."""
        pairs = zip(self._each(student_outputs), tree.flatten(teacher_outputs), tree.flatten(student_outputs))
        for loss, t, s in pairs:
            kind = getattr(loss, "fn", loss)
            if loss is None or not getattr(kind, "__module__", type(kind).__module__).startswith("nyala."):
                continue
            shapes = tuple(t.shape), tuple(s.shape)
            if len(shapes[0]) != len(shapes[1]) or any(
                a != b for a, b in zip(*shapes) if a is not None and b is not None
            ):
                check.fail(
                    type(self),
                    f"the teacher gives shape {shapes[0]} and the student {shapes[1]}; they must be equal. Put a layer into the "
                    "student that brings it to the teacher's size",
                )

    def _distance(self, loss: Any, teacher: Tensor, student: Tensor) -> Tensor:
        return loss(teacher, student)

    def config_value(self, name: str) -> Any:
        if name != "loss":
            return super().config_value(name)
        return _map(serialize_with_functions, self.loss)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**{**config, "loss": _map(losses.deserialize, config["loss"])})


def _nested(x: Any) -> bool:
    return isinstance(x, (list, tuple, dict)) and not (isinstance(x, dict) and "class_name" in x)


def _map(fn: Callable[[Any], Any], given: Any) -> Any:
    """``fn`` of each loss in a nest; configs are losses, ``None`` stays."""
    if isinstance(given, dict) and _nested(given):
        return {k: _map(fn, v) for k, v in given.items()}
    if isinstance(given, (list, tuple)):
        return type(given)(_map(fn, v) for v in given)
    return None if given is None else fn(given)


class LogitsDistillation(_ByLosses):
    """What the student's logits s miss of the teacher's t, at a temperature T that softens both.

    For the losses of distributions, KL divergence and categorical cross-entropy, T^2 loss(softmax(t / T), softmax(s / T)), see
    https://arxiv.org/abs/1503.02531 ; for others loss(t / T, s / T).

    Args: temperature: T > 0, 1 leaves the logits as they are. loss: see ``_ByLosses``.
    """

    def __init__(self, temperature: float = 3.0, loss: Any = "kl_divergence"):
        if not isinstance(temperature, numbers.Real) or isinstance(temperature, bool) or temperature <= 0:
            check.fail(type(self), f"temperature must be a number above 0, got {temperature!r}")
        self.temperature = temperature
        self.loss = self._take(loss)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        _compare_outputs(self, teacher, student)

    def _distance(self, loss: Any, teacher: Tensor, student: Tensor) -> Tensor:
        t = float(self.temperature)
        teacher, student = teacher / t, student / t
        if getattr(loss, "fn", loss) not in _OF_DISTRIBUTIONS:
            return loss(teacher, student)
        if not getattr(loss, "from_logits", False):
            student = ops.softmax(student)
        return loss(ops.softmax(teacher), student) * (t * t)


class FeatureDistillation(_ByLosses):
    """What a layer's output in the student misses of one in the teacher: loss(teacher's, student's).

    Args:
        loss: see ``_ByLosses``.
        teacher_layer_name, student_layer_name: the layers; ``None``: the outputs of the models.
    """

    def __init__(self, loss: Any = "mse", teacher_layer_name: str | None = None, student_layer_name: str | None = None):
        self.loss = self._take(loss)
        self.teacher_layer_name, self.student_layer_name = teacher_layer_name, student_layer_name

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Raises ValueError for a layer that is not there."""
        for model, name in ((teacher, self.teacher_layer_name), (student, self.student_layer_name)):
            if name is not None:
                model.get_layer(name)
        if self.teacher_layer_name is self.student_layer_name is None:
            _compare_outputs(self, teacher, student)


def _compare_outputs(loss: _ByLosses, teacher: Any, student: Any) -> None:
    """Where both are graphs, their outputs."""
    graphs: list[Any] = [model._graph() if model.built else None for model in (teacher, student)]
    if None not in graphs:
        loss.validate_outputs(*(g.output for g in graphs))


__all__ = ["DistillationLoss", "FeatureDistillation", "LogitsDistillation"]
