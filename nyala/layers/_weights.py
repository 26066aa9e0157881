"""A weight's initializer, regularizer and constraint: kept as ``<weight>_initializer`` and so on, used by ``add``."""

from __future__ import annotations

from typing import Any

from nyala import constraints, initializers, regularizers
from nyala._typing import Identifier, Shape
from nyala.base import check
from nyala.base.variable import Variable
from nyala.layers.base import Layer


def options(
    layer: Layer, weight: str, initializer: Identifier, regularizer: Identifier = None, constraint: Identifier = None
) -> None:
    """Resolve what the constructor was given for ``weight`` and keep it under Keras's attribute names."""
    setattr(layer, f"{weight}_initializer", initializers.get(initializer))
    setattr(layer, f"{weight}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{weight}_constraint", constraints.get(constraint))


def add(layer: Layer, weight: str, shape: Shape, *, name: str | None = None, autocast: bool = True) -> Variable:
    """A new trainable weight with the options kept for it; ``name`` if it is called otherwise."""
    if any(n is None for n in shape):
        check.fail(
            layer,
            f"the shape {tuple(shape)} of its {weight} depends on an axis of the input that is not known; "
            "give that axis a size in Input(shape=...)",
        )
    return layer.add_weight(
        name=name or weight,
        shape=shape,
        initializer=getattr(layer, f"{weight}_initializer"),
        regularizer=getattr(layer, f"{weight}_regularizer"),
        constraint=getattr(layer, f"{weight}_constraint"),
        autocast=autocast,
    )


class LoRA(Layer):
    """A layer whose main weight can be frozen and trained by the product of two thin matrices.

    weight + (alpha / rank) * a @ b, Hu et al. 2021, https://arxiv.org/abs/2106.09685

    Args:
        lora_rank: columns of a, rows of b; ``None``: no adaptation. lora_alpha: default ``lora_rank``.
    """

    _adapted: str = "kernel"
    lora_kernel_a: Variable
    lora_kernel_b: Variable
    lora_embeddings_a: Variable
    lora_embeddings_b: Variable

    def _set_lora(self, rank: int | None, alpha: float | None) -> None:
        self.lora_rank = rank if rank is None else check.positive_int(self, "lora_rank", rank)
        self.lora_alpha = rank if alpha is None else alpha
        self.lora_enabled = False

    def _no_quantization(self, quantization_config: Any) -> None:
        if quantization_config is not None:
            check.fail(self, "quantization_config must be None: quantization is not available", NotImplementedError)
        self.quantization_config = None

    @property
    def _lora_scale(self) -> float:
        return (self.lora_alpha or 0) / (self.lora_rank or 1)

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
        frozen: Variable = getattr(self, weight)
        shapes = {"a": (*frozen.shape[:-1], rank), "b": (rank, frozen.shape[-1])}
        for side, initializer in (("a", a_initializer), ("b", b_initializer)):
            name = f"lora_{weight}_{side}"
            variable = self.add_weight(
                name=name,
                shape=shapes[side],
                initializer=initializer,
                regularizer=getattr(self, f"{weight}_regularizer"),
            )
            setattr(self, name, variable)
        frozen.trainable = False
        self.lora_enabled = True

    def _own(self) -> list[Variable]:
        # Frozen or not, the main weight keeps its place in ``weights``.
        return sorted(super()._own(), key=lambda v: v is not getattr(self, self._adapted, None))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        rank, alpha = config.pop("lora_rank"), config.pop("lora_alpha")
        return {**config, "lora_rank": rank, "lora_alpha": alpha} if rank else config
