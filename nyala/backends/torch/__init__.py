"""The PyTorch backend: eager by default, ``torch.compile`` where asked."""

from nyala.backends.torch.core import Backend

__all__ = ["Backend"]
