"""Random numbers, determined by a seed of two 32 bit words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from nyala.backends.torch.types import default_device, native_dtype

if TYPE_CHECKING:
    from nyala.base.variable import Variable

_generators: dict[torch.device, torch.Generator] = {}


def next_seed(state: Variable) -> Tensor:
    """The state before its counter is advanced. torch cannot add uint32; the same bits as int32 wrap around alike."""
    seed = state.raw_value.clone()
    state.assign((seed.view(torch.int32) + _ONE).view(torch.uint32))
    return seed


_ONE = torch.tensor([0, 1], dtype=torch.int32)


def _generator(seed: Tensor, device: torch.device) -> torch.Generator | None:
    """A generator in the state that ``seed`` says; ``None`` where nothing is computed."""
    if isinstance(seed, FakeTensor) or torch._C._functorch.is_functorch_wrapped_tensor(seed) or _faking():  # pyright: ignore[reportAttributeAccessIssue]
        return None
    key, counter = seed.tolist()
    found = _generators.get(device)
    if found is None:
        found = _generators[device] = torch.Generator(device)
    # Neighbouring counters must give unrelated streams: a multiplication by an odd constant, folded (splitmix64).
    mixed = ((int(key) << 32 | int(counter) & 0xFFFFFFFF) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return found.manual_seed(mixed ^ mixed >> 27)


class _Export(threading.local):
    running = False


export = _Export()
"""``torch.export`` has fake tensors, too, but must see all of what is computed."""


def _faking() -> bool:
    """Whether only shapes are being found."""
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None and not export.running


def _uniform(shape: Sequence[int], seed: Tensor, dtype: Any) -> Tensor:
    device = default_device()
    return torch.rand(tuple(shape), generator=_generator(seed, device), dtype=native_dtype(dtype), device=device)


def _dropout(inputs: Tensor, rate: float, noise_shape: Sequence[int], seed: Tensor) -> Tensor:
    """By one product, whose gradient is another; choosing by a mask takes three passes more."""
    factors = _uniform(noise_shape, seed, "float32").ge_(rate).mul_(1.0 / (1.0 - rate))
    return inputs * factors.to(inputs.dtype)


def _normal(shape: Sequence[int], seed: Tensor, dtype: Any) -> Tensor:
    device = default_device()
    return torch.randn(tuple(shape), generator=_generator(seed, device), dtype=native_dtype(dtype), device=device)


def _truncated_normal(shape: Sequence[int], seed: Tensor, dtype: Any) -> Tensor:
    """The standard normal between -2 and 2, by its inverse distribution function."""
    to = native_dtype(dtype)
    u = _uniform(shape, seed, "float64" if to is torch.float64 else "float32")
    bound = 0.9544997361036416  # erf(sqrt(2)): the mass within two sigmas
    out = torch.erfinv(u.mul_(2 * bound).sub_(bound)).mul_(1.4142135623730951).clamp_(-2.0, 2.0)
    return out.to(to)


def _randint(shape: Sequence[int], low: Any, high: Any, seed: Tensor, dtype: Any) -> Tensor:
    device = default_device()
    generator = _generator(seed, device)
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        u = torch.rand(tuple(shape), generator=generator, dtype=torch.float64, device=device)
        return torch.floor(u * (high - low) + low).to(native_dtype(dtype))
    out = torch.randint(int(low), int(high), tuple(shape), generator=generator, device=device)
    return out.to(native_dtype(dtype))


def _gamma(shape: Sequence[int], alpha: Any, seed: Tensor, dtype: Any) -> Tensor:
    device = default_device()
    to = native_dtype(dtype)
    inner = to if to in (torch.float32, torch.float64) else torch.float32
    alpha = torch.as_tensor(alpha, dtype=inner, device=device).expand(tuple(shape))
    generator = _generator(seed, device)
    if generator is None:
        return torch.empty(tuple(shape), dtype=to, device=device)
    return torch._standard_gamma(alpha.contiguous(), generator).to(to)


def _binomial(shape: Sequence[int], counts: Tensor, probabilities: Tensor, seed: Tensor, dtype: Any) -> Tensor:
    device = default_device()
    counts, probabilities = (v.to(torch.float32).expand(tuple(shape)) for v in (counts, probabilities))
    generator = _generator(seed, device)
    if generator is None:
        return torch.empty(tuple(shape), dtype=native_dtype(dtype), device=device)
    return torch.binomial(counts, probabilities, generator).to(native_dtype(dtype))


def _shuffle(x: Tensor, axis: int, seed: Tensor) -> Tensor:
    order = torch.randperm(x.shape[axis], generator=_generator(seed, x.device), device=x.device)
    return x.index_select(axis, order)


def _categorical(logits: Tensor, num_samples: int, seed: Tensor, dtype: Any) -> Tensor:
    probabilities = torch.softmax(logits, -1)
    generator = _generator(seed, logits.device)
    out = torch.multinomial(probabilities, num_samples, replacement=True, generator=generator)
    return out.to(native_dtype(dtype))


natives: dict[str, Callable[..., Any]] = {
    "_uniform": _uniform, "_dropout": _dropout, "_normal": _normal, "_truncated_normal": _truncated_normal, "_randint": _randint,
    "_gamma": _gamma, "_binomial": _binomial, "_shuffle": _shuffle, "_categorical": _categorical,
}  # fmt: skip
