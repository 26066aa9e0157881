"""What all losses share: ranks, masks, weights, reduction, and the class that makes a loss of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, DType, Nest, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, masks, naming, registry, tree
from nyala.base.configurable import Configurable

F = TypeVar("F", bound=Callable[..., Any])
Reduction: TypeAlias = Literal["sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none"] | None
REDUCTIONS = ("sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none", None)


def loss_function(*names: str) -> Callable[[F], F]:
    """Enters a function in the table of losses under its own name and ``names``."""
    return lambda fn: registry.add("loss", fn, *names)


def value_dtype(dtype: DType) -> str:
    """The dtype that values are computed in: that of a policy is its compute dtype; ``None`` is ``floatx()``."""
    dtype = getattr(dtype, "compute_dtype", dtype)
    return dtypes.standardize(dtype.removeprefix("mixed_") if isinstance(dtype, str) else dtype)


# -- shapes --------------------------------------------------------------------------------------------------------


def same_rank(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """Make ranks that differ by a last axis of length 1 equal: a vector gets the axis, a longer tensor loses it."""
    n1, n2 = len(x1.shape), len(x2.shape)
    if n1 == n2 + 1 and x1.shape[-1] == 1:
        return (x1, ops.expand_dims(x2, -1)) if n2 == 1 else (ops.squeeze(x1, -1), x2)
    if n2 == n1 + 1 and x2.shape[-1] == 1:
        return (ops.expand_dims(x1, -1), x2) if n1 == 1 else (x1, ops.squeeze(x2, -1))
    return x1, x2


def pair(owner: Any, y_true: TensorLike, y_pred: TensorLike) -> tuple[Tensor, Tensor]:
    """Both as tensors of the dtype of ``y_pred`` (``floatx()`` if that is no float) and of one rank.

    Raises ValueError when the shapes do not go together.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    dtype = dtypes.standardize(y_pred.dtype)
    if dtype not in dtypes.FLOATS:
        dtype = dtypes.standardize(None)
        y_pred = ops.cast(y_pred, dtype)
    y_true, y_pred = same_rank(ops.convert_to_tensor(y_true, dtype), y_pred)
    shape, other = tuple(y_true.shape), tuple(y_pred.shape)
    if len(shape) != len(other) or any(m != n and None not in (m, n) and 1 not in (m, n) for m, n in zip(shape, other)):
        check.fail(
            owner,
            f"y_true of shape {shape} does not go with y_pred of shape {other}; they must have the same shape: "
            "change the width of the model's last layer or the shape of the targets",
        )
    return y_true, y_pred


def fit_weights(owner: Any, weights: Tensor, values: Tensor, what: str = "sample_weight") -> Tensor:
    """``weights`` with the rank of ``values``: they lie on its leading axes, last axes of length 1 do not count."""
    while len(weights.shape) > len(values.shape) and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, -1)
    shape, target = tuple(weights.shape), tuple(values.shape)
    if len(shape) < len(target) and all(m == n or m in (1, None) or n is None for m, n in zip(shape, target)):
        weights = ops.expand_dims(weights, tuple(range(len(shape), len(target))))
        shape = tuple(weights.shape)
    if target and any(m != n and None not in (m, n) and 1 not in (m, n) for m, n in zip(shape[::-1], target[::-1])):
        check.fail(
            owner,
            f"{what} of shape {shape} does not go with values of shape {target}; give one for each sample, "
            f"shape {target[:1]}, or one for each value, shape {target}",
        )
    return weights


# -- reduction -----------------------------------------------------------------------------------------------------


def reduce_values(
    owner: Any,
    values: Tensor,
    sample_weight: TensorLike | None = None,
    mask: TensorLike | None = None,
    reduction: Reduction = "sum_over_batch_size",
) -> Tensor:
    """Losses to one loss: the mean over the valid entries of ``weight * value``.

    With weights ``w`` and a mask ``m`` of zeros and ones (1 where not given): ``"sum"`` is ``sum(m w v)``,
    ``"sum_over_batch_size"`` and ``"mean"`` divide it by ``sum(m)``, the number of valid entries,
    ``"mean_with_sample_weight"`` by ``sum(m w)``; ``"none"`` or ``None`` gives ``m w v``. Nothing valid gives 0.
    """
    dtype = dtypes.standardize(values.dtype)
    counts = None
    if mask is not None:
        counts = fit_weights(owner, ops.cast(mask, dtype), values, "mask")
    weights = counts
    if sample_weight is not None:
        weights = fit_weights(owner, ops.convert_to_tensor(sample_weight, dtype), values)
        if counts is not None:
            weights = weights * counts
    if weights is not None:
        # A loss that is invalid may be NaN or infinite: it has no say, so it is cut out rather than multiplied by 0.
        if counts is not None:
            values = ops.where(counts > 0, values, ops.zeros_like(values))
        values = values * weights
    if reduction in (None, "none"):
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weights is not None:
        counts = weights
    if counts is None:
        total = ops.mean(values)
    else:
        total = ops.divide_no_nan(ops.sum(values), ops.sum(counts * ops.ones_like(values)))
    # Replicas' gradients are summed, so a mean is the part of it that this one has seen.
    share = backends.current().share()
    return total if share == 1.0 else total * share


