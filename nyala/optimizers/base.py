"""What all optimizers share; a rule is only the table of its slots and a pure ``update``.

A backend may offer a kernel for a rule, ``backend.fused_updates[name]``:

    fn(variables, gradients, slots, *, learning_rate, iterations, **hyper) -> bool

It updates all variables and slots in place and returns True, or does nothing and returns False. ``slots`` maps a slot's
plural name (``"momentums"``, ``"velocities"``) to its variables, one a variable; ``learning_rate`` is a float or scalar
tensor, ``iterations`` counts the updates made before, ``hyper`` holds the rule's own constructor arguments. ``"adamw"``
also gets ``weight_decay``.
"""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypedDict

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config, configurable, naming, old, scope
from nyala.base.configurable import Configurable
from nyala.base.variable import Variable
from nyala.optimizers._state import OptimizerState, checked_rate
from nyala.optimizers.older import UNSET, Older, _ours, _value, manner_of, takes_older_arguments


class Common(TypedDict, total=False):
    """The arguments that every optimizer takes after its own."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Optimizer(OptimizerState, Older, Configurable):
    """Updates variables from gradients.

    Args:
        learning_rate: a number, a ``LearningRateSchedule``, or a callable without arguments.
        weight_decay: each step takes ``learning_rate * weight_decay`` of the weight away, apart from the gradient.
        clipnorm: largest norm of each gradient.
        clipvalue: largest absolute value in each gradient.
        global_clipnorm: largest norm of all gradients taken together. Of the three at most one is given.
        use_ema: keep a moving average of the weights, which ``finalize_variable_values`` puts in their place.
        ema_momentum: in [0, 1], how much of the average stays at each step.
        ema_overwrite_frequency: put the averages in place every so many steps, too.
        loss_scale_factor: the loss is multiplied and the gradients are divided by it, against underflow in float16.
        gradient_accumulation_steps: at least 2; the weights change at every so many steps, by the mean gradient.
        name: for the paths of the optimizer's variables; default made from the class name.

    Raises: ValueError on values outside these ranges, TypeError on unknown arguments.
    """

    role = "optimizer"
    keras_module = "keras.optimizers"
    config_order = (
        "name", "learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
        "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
    )  # fmt: skip
    slots: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of slot names; the variables of a group are listed together, weight after weight."""
    shared: ClassVar[Mapping[str, float]] = {}
    """Scalars that one step updates once (``advance``); ``update`` gets their new values after the slots."""
    fused: ClassVar[str] = ""
    """The rule's name among a backend's fused kernels."""
    hyper: ClassVar[tuple[str, ...]] = ()
    """The rule's own constructor arguments."""

    @takes_older_arguments
    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        self.name = naming.auto(type(self).__name__, name)
        learning_rate, self.decay = old.learning_rate(self, learning_rate, kwargs)
        check.no_extra(self, kwargs, _parameters(type(self)))
        self.clipnorm = _limit(self, "clipnorm", clipnorm)
        self.clipvalue = _limit(self, "clipvalue", clipvalue)
        self.global_clipnorm = _limit(self, "global_clipnorm", global_clipnorm)
        if sum(v is not None for v in (clipnorm, clipvalue, global_clipnorm)) > 1:
            check.fail(
                self,
                f"give only one of clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}",
            )
        self.weight_decay = weight_decay
        self.use_ema = use_ema
        self.ema_momentum = check.number_in(self, "ema_momentum", ema_momentum, 0.0, 1.0)
        if ema_overwrite_frequency is not None:
            check.positive_int(self, "ema_overwrite_frequency", ema_overwrite_frequency)
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        if gradient_accumulation_steps is not None and not (
            check.is_int(gradient_accumulation_steps) and gradient_accumulation_steps >= 2
        ):
            check.fail(self, f"gradient_accumulation_steps must be an int >= 2, got {gradient_accumulation_steps!r}")
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._rate: Any = None if learning_rate is UNSET else checked_rate(self, learning_rate)
        self._no_state()
        self._no_decay: set[int] = set()
        self._excluded: tuple[set[int], list[str]] = (set(), [])
        self._warned = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not naming.is_ours(cls):
            cls.manner = manner_of(cls) or cls.manner
            if isinstance(cls.__dict__.get("learning_rate"), property):
                cls._learning_rate = None  # type: ignore[assignment]  # what a user's property reads is the user's own
        if {"update", "update_step"} & cls.__dict__.keys() and "fused" not in cls.__dict__:
            cls.fused = ""  # the kernel is that of the parent's rule
        if naming.is_ours(cls) and "__init__" in cls.__dict__:
            _take_common(cls)

    # -- to be defined by a rule ---------------------------------------------------------------------------------------

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The new weight and slots from the weight, its gradient, the rate, the number of this update and the slots.

        Pure. ``t`` is 1, 2, ... as a float."""
        return check.fail(
            self, "an optimizer must define update(w, g, lr, t, *slots) or update_step", NotImplementedError
        )

    def advance(self, t: Tensor, *shared: Tensor) -> tuple[Tensor, ...]:
        """The new values of the ``shared`` scalars at update ``t``."""
        return shared

    def first_slot(self, slot: str, variable: Variable) -> np.ndarray | None:
        """The first value of a slot, zeros unless a rule says otherwise; ``None``: this variable has no such slot."""
        return np.zeros(variable.shape, dtypes.numpy_dtype(variable.dtype))

    def slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return self.slots

    def decay_of(self, variable: Variable) -> float | None:
        """The weight decay of one variable."""
        return self.weight_decay

    # -- applying gradients --------------------------------------------------------------------------------------------

    @old.takes(experimental_aggregate_gradients=None, skip_gradients_aggregation=None)
    def apply_gradients(self, grads_and_vars: Iterable[tuple[TensorLike, Variable]], name: str | None = None) -> Any:
        """Apply pairs of gradient and variable; returns ``iterations``. ``name`` was for graphs."""
        pairs = list(grads_and_vars)
        if not pairs:
            check.fail(self, "apply_gradients got no pairs of gradient and variable")
        apply = self.apply if type(self).apply is not Optimizer.apply else self._apply
        apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def apply(self, grads: Sequence[TensorLike], trainable_variables: Sequence[Variable] | None = None) -> None:
        """Update the variables (default: those it was built with) by their gradients, ``None`` meaning no change.

        Raises: ValueError if the numbers differ, a variable is unknown, or no variable has a gradient.
        """
        cls = type(self)
        if cls.apply_gradients is not Optimizer.apply_gradients and cls.apply is Optimizer.apply:
            # A program that changes gradients there means those of fit, too.
            self.apply_gradients(
                zip(grads, self._trainable_variables if trainable_variables is None else trainable_variables)
            )
        else:
            self._apply(list(grads), trainable_variables)

    def minimize(self, loss: Any, var_list: Any, tape: Any = None, grad_loss: Any = None, name: Any = None) -> Any:
        """Keras 2: one update of ``var_list`` (variables, or a callable giving them) by the gradients of ``loss``.

        Args: loss: a callable without arguments giving a scalar; or a tensor recorded by ``tape``, a ``tf.GradientTape``.
        """
        old.tell("optimizer.minimize(loss, variables)", "nyala.value_and_grad(...) and optimizer.apply(gradients)")
        listed: Any = var_list() if callable(var_list) else var_list
        variables = _ours(listed)
        if grad_loss is not None or (tape is None and not callable(loss)):
            check.fail(self, "minimize takes a loss function without arguments, or a loss and its tape; no grad_loss")
        if tape is not None:
            if callable(loss):
                with tape:
                    loss = loss()
            gradients = tape.gradient(loss, variables)
        else:
            backend = variables[0].backend if variables else backends.current()
            gradients = backend.value_and_grad(loss, variables)()[1]
        return self.apply_gradients(zip(gradients, variables))

    def _apply(self, grads: list[Any], variables: Sequence[Variable] | None = None, when: Tensor | None = None) -> None:
        """``when``: a boolean tensor; nothing changes where it is false."""
        if variables is None:
            variables = self._trainable_variables
        else:
            variables = _ours(variables)
            if not self.built or any(v not in self._index for v in variables):
                self.build(variables)
        if len(grads) != len(variables):
            check.fail(self, f"{len(grads)} gradients for {len(variables)} variables")
        unknown = next((v for v in variables if v not in self._index), None)
        if unknown is not None:
            check.fail(
                self,
                f"variable `{unknown.path}` is not one of the {len(self._index)} that it was built with; "
                "make a new optimizer, or build it with all variables",
            )
        backend = self._iterations.backend  # type: ignore[union-attr]
        with backends.backend_scope(backend), backend.no_grad():
            pairs = self._given(backend.sum_over_replicas(grads), variables)
            self._masked(functools.partial(self._step, pairs), when)

    def _given(self, grads: list[Any], variables: Sequence[Variable]) -> list[tuple[Tensor, Variable]]:
        """The pairs with a gradient, as tensors."""
        missing = [v for g, v in zip(grads, variables) if g is None]
        if missing and len(missing) == len(grads):
            check.fail(
                self, f"no gradient for any variable, among them `{missing[0].path}`; does the loss depend on them?"
            )
        if missing and not self._warned:
            self._warned = True
            warnings.warn(
                f"{check.who(self)}: no gradient for {', '.join(f'`{v.path}`' for v in missing)}; left as they are",
                stacklevel=5,
            )
        return [(v.backend.convert(_value(g), v.dtype), v) for g, v in zip(grads, variables) if g is not None]

    def _masked(self, step: Callable[[], None], when: Tensor | None) -> None:
        """Run ``step``; with ``when`` keep what it writes only where that is true."""
        if when is None:
            step()
            return
        with scope.StateScope() as inner:
            step()
        for variable, value in inner.writes().items():
            variable.assign(ops.where(when, value, variable.raw_value))

    def _step(self, pairs: list[tuple[Tensor, Variable]]) -> None:
        assert self._iterations is not None
        iterations = self._iterations.raw_value
        scale = self.loss_scale_factor
        pairs = [(g, v) for g, v in pairs if not self._overwritten(g, v)]
        if scale is not None:
            pairs = [(g / scale, v) for g, v in pairs]
        every = self.gradient_accumulation_steps
        done, after = iterations, iterations + 1  # before an optimizer that counts itself does it in place
        if every is None:
            self._update(pairs, done)
        elif pairs:
            due = ops.equal(after % every, 0)
            done = ops.floor_divide(iterations, every)
            sums = [self._accumulators[self._index[v]] for _, v in pairs]
            total = [s.raw_value + g for s, (g, _) in zip(sums, pairs)]
            means = [(g / every, v) for g, (_, v) in zip(total, pairs)]
            self._masked(functools.partial(self._update, means, done), due)
            for s, g in zip(sums, total):
                s.assign(ops.where(due, ops.zeros_like(g), g))
        if self.use_ema:
            self._average(done)
        for _, v in pairs:
            if v.constraint is not None:
                v.assign(v.constraint(v.raw_value))
        self._iterations.assign(after)

    def _overwritten(self, g: Tensor, v: Variable) -> bool:
        """Some variables (scales of quantized layers) take the gradient as their new value."""
        if v.overwrite_with_gradient:
            v.assign(g)
        return v.overwrite_with_gradient

    def _update(self, pairs: list[tuple[Tensor, Variable]], done: Tensor) -> None:
        """One update of the variables; ``done``: the number of updates made before."""
        grads, variables = self._clipped([g for g, _ in pairs]), [v for _, v in pairs]
        if self.manner == "updates":
            self._run_updates(grads, variables)
            return
        if self.manner == "dense":
            self._run_dense(grads, variables)
            return
        self._update_by_rule(grads, variables, done)

    def _update_by_rule(self, grads: list[Tensor], variables: list[Variable], done: Tensor) -> None:
        rate = self._decayed_rate(done)
        if self._update_fused(grads, variables, rate, done):
            return
        t = ops.cast(done, "float32") + 1.0
        shared = self.advance(t, *(v.raw_value for v in self._shared.values()))
        for variable, value in zip(self._shared.values(), shared):
            variable.assign(value)
        own = type(self).update_step is Optimizer.update_step
        for g, v in zip(grads, variables):
            decay = self._decay(v)
            if own:
                self._update_one(g, v, rate, t, shared, decay)
                continue
            if decay:
                v.assign(v.raw_value * (1.0 - ops.cast(rate, v.dtype) * decay))
            self.update_step(g, v, *(() if self.manner == "step" else (ops.cast(rate, v.dtype),)))

    def _update_one(
        self, g: Tensor, v: Variable, rate: Tensor, t: Tensor, shared: Sequence[Tensor], decay: float | None
    ) -> None:
        i = self._index[v]
        slots = [s for kept in self._slots.values() if (s := kept[i]) is not None]
        # 16 bits hold neither 0.999 ** t nor small steps: such weights are updated in float32 and rounded once.
        low = v.dtype in ("float16", "bfloat16")
        kind = "float32" if low else v.dtype
        w, g, lr, t, *state = (
            ops.cast(x, kind) for x in (v.raw_value, g, rate, t, *(s.raw_value for s in slots), *shared)
        )
        if decay:
            w = w * (1.0 - lr * decay)
        for variable, value in zip([v, *slots], self.update(w, g, lr, t, *state)):
            variable.assign(value)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Update one variable in place. A custom optimizer may define this in place of ``update``."""
        t = ops.cast(self.iterations, "float32") + 1.0
        shared = [v.raw_value for v in self._shared.values()]
        self._update_one(ops.convert_to_tensor(gradient), variable, learning_rate, t, shared, None)

    def _update_fused(self, grads: list[Tensor], variables: list[Variable], rate: Tensor, done: Tensor) -> bool:
        """Let the backend's kernel do it; False if there is none for this case."""
        if not self.fused or not variables or scope.local.scope is not None:
            return False
        table, name, hyper = variables[0].backend.fused_updates, self.fused, {n: getattr(self, n) for n in self.hyper}
        decays = {self._decay(v) or 0.0 for v in variables}
        if decays != {0.0}:
            if len(decays) > 1:
                return False
            name += "w"
            hyper["weight_decay"] = decays.pop()
        kernel = table.get(name)
        if kernel is None:
            return False
        index = [self._index[v] for v in variables]
        slots = {name: [kept[i] for i in index] for name, kept in self._slots.items()}
        return kernel(variables, grads, slots, learning_rate=rate, iterations=done, **hyper)

    def _decayed_rate(self, done: Tensor) -> Tensor:
        rate = self._rate_now()
        if self.decay:  # Keras 2: lr / (1 + decay * number of updates)
            rate = rate / (1.0 + self.decay * ops.cast(done, "float32"))
        return rate

    def _rate_now(self) -> Tensor:
        rate = self.learning_rate
        return ops.convert_to_tensor(rate.raw_value if isinstance(rate, Variable) else rate, "float32")

    def _clipped(self, grads: list[Tensor]) -> list[Tensor]:
        if self.clipnorm:
            return [g * _shrink(ops.sum(ops.square(g)), self.clipnorm) for g in grads]
        if self.global_clipnorm:
            squares = [ops.cast(ops.sum(ops.square(g)), "float32") for g in grads]
            shrink = _shrink(functools.reduce(ops.add, squares), self.global_clipnorm) if grads else 1.0
            return [g * ops.cast(shrink, ops.dtype(g)) for g in grads]
        if self.clipvalue:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    # -- weight decay and averages -------------------------------------------------------------------------------------

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """No weight decay for these variables, and for those in whose name one of the regular expressions is found."""
        self._excluded = ({id(v) for v in var_list or ()}, list(var_names or ()))
        self._find_undecayed()
        scope.python_state.changed()

    def _find_undecayed(self) -> None:
        ids, patterns = self._excluded
        self._no_decay = {
            i for v, i in self._index.items() if id(v) in ids or any(re.search(pattern, v.name) for pattern in patterns)
        }

    def _decay(self, v: Variable) -> float | None:
        return None if self._index[v] in self._no_decay else self.decay_of(v)

    def _average(self, done: Tensor) -> None:
        first = ops.equal(done, 0)
        for v, average in zip(self._trainable_variables, self._averages):
            w = v.raw_value
            mean = average.raw_value * self.ema_momentum + w * (1.0 - self.ema_momentum)
            average.assign(ops.where(first, w, mean))
            if self.ema_overwrite_frequency:
                due = ops.equal((done + 1) % self.ema_overwrite_frequency, 0)
                v.assign(ops.where(due, average.raw_value, w))

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Put the moving averages in place of the variables, if ``use_ema``."""
        if self.use_ema:
            self.swap_averages(False)
            for v in var_list:
                if v in self._index:
                    v.assign(self._averages[self._index[v]].raw_value)

    @property
    def keeps_averages(self) -> bool:
        return self.use_ema

    swapped: bool = False
    """Whether the moving averages and the weights have changed places."""

    def swap_averages(self, swapped: bool) -> None:
        """Let the weights and their moving averages change places, or take their own again; if there are averages yet."""
        if self.use_ema and self.built and self.swapped != swapped:
            for v, average in zip(self._trainable_variables, self._averages):
                held = v.numpy()
                v.assign(average)
                average.assign(held)
            self.swapped = swapped

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The loss times ``loss_scale_factor``."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(
        self, optimizer_variables: Sequence[Tensor], grads: Sequence[Tensor], trainable_variables: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """New values of the trainable variables and of ``variables``, from these values; nothing is assigned.

        Raises: ValueError if it is not built or a number of values differs.
        """
        if not self.built:
            check.fail(self, "build it before stateless_apply: optimizer.build(model.trainable_variables)")
        own, weights = self.variables, self._trainable_variables
        for what, values, kept in (
            ("optimizer_variables", optimizer_variables, own),
            ("trainable_variables", trainable_variables, weights),
        ):
            if len(values) != len(kept):
                check.fail(self, f"{what} must hold {len(kept)} values, got {len(values)}")
        given = zip([*own, *weights], [*optimizer_variables, *trainable_variables])
        with scope.StateScope({v: v.backend.convert(_value(x), v.dtype) for v, x in given}) as state:
            self.apply(grads)
            return [state.read(v) for v in weights], [state.read(v) for v in own]

    # -- for optimizers written against Keras --------------------------------------------------------------------------

    def assign(self, variable: Variable, value: TensorLike) -> None:
        variable.assign(value)

    def assign_add(self, variable: Variable, value: TensorLike) -> None:
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: TensorLike) -> None:
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Variable) -> int:
        return self._index[variable]

    def config_value(self, name: str) -> Any:
        if name == "learning_rate":
            rate = self._rate
            if isinstance(rate, Variable):
                return float(rate.numpy())
            return float(np.float32(rate)) if isinstance(rate, float) else configurable.serialize(rate)
        return super().config_value(name)

    def get_config(self) -> Config:
        if self.manner:
            return self._older_config()
        config = super().get_config()
        return {**config, "decay": self.decay} if self.decay else config

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """An optimizer with these arguments and no state."""
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping):
            config = {**config, "learning_rate": configurable.deserialize(rate, custom_objects)}
        return super().from_config(config)


def _limit(owner: Any, name: str, value: Any) -> float | None:
    return None if value is None else check.number_in(owner, name, value, 0.0)


def _shrink(square: Tensor, limit: float) -> Tensor:
    """The factor that brings a norm, given squared, down to ``limit``."""
    return limit / ops.maximum(ops.sqrt(square), limit)


def _parameters(cls: type) -> list[str]:
    return [n for n, p in inspect.signature(cls.__init__).parameters.items() if n != "self" and p.kind != p.VAR_KEYWORD]


def _take_common(cls: type[Optimizer]) -> None:
    """Spell out the common arguments behind the class's own, for help() and for calls by position."""
    init = cls.__dict__["__init__"]
    own = list(inspect.signature(init).parameters.values())
    common = list(inspect.signature(Optimizer.__init__).parameters.values())
    cls.hyper = tuple(p.name for p in own if p.name not in {c.name for c in common})
    if "Unpack[Common]" not in str(own[-1].annotation):
        return
    rest = [p for p in common[1:-1] if p.name not in {o.name for o in own}]
    own, extra = own[:-1], own[-1]
    names = [p.name for p in rest]

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        n = len(own) - 1
        if kwargs.get("epsilon", 0.0) is None:  # Keras 2: K.epsilon()
            kwargs["epsilon"] = config.epsilon()
        init(self, *args[:n], **dict(zip(names, args[n:])), **kwargs)

    __init__.__signature__ = inspect.Signature([*own, *rest, extra])  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[method-assign]
