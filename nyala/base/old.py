"""How Keras 1 and 2 wrote it: old arguments, what they are called today, and the warning that says so, once a spelling.

Whatever knows an old spelling has a row in a table here or a call of ``tell``; nothing else in the library does.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nyala.base import check, tree

F = TypeVar("F", bound=Callable[..., Any])


class OldSpelling(UserWarning):
    """Something was written as older Keras wrote it; it works, and the message has today's spelling."""


_told: set[tuple[str, str]] = set()


def tell(old: str, new: str) -> None:
    """Warn, the first time that ``old`` is met, that it is written ``new`` today; at the line of the user's program."""
    if (old, new) in _told:
        return
    _told.add((old, new))
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "nyala":
        frame = frame.f_back
        level += 1
    warnings.warn(f"{old} is how older Keras wrote it; today it is {new}", OldSpelling, stacklevel=level + 1)


def forget() -> None:
    """Every spelling is told again."""
    _told.clear()


class Attribute:
    """A property that gives way to an attribute of that name which a program sets itself."""

    def __init__(self, get: Callable[[Any], Any]):
        self.get = get

    def __get__(self, obj: Any, cls: Any = None) -> Any:
        return self if obj is None else self.get(obj)


def takes(**older: str | None) -> Callable[[F], F]:
    """A function or constructor that has these older arguments, too: today's name of each, ``None`` if it needs none."""

    def decorate(function: F) -> F:
        owner = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for name in [n for n in older if n in kwargs]:
                value, today = kwargs.pop(name), older[name]
                tell(f"{owner}({name}=...)", "left out" if today is None else f"{owner}({today}=...)")
                if today is not None:
                    kwargs[today] = _VALUES.get(today, {}).get(value, value) if isinstance(value, str) else value
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


def value(name: str, given: Any) -> Any:
    """Today's word for an argument's value: ``"tf_idf"`` for ``output_mode="tf-idf"``."""
    today = _VALUES[name].get(given, given)
    if today != given:
        tell(f"{name}={given!r}", repr(today))
    return today


# -- layers ------------------------------------------------------------------------------------------------------------

LAYER_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "output_dim": ("units",),
    "nb_filter": ("filters",),
    "filter_length": ("kernel_size",),
    "subsample": ("strides",),
    "subsample_length": ("strides",),
    "stride": ("strides",),
    "pool_length": ("pool_size",),
    "length": ("size",),
    "poolsize": ("pool_size",),
    "border_mode": ("padding",),
    "dim_ordering": ("data_format",),
    "atrous_rate": ("dilation_rate",),
    "bias": ("use_bias",),
    "init": ("kernel_initializer", "embeddings_initializer", "alpha_initializer", "depthwise_initializer"),
    "gamma_init": ("gamma_initializer",),
    "beta_init": ("beta_initializer",),
    "inner_init": ("recurrent_initializer",),
    "inner_activation": ("recurrent_activation",),
    "forget_bias_init": ("unit_forget_bias",),
    "W_regularizer": ("kernel_regularizer", "embeddings_regularizer", "depthwise_regularizer"),
    "W_constraint": ("kernel_constraint", "embeddings_constraint", "depthwise_constraint"),
    "U_regularizer": ("recurrent_regularizer",),
    "b_regularizer": ("bias_regularizer",),
    "b_constraint": ("bias_constraint",),
    "dropout_W": ("dropout",),
    "dropout_U": ("recurrent_dropout",),
    "p": ("rate",),
    "sigma": ("stddev",),
    "alpha": ("negative_slope",),
    "depthwise_init": ("depthwise_initializer",),
    "pointwise_init": ("pointwise_initializer",),
    "dot_axes": ("axes",),
    "concat_axis": ("axis",),
    "input": ("inputs",),
    "output": ("outputs",),
}
"""An old argument is the first of these that the class itself has."""

_SPLIT = {"kernel_size": (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))}
"""Arguments that used to be given one axis at a time."""

_VALUES: Mapping[str, Mapping[Any, Any]] = {
    "data_format": {"tf": "channels_last", "th": "channels_first", "default": None},
    "output_mode": {"tf-idf": "tf_idf", "binary": "multi_hot"},
    "unit_forget_bias": {"one": True, "ones": True, "zero": False, "zeros": False},
}