class Loss(Configurable):
    """Base of losses. A subclass computes one value for each sample in ``call(y_true, y_pred)``.

    Args:
        name: for logs; made from the class name if not given.
        reduction: how values become one number, see ``reduce_values``: ``"sum_over_batch_size"`` (the mean, also over
            time steps), ``"mean"`` (the same), ``"mean_with_sample_weight"``, ``"sum"``, ``"none"`` or ``None``.
        dtype: what values are computed in; default ``floatx()``, also in a model of lower precision.

    A mask that travels with ``y_pred`` leaves the masked entries out: the mean is over what is valid.
    """

    role = "loss"
    keras_module = "keras.losses"
    config_order = ("name", "reduction")
    casts_labels = True
    """Whether ``y_true`` is brought to ``dtype`` too; class indices are not."""

    def __init__(self, name: str | None = None, reduction: Reduction = "sum_over_batch_size", dtype: DType = None):
        self.name = naming.auto(type(self).__name__, name)
        self.reduction = check.one_of(self, "reduction", reduction, REDUCTIONS)
        self.dtype = value_dtype(dtype)
        self._own_dtype = dtype is not None

    def call(self, y_true: Nest, y_pred: Nest) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no method call(self, y_true, y_pred)")

    def __call__(self, y_true: Nest, y_pred: Nest, sample_weight: TensorLike | None = None) -> Tensor:
        valid = [m for m in map(masks.get_mask, tree.flatten(y_pred)) if m is not None]
        y_pred = tree.map(self._cast, y_pred) if _is_nested(y_pred) else self._cast(y_pred)
        if self.casts_labels:
            y_true = tree.map(self._cast, y_true) if _is_nested(y_true) else self._cast(y_true)
        values = backends.user_code(self.call)(y_true, y_pred)
        own = self.valid(y_true)
        mask = valid[0] if valid else None
        if own is not None:
            mask = own if mask is None else ops.logical_and(mask, own)
        return reduce_values(self, values, sample_weight, mask, self.reduction)

    def valid(self, y_true: Nest) -> Tensor | None:
        """Which values count, by the labels; ``None``: all."""
        return None

    def _cast(self, x: TensorLike) -> Tensor:
        return ops.convert_to_tensor(x, self.dtype)

    def get_config(self) -> Config:
        config = super().get_config()
        config.pop("dtype", None)
        return {**config, "dtype": self.dtype} if self._own_dtype else config

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _is_nested(x: Any) -> bool:
    """A dict, or a sequence of tensors; lists of numbers are one tensor."""
    if isinstance(x, (list, tuple)):
        return any(hasattr(v, "shape") or isinstance(v, dict) for v in x)
    return isinstance(x, dict)


class LossFunctionWrapper(Loss):
    """The loss that a function ``fn(y_true, y_pred, **kwargs)`` computes.

    Args: fn: gives one value for each sample; kwargs: handed to ``fn`` and kept as attributes.
    """

    config_skip = frozenset({"fn"})

    def __init__(
        self,
        fn: Callable[..., Tensor],
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: DType = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_arguments = tuple(kwargs)
        self.__dict__.update(kwargs)

    def call(self, y_true: Nest, y_pred: Nest) -> Tensor:
        if not (tree.is_nested(y_true) or tree.is_nested(y_pred)):
            y_true, y_pred = same_rank(y_true, y_pred)
        return backends.user_code(self.fn)(y_true, y_pred, **{k: getattr(self, k) for k in self._fn_arguments})

    def get_config(self) -> Config:
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config.update(fn=serialize(self.fn), **{k: getattr(self, k) for k in self._fn_arguments})
        return config

    @classmethod
    def from_config(cls, config: Config) -> LossFunctionWrapper:
        return super().from_config({**config, "fn": deserialize(config["fn"])} if "fn" in config else config)


# -- by name -------------------------------------------------------------------------------------------------------


def get(identifier: Any) -> Any:
    """A loss from ``None``, a name, a config, a class, an object or a function.

    A name in snake case or an abbreviation gives the function (``"mse"``), a class name an object.
    """
    return registry.get("loss", identifier, owner="losses.get")


def serialize(loss: Any) -> Any:
    """The config of a loss: ``{module, class_name, config, registered_name}``."""
    return serialize_with_functions(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The loss that a name or config describes. Raises ValueError for an unknown one."""
    from nyala.base import configurable

    return configurable.deserialize(name, custom_objects, role="loss")


def serialize_with_functions(obj: Any) -> Any:
    """Like ``configurable.serialize``; a built-in function becomes a config, not a name, as Keras writes it."""
    from nyala.base import configurable

    plain = configurable.serialize(obj)
    if callable(obj) and isinstance(plain, str):
        return {"module": "builtins", "class_name": "function", "config": plain, "registered_name": "function"}
    return plain


def check_sparse_labels(owner: Any, y: Any, num_classes: int) -> None:
    """Raise ValueError if a class index in ``y``, an array on the host, is not in ``[0, num_classes)``."""
    y = np.asarray(y)
    if y.size and (y.min() < 0 or y.max() >= num_classes):
        wrong = np.flatnonzero((y < 0) | (y >= num_classes))
        check.fail(
            owner,
            f"labels must be class indices from 0 to {num_classes - 1}, got {y.flat[wrong[0]]} at position {wrong[0]} "
            f"({wrong.size} of {y.size} are outside). Give the last layer more units, or renumber the labels",
        )
