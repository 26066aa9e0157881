"""Where Nyala knowingly differs: subject -> backend (or ``"any"``) -> the reason.

A subject is ``family/name`` or ``family/name/aspect``, e.g. ``ops/erfinv/gradient``. A test asks for its row by the
fixture ``deviation``; a row that no longer fails makes its test fail, so the table cannot go stale.
"""

from __future__ import annotations

XFAILS: dict[str, dict[str, str]] = {
    "distillation/kl_divergence": {"any": "Keras softens the logits for a KLDivergence object only, not for its name"},
    "ops/bincount/abstract": {"tensorflow": "its length depends on the largest value, which a graph does not know"},
    "optimizers/Adafactor-learning_rate-relative_step-clip_threshold": {
        "any": "Keras ignores relative_step=False; here the rate stays what it is"
    },
    "utils/normalize/axis=0": {"any": "Keras divides the rows of a NumPy array by the norms of its columns"},
}
