"""``keras.legacy``: what Keras 3 keeps of Keras 2."""

from nyala.legacy import saving

__all__ = ["saving"]
