"""Distiller: a model that trains a student by its teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from nyala import backends, metrics, ops
from nyala._typing import Config, Nest, Tensor
from nyala.base import check, configurable, registry, tree
from nyala.distillation.losses import DistillationLoss
from nyala.models import Functional, Model


class Distiller(Model):
    """Trains ``student``: w loss(y, student(x)) + (1 - w) sum of w_i distillation_loss_i(teacher(x), student(x)).

    The teacher is frozen, and runs as in inference. Calling the distiller calls the student.

    Args:
        teacher, student: models. distillation_losses: one or several.
        distillation_loss_weights: the w_i, one a loss; default 1.
        student_loss_weight: w in [0, 1]; with 0, ``compile`` needs no loss.

    Metrics: beside those of ``compile``, "student_loss", "distillation_loss" and "total_loss".
    """

    keras_module = "keras.distillation"
    config_order = ("name", "trainable", "dtype")

    def __init__(
        self,
        teacher: Any,
        student: Any,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss],
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        for role, model in (("teacher", teacher), ("student", student)):
            if not isinstance(model, Model):
                check.fail(self, f"{role} must be a model, got {type(model).__name__}")
        one = not isinstance(distillation_losses, (list, tuple))
        self.distillation_losses: list[Any] = [distillation_losses] if one else list(distillation_losses)
        for loss in self.distillation_losses:
            if not isinstance(loss, DistillationLoss):
                check.fail(self, f"distillation_losses must be DistillationLoss objects, got {type(loss).__name__}")
        n = len(self.distillation_losses)
        weights = [1.0] * n if distillation_loss_weights is None else list(distillation_loss_weights)
        if not n or len(weights) != n:
            check.fail(
                self, f"needs one or more distillation_losses and a weight for each, got {n} and {len(weights)} weights"
            )
        self.distillation_loss_weights = weights
        self.student_loss_weight = check.number_in(self, "student_loss_weight", student_loss_weight, 0.0, 1.0)
        self.teacher, self.student = teacher, student
        teacher.trainable = False
        for loss in self.distillation_losses:
            loss.validate_model_compatibility(teacher, student)
        self.student_loss_tracker = metrics.Mean(name="student_loss")
        self.distillation_loss_tracker = metrics.Mean(name="distillation_loss")
        self.total_loss_tracker = metrics.Mean(name="total_loss")
        self._seen: list[Nest] | None = None
        self._views: dict[str, Any] = {}

    _untracked = Model._untracked | {"_seen", "_views", "distillation_losses"}

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:
        """As ``Model.compile``; ``loss`` is that of the student's outputs and the labels."""
        if loss is None and self.student_loss_weight > 0:
            check.fail(self, "compile needs the student's loss, or a student_loss_weight of 0")
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    # -- forward -----------------------------------------------------------------------------------------------------

    def call(self, inputs: Nest, training: bool | None = None) -> Nest:
        if self._seen is None:
            return self.student(inputs, training=training)
        self._seen += self._look("student", inputs, training)
        return self._seen[0]

    def build(self, input_shape: Any = None) -> None:
        """Build what is not built yet."""
        for model in (self.teacher, self.student):
            if not model.built:
                model.build(input_shape)

    def _look(self, who: str, inputs: Nest, training: bool | None) -> list[Nest]:
        """The outputs of a model, then for each distillation loss what it compares, by one run."""
        model = getattr(self, who)
        names = [getattr(loss, f"{who}_layer_name", None) for loss in self.distillation_losses]
        if all(name is None for name in names):
            outputs = model(inputs, training=training)
            return [outputs] * (1 + len(names))
        if who not in self._views:
            graph = model._graph() if model.built else None
            if graph is None:
                check.fail(
                    self,
                    f"the layers of the {who} {check.who(model)} have no outputs to be named: it is no graph of layers",
                )
            found = [graph.output if name is None else _output(graph, model.get_layer(name)) for name in names]
            self._views[who] = Functional(graph.input, [graph.output, *found])
        return self._views[who](inputs, training=training)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _train_once(self, data: Any, want_logs: bool) -> tuple[Tensor, Any]:
        with self._watched():
            return super()._train_once(data, want_logs)

    def _test_once(self, data: Any, want_logs: bool) -> tuple[Tensor, Any]:
        with self._watched():
            return super()._test_once(data, want_logs)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Within it ``call`` keeps what the losses compare, so that the student runs once a step."""
        self._seen = []
        try:
            yield
        finally:
            self._seen = None

    def compute_loss(
        self, x: Nest = None, y: Nest = None, y_pred: Nest = None, sample_weight: Nest = None, training: bool = True
    ) -> Tensor:
        """The loss of a batch, see the class; the regularization losses of the student are added."""
        theirs = self._look("teacher", x, False)[1:]
        ours = (self._seen or self._look("student", x, training))[1:]
        distance = regularization = ops.zeros(())
        for weight, loss, t, s in zip(self.distillation_loss_weights, self.distillation_losses, theirs, ours):
            loss.validate_outputs(t, s)
            distance = distance + weight * loss.compute_loss(t, s)
        for value in self._losses_for(self._trained_weights()):
            regularization = regularization + ops.sum(ops.cast(value, "float32"))
        share = backends.current().share()
        part = self.student_loss_weight
        total = ((1 - part) * distance + regularization) * share
        count = ops.shape(tree.flatten(x)[0])[0]
        if self._compile_loss is not None:
            own = self._compile_loss(y, y_pred, sample_weight)
            total = total + part * own
            self.student_loss_tracker.add_mean(own / share, count)
        self.distillation_loss_tracker.add_mean(distance, count)
        self.total_loss_tracker.add_mean(total / share, count)
        return total

    # -- config ------------------------------------------------------------------------------------------------------

    @classmethod
    def from_config(cls, config: Config, custom_objects: Any = None) -> Self:
        with registry.custom_object_scope(custom_objects or {}):
            return cls(**{k: configurable.deserialize(v) for k, v in config.items()})


def _output(graph: Functional, layer: Any) -> Nest:
    """What a layer gives within the graph."""
    return next(node.outputs for node in graph._function.nodes if node.operation is layer)


registry.add("distillation", Distiller)

__all__ = ["Distiller"]
