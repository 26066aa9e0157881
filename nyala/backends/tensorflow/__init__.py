"""The TensorFlow backend: eager outside, `tf.function` where something is compiled."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from nyala.backends.tensorflow.core import Backend

__all__ = ["Backend"]
