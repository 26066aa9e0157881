"""The losses and metrics of ``compile``, matched with a model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from nyala import backends, ops
from nyala import losses as losses_
from nyala import metrics as metrics_
from nyala._typing import Nest, Tensor
from nyala.base import check, masks, tree


class Outputs:
    """A model's outputs in a row, each with a name and the key by which a user may give its loss."""

    def __init__(self, y_pred: Nest, names: list[str] | None):
        self.nested = isinstance(y_pred, (list, tuple, dict))
        paths = tree.paths(y_pred) if self.nested else [()]
        self.keys = [path[0] if len(path) == 1 else path for path in paths]
        if names is not None and len(names) == len(paths):
            self.names = list(names)
        else:
            self.names = []
        if isinstance(y_pred, dict):
            self.names = ["_".join(map(str, path)) for path in paths]
        elif not self.names:
            self.names = [f"output_{i + 1}" for i in range(len(paths))]
        self.names = [n if self.names.index(n) == i else f"{n}_{i}" for i, n in enumerate(self.names)]

    def __len__(self) -> int:
        return len(self.names)

    def match(self, given: Any, what: str, *, leaf: Callable[[Any], bool]) -> list[Any]:
        """One entry an output from a dict by name or key, a list in order, or one value for all.

        Raises ValueError for unknown keys and wrong lengths.
        """
        if given is None or leaf(given):
            return [given] * len(self)
        if isinstance(given, Mapping):
            unknown = [k for k in given if k not in self.names and k not in self.keys]
            if unknown:
                check.fail(
                    "compile",
                    f"{what} has the key {unknown[0]!r}, but the outputs are {self.names}.{check.nearest(unknown[0], self.names)}",
                )
            return [given.get(name, given.get(key)) for name, key in zip(self.names, self.keys)]
        given = list(given)
        if len(given) != len(self):
            check.fail("compile", f"{what} has {len(given)} entries for {len(self)} outputs {self.names}")
        return given

    def flatten(self, nest: Nest, what: str) -> list[Any]:
        """``y`` or sample weights, one entry an output; ``None`` where there is none."""
        if nest is None:
            return [None] * len(self)
        if isinstance(nest, Mapping):
            found = [nest.get(name, nest.get(key)) for name, key in zip(self.names, self.keys)]
            if all(v is None for v in found) and len(nest) == len(self) == 1:
                found = list(nest.values())
            if all(v is None for v in found):
                check.fail("fit", f"{what} is a dict with the keys {list(nest)}, but the outputs are {self.names}")
            return found
        if isinstance(nest, (list, tuple)):
            flat = tree.flatten(nest)
            if len(flat) == len(self):
                return flat
            check.fail("fit", f"{what} holds {len(flat)} tensors, but the model has {len(self)} outputs: {self.names}")
        if len(self) > 1:
            return (
                [nest] * len(self)
                if what == "sample_weight"
                else check.fail(
                    "fit",
                    f"{what} is one tensor, but the model has {len(self)} outputs {self.names}; give a list or a dict",
                )
            )
        return [nest]


def _is_loss(x: Any) -> bool:
    return isinstance(x, str) or (callable(x) and not isinstance(x, (list, tuple, dict))) or _is_config(x)


def _is_config(x: Any) -> bool:
    return isinstance(x, Mapping) and "class_name" in x


