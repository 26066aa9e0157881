"""Variables and steps on the replicas of a ``tf.distribute`` strategy.

Every replica holds a copy of a variable and writes its own. Weights, slots and counters stay equal, for each replica writes
the same value once the optimizer has summed the gradients. What ``aggregation="sum"`` or ``"mean"`` declares (metrics,
moving statistics) differs between replicas and is summed or averaged when it is read outside of them.
"""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import distribute_lib  # the one way to leave a replica's context in its own thread
from tensorflow.python.distribute.values import DistributedVariable
from tensorflow.python.ops.resource_variable_ops import ResourceVariable

from nyala._typing import Nest, Tensor
from nyala.base import tree
from nyala.base.variable import Variable

_STORAGE: Any = ResourceVariable  # what tf.Variable makes outside the scope of a strategy
_AGGREGATION = {
    "mean": tf.VariableAggregation.MEAN,
    "sum": tf.VariableAggregation.SUM,
    "only_first_replica": tf.VariableAggregation.ONLY_FIRST_REPLICA,
}
_KNOWN = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy, tf.distribute.OneDeviceStrategy)


def make(variable: Variable, value: Any) -> Any:
    """New storage, on every device of the strategy that is current, outside any trace."""
    settings: dict[str, Any] = {"trainable": variable.trainable, "name": variable.path}
    aggregation = _AGGREGATION.get(variable.aggregation or "none", tf.VariableAggregation.NONE)
    if not tf.distribute.has_strategy():
        # A `tf.function` being traced would take over what `tf.Variable` makes, even inside init_scope.
        kind = tf.Variable if tf.executing_eagerly() else _STORAGE
        with tf.init_scope():
            return kind(tf.constant(value, variable.dtype), aggregation=aggregation, **settings)
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, _KNOWN):
        raise NotImplementedError(
            f"variables under {type(strategy).__name__} are not supported; use tf.distribute.MirroredStrategy, "
            "MultiWorkerMirroredStrategy or OneDeviceStrategy"
        )
    local = aggregation in (tf.VariableAggregation.SUM, tf.VariableAggregation.MEAN)
    on_read, auto = tf.VariableSynchronization.ON_READ, tf.VariableSynchronization.AUTO
    with tf.init_scope(), _outside_replicas(strategy):
        return strategy.extended._create_variable(
            lambda **kwargs: _STORAGE(**kwargs),
            initial_value=tf.constant(value, variable.dtype),
            aggregation=aggregation,
            synchronization=on_read if local else auto,
            **settings,
        )


@contextmanager
def _outside_replicas(strategy: Any) -> Iterator[None]:
    """The context in which a strategy makes variables for all replicas, also from within one of them."""
    distribute_lib._push_per_thread_mode(distribute_lib._CrossReplicaThreadMode(strategy))
    try:
        yield
    finally:
        distribute_lib._pop_per_thread_mode()


def here(variable: Variable) -> Any:
    """The storage, in a replica that replica's own."""
    storage = variable._storage
    distributed = isinstance(storage, DistributedVariable) and tf.distribute.has_strategy()
    return storage._get() if distributed and tf.distribute.get_replica_context() else storage


def write(variable: Variable, value: Tensor) -> None:
    storage = here(variable)
    if storage is not variable._storage and _all_alike and variable.aggregation == "sum" and _replica()[0]:
        return  # the first replica counts what all of them see
    storage.assign(value, read_value=False)


# -- in a replica ------------------------------------------------------------------------------------------------------


def _replica() -> tuple[int, int, Any]:
    """The number of this replica, how many there are, and its context; one of one outside of them."""
    context = tf.distribute.get_replica_context()
    if context is None or not tf.distribute.has_strategy():
        return 0, 1, None
    count = context.num_replicas_in_sync
    return int(tf.get_static_value(context.replica_id_in_sync_group)), count, context


