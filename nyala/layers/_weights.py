"""A weight's initializer, regularizer and constraint: kept as ``<weight>_initializer`` and so on, used by ``add``."""

from __future__ import annotations

from typing import Any

from nyala import constraints, initializers, regularizers
from nyala._typing import Identifier, Shape
from nyala.base import check
from nyala.base.variable import Variable
from nyala.layers import swap
from nyala.layers.base import Layer
from nyala.quantizers import quantizers


def options(
    layer: Layer, weight: str, initializer: Identifier, regularizer: Identifier = None, constraint: Identifier = None
) -> None:
    """Resolve what the constructor was given for ``weight`` and keep it under Keras's attribute names."""
    setattr(layer, f"{weight}_initializer", initializers.get(initializer))
    setattr(layer, f"{weight}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{weight}_constraint", constraints.get(constraint))


def known(layer: Layer, weight: str, shape: Shape) -> tuple[int, ...]:
    """``shape`` with all its sizes known."""
    if any(n is None for n in shape):
        check.fail(
            layer,
            f"the shape {tuple(shape)} of its {weight} depends on an axis of the input that is not known; "
            "give that axis a size in Input(shape=...)",
        )
    return tuple(int(n) for n in shape)  # type: ignore[arg-type]


def add(layer: Layer, weight: str, shape: Shape, *, name: str | None = None, autocast: bool = True) -> Variable:
    """A new trainable weight with the options kept for it; ``name`` if it is called otherwise."""
    return layer.add_weight(
        name=name or weight,
        shape=known(layer, weight, shape),
        initializer=getattr(layer, f"{weight}_initializer"),
        regularizer=getattr(layer, f"{weight}_regularizer"),
        constraint=getattr(layer, f"{weight}_constraint"),
        autocast=autocast,
    )


class Adaptable(Layer):
    """A layer with one main weight, which can be quantized, or frozen and trained by the product of two thin matrices.

    Either makes it a layer of another class (``layers/swap.py``), with the same name, that computes in that way.

    Args:
        lora_rank: columns of a, rows of b; ``None``: no adaptation. lora_alpha: default ``lora_rank``.
        quantization_config: how it is quantized when its policy says that it is, or when ``quantize()`` is called.
    """

    _adapted: str = "kernel"
    _main_shape: tuple[int, ...] = ()
    lora_enabled = False

    def _set_adaptation(self, rank: int | None, alpha: float | None, config: Any) -> None:
        self.lora_rank = rank if rank is None else check.positive_int(self, "lora_rank", rank)
        self.lora_alpha = rank if alpha is None else alpha
        self.quantization_config = None if config is None else quantizers.resolve(self, None, config)

    @property
    def _main(self) -> Variable:
        """The variable of the main weight, whatever its name gives in an adapted layer."""
        return self.__dict__[self._adapted]

    def _add_main(self, shape: Shape) -> None:
        """Make the main weight."""
        self._main_shape = known(self, self._adapted, shape)
        self.__dict__[self._adapted] = add(self, self._adapted, shape)

    def _after_build(self) -> None:
        if self.lora_rank and not self.lora_enabled:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Identifier = "he_uniform",
        b_initializer: Identifier = "zeros",
    ) -> None:
        """Freeze the main weight and train ``rank`` * (rows + columns) numbers in its place.

        weight + (alpha / rank) * a @ b, Hu et al. 2021, https://arxiv.org/abs/2106.09685
        A file holds the sum.

        Raises ValueError if the layer is not built, has a constraint on the weight, or has been adapted before.
        """
        weight = self._adapted
        if not self.built:
            check.fail(self, "enable_lora needs a built layer: call it on data or use build(input_shape) first")
        if self.lora_enabled:
            check.fail(self, "enable_lora was called before; a layer is adapted once")
        if getattr(self, f"{weight}_constraint") is not None:
            check.fail(
                self, f"enable_lora does not go with {weight}_constraint: the constraint would not hold for the sum"
            )
        self.lora_rank = check.positive_int(self, "rank", rank)
        self.lora_alpha = rank if lora_alpha is None else lora_alpha
        shapes = {"a": (*self._main_shape[:-1], rank), "b": (rank, self._main_shape[-1])}
        for side, initializer in (("a", a_initializer), ("b", b_initializer)):
            name = f"lora_{weight}_{side}"
            variable = self.add_weight(
                name=name,
                shape=shapes[side],
                initializer=initializer,
                regularizer=getattr(self, f"{weight}_regularizer"),
            )
            setattr(self, name, variable)
        self._main.trainable = False
        swap.become(self, lora=True)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        lora = {k: config[k] for k in ("lora_rank", "lora_alpha")}
        if self.lora_rank and "lora_rank" in self.config_order:
            return config
        rest = {k: v for k, v in config.items() if k not in lora}
        return {**rest, **lora} if self.lora_rank else rest
