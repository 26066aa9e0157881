"""The tables of ``Embedding`` and ``ReversibleEmbedding`` in 8 and 4 bits, and LoRA beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala import ops
from nyala._typing import Tensor
from nyala.backends import dtypes
from nyala.base.variable import Variable
from nyala.layers.quantized.parts import _Encoded, _LoRA, applied, blocks_of, from_blocks
from nyala.quantizers import functions, quantizers
from nyala.quantizers.quantizers import AbsMaxQuantizer


class _LoRATable(_LoRA):
    @property
    def embeddings(self) -> Tensor:
        """The sum of the frozen table and what was learned."""
        return self._merged()

    def _vectors(self, indices: Any) -> Tensor:
        a, b = self._pair
        x = super()._vectors(indices)  # type: ignore[misc]
        low = ops.multiply(ops.matmul(ops.take(a, indices, axis=0), b), self._strength)
        return ops.add(x, ops.cast(low, ops.dtype(x)))


class _LoRAReversible(_LoRATable):
    tie_weights: bool

    def _scores(self, x: Any, dtype: str) -> Tensor:
        scores = super()._scores(x, dtype)  # type: ignore[misc]
        if not self.tie_weights or dtypes.is_float(self._main.dtype):
            return scores  # of its own table, or of the sum
        a, b = (ops.cast(v, dtype) for v in self._pair)
        low = ops.matmul(ops.matmul(ops.cast(x, dtype), ops.transpose(b)), ops.transpose(a))
        return ops.add(scores, ops.multiply(low, self._strength))


class _Int8Table(_Encoded):
    """Rows of ints with a scale each."""

    _beside = ("embeddings_scale",)

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        q, scale = applied(self._weight_quantizer((-127, 127)), w, -1)
        return {"embeddings": q, "embeddings_scale": scale[:, 0]}

    def _decoded(self) -> Tensor:
        scale = self.__dict__["embeddings_scale"].raw_value
        return ops.divide(ops.cast(self._main.raw_value, ops.dtype(scale)), scale[:, None])

    def _vectors(self, indices: Any) -> Tensor:
        rows = ops.take(self._main.value, indices, axis=0)
        scale = ops.take(self.__dict__["embeddings_scale"].value, indices, axis=0)
        return ops.divide(ops.cast(rows, self.compute_dtype), ops.expand_dims(scale, -1))


class _Int4Table(_Encoded):
    """Rows of ints, two in a byte, in blocks along a row."""

    _beside = ("embeddings_scale", "embeddings_zero", "g_idx")

    def _encode(self, w: Tensor) -> dict[str, Tensor]:
        if self._block:
            q, scale, zero = map(ops.transpose, functions.in_blocks(ops, ops.transpose(w), self._block))
            blocks = blocks_of(w.shape[1], self._block)
            more = {"embeddings_zero": ops.cast(zero, "int8"), "g_idx": blocks}
        else:
            q, scale = applied(self._weight_quantizer((-8, 7)), w, -1)
            scale, more = scale[:, 0], {}
        packed = functions.pack_int4(ops.cast(q, "int8"), axis=-1)[0]
        return {"embeddings": packed, "embeddings_scale": scale, **more}

    @property
    def embeddings(self) -> Tensor:
        """The ints, unpacked."""
        return functions.unpack_int4(self._main.raw_value, self._main_shape[1], axis=-1)

    def _decoded(self) -> Tensor:
        return self._floats(lambda v: v.raw_value)

    def _vectors(self, indices: Any) -> Tensor:
        return self._floats(lambda v: ops.take(v.value, indices, axis=0))

    def _floats(self, rows_of: Callable[[Variable], Tensor]) -> Tensor:
        q = functions.unpack_int4(rows_of(self._main), self._main_shape[1], axis=-1)
        scale = rows_of(self.__dict__["embeddings_scale"])
        if not self._block:
            return ops.divide(ops.cast(q, ops.dtype(scale)), ops.expand_dims(scale, -1))
        blocks = self.__dict__["g_idx"].raw_value
        return from_blocks(q, scale, rows_of(self.__dict__["embeddings_zero"]), blocks, -1)


class _Reversible(_Encoded):
    """The way back of quantized tables: by the rows of the table, or by the columns of a table of its own."""

    tie_weights: bool

    def _encoders(self) -> dict[str, Any]:
        return {**super()._encoders(), **({} if self.tie_weights else {"reverse_embeddings": self._encode_reverse})}

    def _add_reverse(self, shape: Any) -> None:
        self._add_for(self._encode_reverse, shape)

    def _encode_reverse(self, w: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def _back_product(self, x: Any, w: Tensor, scale: Tensor, dtype: str) -> Tensor:
        """x @ w / scale for ints w (n, rows) and a scale for each row; with a quantizer, of ints."""
        x = ops.cast(x, dtype)
        default = AbsMaxQuantizer() if self.quantization_mode == "int8" else None
        quantizer = quantizers.QuantizationConfig.activation_quantizer_or_default(self.quantization_config, default)
        if quantizer is None:
            return ops.divide(ops.matmul(x, ops.cast(w, dtype)), scale)

        @ops.custom_gradient
        def product(x: Tensor) -> Any:
            q, x_scale = applied(quantizer, x, -1)
            y = ops.divide(ops.cast(ops.matmul(q, w), dtype), ops.multiply(x_scale, scale))
            return y, lambda dy: ops.matmul(ops.divide(dy, scale), ops.transpose(ops.cast(w, dtype)))

        return product(x)


class _Int8Reversible(_Reversible, _Int8Table):
    def _encode_reverse(self, w: Tensor) -> dict[str, Tensor]:
        q, scale = applied(self._weight_quantizer((-127, 127)), w, 0)
        return {"reverse_embeddings": q, "reverse_embeddings_scale": scale[0]}

    def _scores(self, x: Any, dtype: str) -> Tensor:
        if self.tie_weights:
            w, scale = ops.transpose(self._main.value), self.__dict__["embeddings_scale"].value
        else:
            w, scale = (self.__dict__[n].value for n in ("reverse_embeddings", "reverse_embeddings_scale"))
        return self._back_product(x, w, ops.cast(scale, dtype), dtype)


class _Int4Reversible(_Reversible, _Int4Table):
    def _encode_reverse(self, w: Tensor) -> dict[str, Tensor]:
        if self._block:
            q, scale, zero = functions.in_blocks(ops, w, self._block)
            more = {"reverse_embeddings_zero": zero}
        else:
            q, scale = applied(self._weight_quantizer((-8, 7)), w, 0)
            scale, more = scale[0], {}
        packed = functions.pack_int4(ops.cast(q, "int8"), axis=0)[0]
        return {"reverse_embeddings": packed, "reverse_embeddings_scale": scale, **more}

    def _scores(self, x: Any, dtype: str) -> Tensor:
        if self.tie_weights:
            if self._block:
                return ops.matmul(ops.cast(x, dtype), ops.cast(ops.transpose(self._decoded()), dtype))
            w, scale = (
                ops.transpose(functions.unpack_int4(self._main.raw_value, self._main_shape[1], axis=-1)),
                "embeddings_scale",
            )
        else:
            w = functions.unpack_int4(self.__dict__["reverse_embeddings"].raw_value, self._main_shape[1], axis=0)
            scale = "reverse_embeddings_scale"
            if self._block:
                zero, blocks = (self.__dict__[n].raw_value for n in ("reverse_embeddings_zero", "g_idx"))
                w = from_blocks(w, self.__dict__[scale].raw_value, zero, blocks, 0)
                return ops.matmul(ops.cast(x, dtype), ops.cast(w, dtype))
        return self._back_product(x, w, ops.cast(self.__dict__[scale].value, dtype), dtype)
