"""Small data sets as arrays in memory."""

from nyala.datasets import fashion_mnist, mnist

__all__ = ["fashion_mnist", "mnist"]