class CompileLoss:
    """The total loss: the weighted sum of one loss an output.

    Args:
        loss: a name, function or ``Loss`` for all outputs, or a list or dict of them; ``None`` entries are left out.
        loss_weights: numbers in the same form. output_names: of a Functional model.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, output_names: list[str] | None = None):
        self.loss = loss
        self.loss_weights = loss_weights
        self.output_names = output_names
        self.built = False
        self.fns: list[Any] = []
        self.weights: list[float | None] = []
        self.trackers: list[Any] = []

    def build(self, y_true: Nest, y_pred: Nest) -> None:
        self.outputs = Outputs(y_pred, self.output_names)
        given = self.outputs.match(self.loss, "loss", leaf=_is_loss)
        self.weights = self.outputs.match(self.loss_weights, "loss_weights", leaf=lambda w: isinstance(w, (int, float)))
        targets = self.outputs.flatten(y_true, "y")
        self.fns = [
            None if one is None else _loss(one, y, p) for one, y, p in zip(given, targets, tree.flatten(y_pred))
        ]
        if all(fn is None for fn in self.fns):
            check.fail("compile", f"loss={self.loss!r} gives no output of {self.outputs.names} a loss")
        if sum(fn is not None for fn in self.fns) > 1:
            self.trackers = [
                None if fn is None else metrics_.Mean(name=f"{name}_loss")
                for fn, name in zip(self.fns, self.outputs.names)
            ]
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        return [t for t in self.trackers if t is not None]

    def __call__(self, y_true: Nest, y_pred: Nest, sample_weight: Nest = None) -> Tensor:
        if not self.built:
            self.build(y_true, y_pred)
        targets = self.outputs.flatten(y_true, "y")
        weights = self.outputs.flatten(sample_weight, "sample_weight")
        total = None
        for i, (fn, y, p, w) in enumerate(zip(self.fns, targets, tree.flatten(y_pred), weights)):
            if fn is None:
                continue
            if y is None:
                check.fail("fit", f"output `{self.outputs.names[i]}` has a loss but no target in y")
            value = fn(y, p, w)
            if len(value.shape):  # reduction="none": what is trained on is the mean
                value = ops.mean(value)
            if self.trackers:
                whole = value / backends.current().share()
                self.trackers[i].update_state(whole, sample_weight=ops.shape(tree.flatten(p)[0])[0])
            if self.weights[i] is not None:
                value = value * self.weights[i]
            total = value if total is None else total + value
        return total


def _loss(given: Any, y_true: Any, y_pred: Any) -> Any:
    if given in ("crossentropy", "ce"):
        given = metrics_.resolve_crossentropy(tuple(y_true.shape), tuple(y_pred.shape)).__name__
    fn = losses_.get(given)
    return fn if isinstance(fn, losses_.Loss) else losses_.LossFunctionWrapper(fn, name=getattr(fn, "__name__", None))


def _is_metric(x: Any) -> bool:
    return _is_loss(x)


class CompileMetrics(metrics_.Metric):
    """The metrics of ``compile``, to a ``train_step`` as one metric: lists, or lists and dicts of them by output; those of
    ``weighted`` see sample weights.
    """

    def __init__(self, metrics: Any, weighted: Any, output_names: list[str] | None = None):
        self.given = metrics
        self.weighted = weighted
        self.output_names = output_names
        super().__init__(name="compile_metrics")
        self._made = True
        self.built = False
        self.rows: list[tuple[int, Any, bool, str]] = []

    def __bool__(self) -> bool:
        return bool(self.given or self.weighted)

    def build(self, y_true: Nest, y_pred: Nest) -> None:
        self.outputs = Outputs(y_pred, self.output_names)
        targets, predictions = self.outputs.flatten(y_true, "y"), tree.flatten(y_pred)
        many = len(self.outputs) > 1
        used: dict[str, int] = {}
        for given, weighted in ((self.given, False), (self.weighted, True)):
            for i, group in enumerate(self._groups(given, "weighted_metrics" if weighted else "metrics")):
                for one in group:
                    metric = _metric(one, targets[i], predictions[i])
                    name = f"{self.outputs.names[i]}_{metric.name}" if many else metric.name
                    used[name] = used.get(name, 0) + 1
                    if used[name] > 1:
                        name = f"{name}_{used[name] - 1}"
                    self.rows.append((i, metric, weighted, name))
        self.built = True

    def _groups(self, given: Any, what: str) -> list[list[Any]]:
        """For each output its metrics."""
        if given is None:
            return [[]] * len(self.outputs)
        if _is_metric(given):
            given = [given]
        flat = isinstance(given, (list, tuple)) and all(m is None or _is_metric(m) for m in given)
        if flat and (len(self.outputs) == 1 or len(given) != len(self.outputs)):
            return [[m for m in given if m is not None] for _ in range(len(self.outputs))]
        groups = self.outputs.match(given, what, leaf=_is_metric)
        return [[] if g is None else [g] if _is_metric(g) else [m for m in g if m is not None] for g in groups]

    @property
    def metrics(self) -> list[Any]:
        return list({id(m): m for _, m, _, _ in self.rows}.values())

    @property
    def variables(self) -> list[Any]:
        return [v for m in self.metrics for v in m.variables]

    def reset_state(self) -> None:
        for m in self.metrics:
            m.reset_state()

    def to_backend(self, backend: Any) -> Self:
        self._backend = backends.get(backend)
        for m in self.metrics:
            m.to_backend(backend)
        return self

    def update_state(self, y_true: Nest, y_pred: Nest, sample_weight: Nest = None) -> None:
        if not self.built:
            self.build(y_true, y_pred)
        if not self.rows:
            return
        targets = self.outputs.flatten(y_true, "y")
        predictions = tree.flatten(y_pred)
        weights = self.outputs.flatten(sample_weight, "sample_weight")
        for i, metric, weighted, _ in self.rows:
            y, p = targets[i], predictions[i]
            if y is None:
                continue
            if metric.takes_columns and len(y.shape) == 1 and len(p.shape) == 2:
                y = ops.expand_dims(y, -1)
            weight = weights[i] if weighted else None
            mask = masks.get_mask(p)
            if mask is not None:
                weight = ops.cast(mask, "float32") if weight is None else _times(weight, mask)
            if weight is None:
                metric.update_state(y, p)
            else:
                metric.update_state(y, p, sample_weight=weight)

    def result(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _, metric, _, name in self.rows:
            value = metric.result()
            values.update(value if isinstance(value, dict) else {name: value})
        return values


def _times(weight: Tensor, mask: Tensor) -> Tensor:
    mask = ops.cast(mask, "float32")
    while len(weight.shape) < len(mask.shape):
        weight = ops.expand_dims(weight, -1)
    return ops.multiply(weight, mask)


def _metric(given: Any, y_true: Any, y_pred: Any) -> Any:
    name = given if isinstance(given, str) else None
    if name in ("accuracy", "acc", "Accuracy"):
        fn = metrics_.resolve_accuracy(tuple(y_true.shape), tuple(y_pred.shape))
        return fn(name=name.lower())
    if name in ("crossentropy", "ce"):
        return metrics_.resolve_crossentropy(tuple(y_true.shape), tuple(y_pred.shape))(name=name)
    found = metrics_.get(given)
    if isinstance(found, metrics_.Metric):
        if name is not None:
            found.name = name
        return found
    if isinstance(found, losses_.Loss):
        found = found.__call__
    return metrics_.MeanMetricWrapper(found, name=name or _function_name(found))


def _function_name(fn: Any) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    return "lambda" if name == "<lambda>" else name
