"""Quantizers (a tensor -> ints and their scale) and what a model is told of how it is to be quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from nyala._typing import Config, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, configurable, registry
from nyala.base.configurable import Configurable
from nyala.base.quantized_policy import MODES
from nyala.quantizers.functions import abs_max_quantize


class Quantizer(Configurable):
    """A way to store numbers in few bits. A subclass defines ``__call__(x)`` and ``get_config``.

    Args: output_dtype: the dtype of what is stored.
    """

    role = "quantizer"
    keras_module = "keras.quantizers"

    def __init__(self, output_dtype: str = "int8"):
        self.output_dtype = dtypes.standardize(output_dtype)

    def __call__(self, x: TensorLike) -> Any:
        """What is stored for ``x``; ``x`` itself unless a subclass says otherwise."""
        return x

    def get_config(self) -> Config:
        if type(self) is Quantizer:
            check.fail(self, "class Quantizer has no config; a subclass has", NotImplementedError)
        return super().get_config()


class AbsMaxQuantizer(Quantizer):
    """Ints in steps of the largest magnitude along ``axis``; see ``abs_max_quantize``.

    Args:
        axis: what shares a scale; ``None``: the last axis. value_range: least and largest int.
        epsilon: added to the largest magnitude. output_dtype: the dtype of the ints.
    """

    config_order = ("value_range", "epsilon", "output_dtype", "axis")

    def __init__(
        self,
        axis: int | Sequence[int] | None = None,
        value_range: tuple[int, int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: str = "int8",
    ):
        super().__init__(output_dtype)
        self.axis: Any = None if axis is None else (axis,) if check.is_int(axis) else tuple(axis)  # type: ignore[arg-type]
        self.value_range = value_range
        self.epsilon = epsilon

    def __call__(  # type: ignore[override]
        self, x: TensorLike, axis: int | Sequence[int] | None = None, to_numpy: bool = False
    ) -> tuple[Tensor, Tensor]:
        """``(ints, scale)``; ``axis`` in place of the quantizer's own. ``to_numpy``: compute on the host."""
        along: Any = axis if axis is not None else self.axis if self.axis is not None else -1
        return abs_max_quantize(x, along, self.value_range, self.output_dtype, self.epsilon, to_numpy)

    def get_config(self) -> Config:
        config = super().get_config()
        return config if self.axis is not None else {k: v for k, v in config.items() if k != "axis"}


class QuantizationConfig(Configurable):
    """How a layer is quantized. The subclasses are the modes.

    Args:
        weight_quantizer: of the weights; ``None``: the mode's own.
        activation_quantizer: of the inputs; ``None``: inputs stay floats.
    """

    role = "quantizer"
    keras_module = "keras.quantizers"
    _mode: ClassVar[str] = ""

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None):
        self.weight_quantizer = get(weight_quantizer)
        self.activation_quantizer = get(activation_quantizer)

    @property
    def mode(self) -> str:
        """``"int8"``, ``"int4"``, ``"float8"``, ``"gptq"`` or ``"awq"``."""
        if not self._mode:
            check.fail(self, "has no mode; use one of its subclasses", NotImplementedError)
        return self._mode

    def policy_mode(self, policy: Any) -> str:
        """The mode as the name of a dtype policy has it."""
        return self.mode

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """The config's quantizer of the weights, else ``default``."""
        return default if config is None or config.weight_quantizer is None else config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """The config's quantizer of the inputs (``None`` is one), without a config ``default``."""
        return default if config is None else config.activation_quantizer

    def _check(self, who: str, quantizer: Any) -> None:
        if quantizer is not None and getattr(quantizer, "output_dtype", "int8") != "int8":
            check.fail(self, f"{who} must give int8, got output_dtype={quantizer.output_dtype!r}")


class Int8QuantizationConfig(QuantizationConfig):
    """8-bit weights, and inputs that are quantized as they come.

    Args: activation_quantizer: default: by the largest magnitude of each row; ``None``: inputs stay floats.
    """

    _mode = "int8"

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default"):
        default = AbsMaxQuantizer() if activation_quantizer == "default" else activation_quantizer
        super().__init__(weight_quantizer, default)
        self._check("weight_quantizer", self.weight_quantizer)


class Int4QuantizationConfig(QuantizationConfig):
    """4-bit weights, two in a byte, in blocks with a scale and a zero of their own.

    Args:
        activation_quantizer: default: inputs stay floats.
        block_size: inputs that share a scale; ``None`` or -1: all of a column, without a zero.

    Raises: ValueError for quantizers with blocks: those have their own.
    """

    _mode = "int4"

    def __init__(
        self, weight_quantizer: Any = None, activation_quantizer: Any = "default", block_size: int | None = 128
    ):
        super().__init__(weight_quantizer, None if activation_quantizer == "default" else activation_quantizer)
        if block_size not in (None, -1):
            check.positive_int(self, "block_size", block_size)
            if self.weight_quantizer is not None or self.activation_quantizer is not None:
                check.fail(
                    self,
                    f"block_size={block_size} takes no quantizers; use block_size=None or leave the quantizers out",
                )
        self._check("weight_quantizer", self.weight_quantizer)
        self.block_size = block_size

    def policy_mode(self, policy: Any) -> str:
        return f"int4/{self.block_size or -1}"


