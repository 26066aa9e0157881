"""Preparing data before a model sees it, as old Keras had it: images, sequences, texts."""

from nyala.preprocessing import image, sequence, text

__all__ = ["image", "sequence", "text"]
