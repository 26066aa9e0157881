"""What each op is on TensorFlow: a table, and adapters where TF's function differs in arguments, dtypes or rules."""

from __future__ import annotations

from nyala.backends.tensorflow import elementwise, linalg, random, reductions, shapes
from nyala.backends.tensorflow.arguments import Native

NATIVES: dict[str, Native] = {
    **elementwise.NATIVES,
    **reductions.NATIVES,
    **shapes.NATIVES,
    **linalg.NATIVES,
    **random.NATIVES,
}