class Float8QuantizationConfig(QuantizationConfig):
    """Products of 8-bit floats, for training; weights are kept as they were."""

    _mode = "float8"

    def __init__(self) -> None:
        super().__init__()

    def get_config(self) -> Config:
        return {}


class _Calibrated(QuantizationConfig):
    """What is common to the modes that look at data."""

    config_skip = frozenset({"weight_quantizer", "activation_quantizer"})
    _bits: ClassVar[tuple[int, ...]] = (4,)

    def _set(self, dataset: Any, tokenizer: Any, structure: Any, **numbers: Any) -> None:
        QuantizationConfig.__init__(self)
        self.dataset, self.tokenizer, self.quantization_layer_structure = dataset, tokenizer, structure
        for name, value in numbers.items():
            if name == "weight_bits":
                check.one_of(self, name, value, self._bits)
            elif name == "group_size":
                if value != -1:
                    check.positive_int(self, name, value)
            else:
                check.positive_int(self, name, value)
            setattr(self, name, value)

    def config_value(self, name: str) -> Any:
        return None if name in ("dataset", "tokenizer", "quantization_layer_structure") else super().config_value(name)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return super().from_config({"dataset": None, "tokenizer": None, **config})

    def dtype_policy_string(self) -> str:
        """The mode as the name of a dtype policy begins: ``"gptq/4/128"``."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"  # type: ignore[attr-defined]

    def policy_mode(self, policy: Any) -> str:
        return self.dtype_policy_string()


class GPTQConfig(_Calibrated):
    """Weights in few bits whose errors make up for each other, by the inputs that data give.

    Frantar et al. 2022, https://arxiv.org/abs/2210.17323

    Args:
        dataset: texts or arrays of tokens to calibrate with. tokenizer: text -> tokens.
        weight_bits: 2, 3, 4 or 8. num_samples: pieces of the data that are looked at.
        per_channel: a scale for each output. sequence_length: tokens in a piece.
        hessian_damping: in [0, 1], the part of the mean that is added to the diagonal.
        group_size: inputs that share a scale; -1: all. symmetric: no zero beside the scale.
        activation_order: begin with the inputs that matter most.
        quantization_layer_structure: ``{"pre_block_layers": [...], "sequential_blocks": [...]}``; default: what the
            model's ``get_quantization_layer_structure("gptq")`` gives.
    """

    _mode = "gptq"
    _bits = (2, 3, 4, 8)

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict[str, Any] | None = None,
    ):
        self._set(
            dataset, tokenizer, quantization_layer_structure,
            weight_bits=weight_bits, num_samples=num_samples, sequence_length=sequence_length, group_size=group_size,
        )  # fmt: skip
        self.per_channel = per_channel
        self.hessian_damping = check.number_in(self, "hessian_damping", hessian_damping, 0, 1)
        self.symmetric = symmetric
        self.activation_order = activation_order


class AWQConfig(_Calibrated):
    """4-bit weights, scaled up first where data give large inputs.

    Lin et al. 2023, https://arxiv.org/abs/2306.00978

    Args:
        num_grid_points: how many strengths of the scaling are tried.
        others: see ``GPTQConfig``.
    """

    _mode = "awq"

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict[str, Any] | None = None,
    ):
        self._set(
            dataset, tokenizer, quantization_layer_structure,
            weight_bits=weight_bits, num_samples=num_samples, sequence_length=sequence_length, group_size=group_size,
            num_grid_points=num_grid_points,
        )  # fmt: skip


def get(identifier: Any, **kwargs: Any) -> Any:
    """A quantizer from ``None``, a name, a config, a class or a callable; ``kwargs`` are arguments of a named class."""
    return registry.get("quantizer", identifier, make=(lambda found: found(**kwargs)) if kwargs else None)


def serialize(initializer: Any) -> Config:
    return configurable.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="quantizer")


CONFIGS = {c._mode: c for c in (Int8QuantizationConfig, Int4QuantizationConfig, Float8QuantizationConfig)}
"""The modes that need no data."""


def resolve(owner: Any, mode: Any, config: Any) -> Any:
    """The config that ``quantize(mode, config)`` means. Raises ValueError where they are missing or contradict."""
    if config is None and isinstance(mode, QuantizationConfig):
        mode, config = None, mode
    if isinstance(config, str):
        config, mode = None, mode or config
    if mode is None and config is None:
        check.fail(owner, 'quantize takes a mode such as "int8", or config=Int8QuantizationConfig(...)')
    if mode is not None:
        check.one_of(owner, "mode", mode, MODES)
    if isinstance(config, Mapping):
        config = deserialize(config)
    if config is None:
        if mode not in CONFIGS:
            name = "GPTQConfig" if mode == "gptq" else "AWQConfig"
            check.fail(
                owner, f"quantize({mode!r}) needs data to calibrate with: pass config={name}(dataset, tokenizer)"
            )
        return CONFIGS[mode]()
    if not isinstance(config, QuantizationConfig):
        check.fail(owner, f"config must be a QuantizationConfig, got {config!r}", TypeError)
    if mode not in (None, config.mode):
        check.fail(owner, f"quantize got mode={mode!r} and a config of mode {config.mode!r}; pass one of them")
    return config
