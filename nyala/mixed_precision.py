"""Mixed precision under the names of Keras 2 and 3."""

from nyala.base.policy import DTypePolicy, dtype_policy, set_dtype_policy
from nyala.optimizers import LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]
