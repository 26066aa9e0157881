"""The hash functions that TensorFlow's preprocessing uses, of many strings at once.

FarmHash's Fingerprint64 (github.com/google/farmhash), SipHash-2-4 (Aumasson and Bernstein, 2012) and the combination of two
fingerprints. Strings of one length form a matrix of bytes, so that a step of the algorithm is one NumPy operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_U = np.uint64
_K0, _K1, _K2 = _U(0xC3A5C85C97CB3127), _U(0xB492B66FBE98F273), _U(0x9AE16A3B2F90404F)
FACTOR, KEY = 0xC6A4A7935BD1E995, 0xDECAFCAFFE
_CAT = _U(FACTOR)


def _by_length(texts: Any, function: Callable[[Any, int], np.ndarray]) -> np.ndarray:
    """``function`` of the bytes and length of the strings of each length; uint64s of the shape of ``texts``."""
    texts = np.asarray(texts, dtype=object)
    flat = [t if isinstance(t, bytes) else str(t).encode() for t in texts.ravel()]
    lengths = np.array([len(t) for t in flat], dtype=int)
    result = np.zeros(len(flat), _U)
    with np.errstate(over="ignore"):
        for n in np.unique(lengths):
            chosen = np.nonzero(lengths == n)[0]
            joined = np.frombuffer(b"".join(flat[i] for i in chosen), np.uint8)
            result[chosen] = function(_Bytes(joined.reshape(len(chosen), n)), int(n))
    return result.reshape(texts.shape)


class _Bytes:
    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix

    def word(self, at: int, size: int = 8) -> np.ndarray:
        """The little-endian number in the ``size`` bytes from ``at``."""
        part = np.zeros((len(self.matrix), 8), np.uint8)
        part[:, :size] = self.matrix[:, at : at + size]
        return part.view("<u8")[:, 0].astype(_U)


def _rotated(x: Any, n: int) -> Any:
    """Rotation to the right."""
    return (x >> _U(n)) | (x << _U(64 - n))


def _mixed(x: Any) -> Any:
    return x ^ (x >> _U(47))


def _of_two(u: Any, v: Any, mul: Any) -> Any:
    a = _mixed((u ^ v) * mul)
    return _mixed((v ^ a) * mul) * mul


def fingerprint64(texts: Any) -> np.ndarray:
    """FarmHash's Fingerprint64 of each string (or bytes)."""
    return _by_length(texts, _farm)


def _farm(s: _Bytes, n: int) -> Any:
    f, mul = s.word, _K2 + _U(2 * n)
    if n == 0:
        return _K2
    if n < 4:
        a, b, c = f(0, 1), f(n >> 1, 1), f(n - 1, 1)
        return _mixed((a + (b << _U(8))) * _K2 ^ (_U(n) + (c << _U(2))) * _K0) * _K2
    if n < 8:
        return _of_two(_U(n) + (f(0, 4) << _U(3)), f(n - 4, 4), mul)
    if n <= 16:
        a, b = f(0) + _K2, f(n - 8)
        return _of_two(_rotated(b, 37) * mul + a, (_rotated(a, 25) + b) * mul, mul)
    if n > 64:
        return _farm_long(s, n)
    a, b, c, d = f(0) * (_K1 if n <= 32 else _K2), f(8), f(n - 8) * mul, f(n - 16) * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _of_two(y, a + _rotated(b + _K2, 18) + c, mul)
    if n <= 32:
        return z
    e, g, h = f(16) * mul, (y + f(n - 32)) * mul, (z + f(n - 24)) * mul
    return _of_two(_rotated(e + f(24), 43) + _rotated(g, 30) + h, e + _rotated(f(24) + a, 18) + g, mul)