def sum_over_replicas(values: list[Any]) -> list[Any]:
    _, count, context = _replica()
    given = [v for v in values if v is not None]
    if count == 1 or not given:
        return values
    dense = [tf.convert_to_tensor(v) if isinstance(v, tf.IndexedSlices) else v for v in given]
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, dense))
    return [None if v is None else next(sums) for v in values]


def own_seed(seed: Tensor) -> Tensor:
    """Replicas draw different numbers from one state."""
    number, count, _ = _replica()
    if count == 1 or number == 0:
        return seed
    return tf.bitwise.bitwise_xor(seed, tf.constant([(number * 0x9E3779B9) & 0xFFFFFFFF, 0], tf.uint32))


_shares: list[float] | None = None
"""Of the batch that ``spread`` is running on: the part that each replica has."""
_all_alike = False
"""Whether ``spread`` gives every replica the same rows."""


def share() -> float:
    number, count, _ = _replica()
    return 1.0 if count == 1 else 1.0 / count if _shares is None else _shares[number]


# -- around the replicas -----------------------------------------------------------------------------------------------


def placement(variables: Sequence[Variable]) -> Any:
    """The strategy under which the variables (without any: what comes now) are made."""
    for v in variables:
        if isinstance(v._storage, DistributedVariable):
            return v._storage.distribute_strategy
    strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() and not variables else None
    return strategy if isinstance(strategy, _KNOWN) else None


def scope(strategy: Any) -> Any:
    return strategy.scope()


def settle(variables: Sequence[Variable]) -> None:
    """Give every replica the mean of what they have, where that is what counts (moving statistics)."""
    for v in variables:
        if v.aggregation == "mean" and isinstance(v._storage, DistributedVariable):
            v._storage.assign(v._storage.value())


def spread(fn: Callable[..., Nest], strategy: Any) -> Callable[..., Nest]:
    """``fn`` on every replica, each with its rows of the tensors in the first argument.

    Tensors without axes in the result become their mean by the replicas' shares of the batch, others one along the first
    axis. Where there are fewer rows than replicas each has them all, which gives the same means.
    """
    count = strategy.num_replicas_in_sync
    if strategy.extended._in_multi_worker_mode() and strategy.cluster_resolver.cluster_spec().num_tasks("worker") > 1:
        raise NotImplementedError("fit runs on one worker; run several by a loop of your own around strategy.run")
    if isinstance(strategy, tf.distribute.OneDeviceStrategy):
        return fn

    def run(batch: Nest, *rest: Any) -> Nest:
        global _shares, _all_alike
        n = int(next(x for x in tree.flatten(batch) if hasattr(x, "shape")).shape[0])
        alike = n < count
        bounds = [0, n] * count if alike else [round(i * n / count) for i in range(count + 1)]
        shares = [1 / count] * count if alike else [(b - a) / n for a, b in itertools.pairwise(bounds)]

        def replica() -> Nest:
            number = _replica()[0] * (not alike)
            return fn(tree.map(lambda x: _rows(x, bounds[number], bounds[number + 1]), batch), *rest)

        outer, _shares, _all_alike = (_shares, _all_alike), shares, alike
        try:
            out = strategy.run(replica)
        finally:
            _shares, _all_alike = outer
        return tree.map(lambda x: _merged(strategy, x, shares, alike), out)

    return run


def _rows(x: Any, start: int, stop: int) -> Any:
    return x[start:stop] if hasattr(x, "shape") and len(x.shape) else x


def _merged(strategy: Any, x: Any, shares: list[float], alike: bool) -> Any:
    parts = strategy.experimental_local_results(x)
    if len(parts) == 1 or not isinstance(parts[0], tf.Tensor):
        return parts[0]
    if parts[0].shape.rank:
        return parts[0] if alike else tf.concat(parts, 0)
    if not parts[0].dtype.is_floating:
        return parts[0]
    return tf.add_n([p * tf.cast(s, p.dtype) for p, s in zip(parts, shares)])