_DROPPED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "dynamic": ((True, False), "nothing: every layer may be dynamic; compile(run_eagerly=True) runs it line by line"),
    "mode": ((0,), "another layer: LayerNormalization for mode=1, a layer of your own for mode=2"),
    "fused": ((None, True, False), "nothing: the backend takes its fast kernel by itself"),
    "consume_less": (("cpu", "mem", "gpu"), "nothing: the backend takes its fast kernel by itself"),
    "virtual_batch_size": ((None,), "a smaller batch_size in fit"),
    "truncate_gradient": ((-1,), "shorter sequences, with stateful=True"),
    "ignore_border": ((True,), "padding='same'"),
    "time_major": ((False,), "ops.swapaxes(x, 0, 1) before and after the layer"),
    "input_dtype": ((None, "float32", "int32", "int64"), "Input(shape=..., dtype=...)"),
}
"""Arguments without a successor: the values that lose nothing, and what to write instead of the others."""

OLD_SHAPES = ("input_shape", "batch_input_shape", "batch_shape", "input_dim", "input_length", "batch_size")
_LAYER_WORDS = frozenset(LAYER_ARGUMENTS) | frozenset(_DROPPED) | {w for g in _SPLIT.values() for ws in g for w in ws}


def layer_arguments(
    layer: Any, own: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a layer's constructor, whose names today are ``own``, with old spellings replaced.

    Raises: TypeError for an argument whose value has no successor.
    """
    cls = type(layer)
    new: dict[str, Any] = {}
    for name, value in kwargs.items():
        target = None if name in own else next((t for t in LAYER_ARGUMENTS.get(name, ()) if t in own), None)
        if target is not None:
            tell(f"{cls.__name__}({name}=...)", f"{cls.__name__}({target}=...)")
            new[target] = _VALUES.get(target, {}).get(value, value) if isinstance(value, str) else value
        elif name in _DROPPED and name not in own:
            fine, instead = _DROPPED[name]
            if value not in fine:
                check.fail(cls, f"{name}={value!r} of older Keras has no equal here; write {instead}", TypeError)
        else:
            new[name] = value
    for target, groups in _SPLIT.items():
        for parts in groups:
            if target in own and any(p in new for p in parts):
                if not all(p in new for p in parts):
                    check.fail(cls, f"needs all of {', '.join(parts)}; better give {target}=(...)", TypeError)
                tell(f"{cls.__name__}({parts[0]}=..., ...)", f"{cls.__name__}({target}=(...))")
                new[target] = tuple(new.pop(p) for p in parts)
    return folded_kernel(cls, own, args), new


def _of_keras_0(cls: Any, own: list[str], args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a layer was given by position in Keras 0, where it was told its input: Dense(784, 128), PReLU((64,))."""
    if own[:2] == ["units", "activation"] and len(args) > 1 and check.is_int(args[1]):
        tell(f"{cls.__name__}(input size, units)", f"{cls.__name__}(units)")
        return args[1:], {"input_dim": args[0]}
    if own[:1] in (["axis"], ["alpha_initializer"]) and args and isinstance(args[0], tuple):
        tell(f"{cls.__name__}(input shape)", f"{cls.__name__}()")
        return args[1:], {}
    if own == ["target_shape"] and len(args) > 1:
        tell(f"{cls.__name__}{args}", f"{cls.__name__}({args})")
        return (args,), {}
    return args, {}


def folded_kernel(cls: Any, own: list[str], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """``(32, 3, 3)`` of a Keras 1 convolution as ``(32, (3, 3))``; other arguments as they are."""
    rank = getattr(cls, "rank", 0)
    if rank < 2 or "kernel_size" not in own:
        return args
    start = own.index("kernel_size")
    if len(args) > start + rank and all(check.is_int(n) for n in args[: start + rank + 1]):
        args = (*args[:start], *args[start + 1 :])  # Keras 0 was told the input's channels there
    sizes = args[start : start + rank]
    if len(sizes) < rank or not all(check.is_int(s) for s in sizes):
        return args
    tell(f"{cls.__name__}(n, {', '.join(map(str, sizes))})", f"{cls.__name__}(n, {tuple(sizes)})")
    return (*args[:start], tuple(sizes), *args[start + rank :])


def parameters(fn: Callable[..., Any]) -> list[str]:
    return [n for n, p in inspect.signature(fn).parameters.items() if n != "self" and p.kind not in (2, 4)]


def takes_old_arguments(init: F) -> F:
    """A layer's ``__init__`` that understands old arguments, too."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        words = kwargs and kwargs.keys() & _LAYER_WORDS
        if words or (args and (type(args[0]) is tuple or (len(args) > 1 and type(args[1]) is int))):
            outermost, own = type(self).__init__ is __init__, parameters(init)
            args, shape = _of_keras_0(type(self), own, args) if args else (args, {})
            if words:
                args, kwargs = layer_arguments(self, own, args, kwargs)
            kwargs = {**shape, **kwargs}
            if outermost:
                self.__dict__["_init_args"] = (args, kwargs)
        init(self, *args, **kwargs)

    return __init__  # type: ignore[return-value]


_GONE = ("use_resource", "synchronization", "partitioner", "collections", "getter", "caching_device")
_WEIGHT_WORDS = frozenset({*_GONE, "experimental_autocast", "aggregation", "trainable"})


def add_weight_arguments(
    layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """``add_weight(name, shape, ...)`` of Keras 2 and ``add_weight(shape, initializer, name, ...)`` of Keras 1."""
    order: tuple[str, ...] = ()
    if args and (isinstance(args[0], str) or (args[0] is None and len(args) > 1)):
        order = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")
    elif len(args) > 2 and isinstance(args[2], str) and not _is_dtype(args[2]):
        order = ("shape", "initializer", "name", "trainable", "regularizer", "constraint")
    if order:
        tell(f"add_weight({', '.join(order[: len(args)])}) by position", "add_weight(shape=..., name=..., ...)")
        kwargs = {**dict(zip(order, args)), **kwargs}
        args = ()
    for name in _GONE:
        if name in kwargs:
            tell(f"add_weight({name}=...)", "nothing: variables need none of it")
            if kwargs.pop(name) is not None and name in ("partitioner", "getter"):
                check.fail(layer, f"add_weight: {name} has no equal here; leave it out", TypeError)
    if "experimental_autocast" in kwargs:
        tell("add_weight(experimental_autocast=...)", "add_weight(autocast=...)")
        kwargs["autocast"] = kwargs.pop("experimental_autocast")
    if not isinstance(aggregation := kwargs.get("aggregation", ""), str):  # an enum of TensorFlow
        kwargs["aggregation"] = None if aggregation is None else aggregation.name.lower()
    if kwargs.get("trainable", True) is None:
        del kwargs["trainable"]
    return args, kwargs


def takes_old_weight(method: F) -> F:
    """``add_weight`` that understands the orders of older Keras."""

    @functools.wraps(method)
    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs.keys() & _WEIGHT_WORDS:
            args, kwargs = add_weight_arguments(self, args, kwargs)
        return method(self, *args, **kwargs)

    return add_weight  # type: ignore[return-value]


def takes_old_loss(method: F) -> F:
    """``add_loss(losses, inputs)``: what a loss depends on needs no telling today."""

    @functools.wraps(method)
    def add_loss(self: Any, loss: Any = None, *inputs: Any, **kwargs: Any) -> None:
        if inputs or kwargs:
            loss = kwargs.pop("losses", loss)
            if inputs or "inputs" in kwargs:
                tell("add_loss(losses, inputs)", "add_loss(loss)")
                kwargs.pop("inputs", None)
        return method(self, loss, **kwargs)

    return add_loss  # type: ignore[return-value]


def _is_dtype(name: str) -> bool:
    from nyala.backends import dtypes

    return name in dtypes.ALL


class Loaded:
    """What ``load_weights`` gave for TensorFlow's format: everything has been loaded."""

    def assert_consumed(self) -> Loaded:
        return self

    expect_partial = assert_existing_objects_matched = assert_nontrivial_match = assert_consumed


# -- methods -----------------------------------------------------------------------------------------------------------

_QUEUE = ("max_queue_size", "workers", "use_multiprocessing")
_QUEUE_OLD = {"max_q_size": "max_queue_size", "nb_worker": "workers", "pickle_safe": "use_multiprocessing"}

METHOD_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "fit": {"nb_epoch": "epochs", "nb_val_samples": "validation_steps", **_QUEUE_OLD},
    "evaluate": {"val_samples": "steps", **_QUEUE_OLD},
    "predict": {"val_samples": "steps", **_QUEUE_OLD},
    "Model": {"input": "inputs", "output": "outputs"},
}


def renamed(method: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """``kwargs`` with the old names of the table replaced."""
    table = METHOD_ARGUMENTS.get(method, {})
    if not kwargs.keys() & table.keys():
        return kwargs
    for name in kwargs.keys() & table.keys():
        tell(f"{method}({name}=...)", f"{method}({table[name]}=...)")
    return {table.get(k, k): v for k, v in kwargs.items()}


def loop_arguments(method: F) -> F:
    """``fit`` and its like with the arguments that older Keras had, too."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs = renamed(name, kwargs)
        asked = [n for n in ("show_accuracy", "accuracy") if kwargs.pop(n, False)]
        if asked and "accuracy" not in self.metrics_names:
            tell(f"{name}({asked[0]}=True)", "compile(metrics=['accuracy'])")
            self.compile(self.optimizer, self.loss, metrics=["accuracy"])
        if kwargs.pop("reset_metrics", False):
            tell(f"{name}(reset_metrics=True)", "model.reset_metrics() before it")
            self.reset_metrics()
        queue = {k: kwargs.pop(k) for k in _QUEUE if k in kwargs}
        if queue:
            _set_queue(name, args[0] if args else kwargs.get("x"), queue)
        return method(self, *args, **kwargs)

    return call  # type: ignore[return-value]


def _set_queue(method: str, data: Any, queue: dict[str, Any]) -> None:
    """How batches are prepared ahead is the data set's own matter today."""
    tell(
        f"{method}({', '.join(f'{k}=...' for k in queue)})",
        "an argument of the PyDataset: super().__init__(workers=...)",
    )
    if hasattr(data, "num_batches") and hasattr(data, "workers"):
        for name, value in queue.items():
            setattr(data, name, max(1, value) if name != "use_multiprocessing" else bool(value))


def compile_arguments(method: F) -> F:
    """``compile`` as in Keras 1 and 2: its third argument is ``metrics``, and some arguments ask for nothing."""
    gone = (
        "sample_weight_mode",
        "target_tensors",
        "experimental_run_tf_function",
        "distribute",
        "class_mode",
        "cloning",
    )

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name in kwargs.keys() & set(gone):
            if kwargs.pop(name) is not None:
                if name == "target_tensors":
                    check.fail(
                        self, "compile(target_tensors=...) has no equal; give the targets to fit as y", TypeError
                    )
                tell(f"compile({name}=...)", "nothing: weights of shape (batch, time) are taken as they come")
        if len(args) > 2 and any(isinstance(x, str) or callable(x) for x in tree.flatten(args[2])):
            tell(
                "compile(optimizer, loss, metrics)",
                "compile(optimizer, loss, metrics=metrics): the third is loss_weights",
            )
            optimizer, loss, metrics, *rest = args
            if rest:
                kwargs["loss_weights"] = rest.pop(0)
            args = (optimizer, loss, kwargs.pop("loss_weights", None), metrics, *rest)
        return method(self, *args, **kwargs)

    return call  # type: ignore[return-value]


# -- optimizers --------------------------------------------------------------------------------------------------------


def learning_rate(owner: Any, rate: Any, kwargs: dict[str, Any]) -> tuple[Any, float]:
    """The learning rate and the ``decay`` per update from ``lr=`` and ``decay=``, which leave ``kwargs``."""
    if "lr" in kwargs:
        tell("lr=", "learning_rate=")
        rate = kwargs.pop("lr")
    decay = kwargs.pop("decay", None) or 0.0
    if decay:
        tell("decay=", "learning_rate=schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)")
        check.number_in(owner, "decay", decay, 0.0)
        if callable(rate):
            check.fail(owner, "takes a schedule as learning_rate or decay=, not both")
    return rate, float(decay)