def _farm_long(s: _Bytes, n: int) -> Any:
    f = s.word
    seed = _U(81)
    y = seed * _K1 + _U(113)
    z = _mixed(y * _K2 + _U(113)) * _K2
    v = w = (_U(0), _U(0))
    x = seed * _K2 + f(0)
    for at in range(0, (n - 1) // 64 * 64, 64):
        x, y, z, v, w = _farm_block(f, at, x, y, z, v, w, _K1, _U(1))
    mul = _K1 + ((z & _U(0xFF)) << _U(1))
    w = (w[0] + _U((n - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _farm_block(f, n - 64, x, y, z, v, w, mul, _U(9))
    return _of_two(_of_two(v[0], w[0], mul) + _mixed(y) * _K0 + z, _of_two(v[1], w[1], mul) + x, mul)


def _farm_block(f: Any, at: int, x: Any, y: Any, z: Any, v: Any, w: Any, mul: Any, nine: Any) -> Any:
    x = _rotated(x + y + v[0] + f(at + 8), 37) * mul
    y = _rotated(y + v[1] + f(at + 48), 42) * mul
    x = x ^ (w[1] * nine)
    y = y + v[0] * nine + f(at + 40)
    z = _rotated(z + w[0], 33) * mul
    v = _weak(f, at, v[1] * mul, x + w[0])
    w = _weak(f, at + 32, z + w[1], y + f(at + 16))
    return z, y, x, v, w


def _weak(f: Any, at: int, a: Any, b: Any) -> tuple[Any, Any]:
    a = a + f(at)
    b = _rotated(b + a + f(at + 24), 21)
    c = a
    a = a + f(at + 8) + f(at + 16)
    return a + f(at + 24), b + _rotated(a, 44) + c


def siphash64(texts: Any, key: Sequence[int]) -> np.ndarray:
    """SipHash-2-4 of each string (or bytes), keyed by two ints."""
    k0, k1 = (_U(k & (2**64 - 1)) for k in key)
    return _by_length(texts, lambda s, n: _sip(s, n, k0, k1))


def _sip(s: _Bytes, n: int, k0: Any, k1: Any) -> Any:
    v = [
        k0 ^ _U(0x736F6D6570736575), k1 ^ _U(0x646F72616E646F6D), k0 ^ _U(0x6C7967656E657261), k1 ^ _U(0x7465646279746573)
    ]  # fmt: skip
    words = [s.word(at) for at in range(0, n // 8 * 8, 8)]
    words.append(s.word(n // 8 * 8, n % 8) | _U((n & 0xFF) << 56))
    for word in words:
        v[3] = v[3] ^ word
        v = _sip_round(_sip_round(v))
        v[0] = v[0] ^ word
    v[2] = v[2] ^ _U(0xFF)
    for _ in range(4):
        v = _sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _sip_round(v: list[Any]) -> list[Any]:
    a, b, c, d = v
    a = a + b
    c = c + d
    b, d = _rotated(b, 64 - 13) ^ a, _rotated(d, 64 - 16) ^ c
    a = _rotated(a, 32)
    c, a = c + b, a + d
    b, d = _rotated(b, 64 - 17) ^ c, _rotated(d, 64 - 21) ^ a
    return [a, b, _rotated(c, 32), d]


def buckets(texts: Any, n: int, salt: int | Sequence[int] | None = None) -> np.ndarray:
    """The bucket in [0, n) of each string: by Fingerprint64, or with ``salt`` by SipHash with that key."""
    if salt is None:
        found = fingerprint64(texts)
    else:
        found = siphash64(texts, (salt, salt) if isinstance(salt, int) else salt)
    return (found % _U(n)).astype("int64")


def crossed(features: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The bucket in [0, n) of each combination of features: ints as they are, strings by their fingerprints."""
    result: Any = np.full(np.shape(features[0]), _U(KEY))
    with np.errstate(over="ignore"):
        for values in features:
            prints = values.astype("int64").view(_U) if values.dtype.kind in "iub" else fingerprint64(values)
            result = result ^ _CAT ^ (_mixed(prints * _CAT) * _CAT)
            result = _mixed(_mixed(result * _CAT) * _CAT)
    return (result % _U(n)).astype("int64")


__all__ = ["buckets", "crossed", "fingerprint64", "siphash64"]
