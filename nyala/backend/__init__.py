"""``keras.backend``, in old programs ``K``: the functions of Keras 1 and 2 over ``nyala.ops``, and their state.

The backends themselves (JAX, PyTorch, TensorFlow) are in ``nyala.backends``.
"""

from typing import Any

from nyala.backend._maths import *  # noqa: F403
from nyala.backend._maths import __all__ as _maths
from nyala.backend._nn import *  # noqa: F403
from nyala.backend._nn import __all__ as _nn
from nyala.backend._session import (
    Session,
    batch_get_value,
    batch_set_value,
    cast_to_floatx,
    constant,
    count_params,
    dtype,
    eval,
    function,
    get_session,
    get_uid,
    get_value,
    get_variable_shape,
    gone,
    gradients,
    image_dim_ordering,
    in_test_phase,
    in_train_phase,
    int_shape,
    is_float_dtype,
    is_int_dtype,
    is_placeholder,
    is_sparse,
    is_tensor,
    is_variable,
    learning_phase,
    learning_phase_scope,
    moving_average_update,
    ndim,
    placeholder,
    print_tensor,
    reset_uids,
    result_type,
    set_image_dim_ordering,
    set_learning_phase,
    set_session,
    set_value,
    to_dense,
    update,
    update_add,
    update_sub,
    variable,
)
from nyala.base.naming import scope as name_scope
from nyala.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from nyala.utils.session import clear_session, is_keras_tensor, standardize_dtype


def __getattr__(name: str) -> Any:
    return gone(name)


__all__ = [
    *_maths, *_nn, "Session", "backend", "batch_get_value", "batch_set_value", "cast_to_floatx", "clear_session", "constant",
    "count_params", "dtype", "epsilon", "eval", "floatx", "function", "get_session", "get_uid", "get_value", "get_variable_shape",
    "gradients",
    "image_data_format", "image_dim_ordering", "in_test_phase", "in_train_phase", "int_shape", "is_float_dtype",
    "is_int_dtype", "is_keras_tensor", "is_placeholder", "is_sparse", "is_tensor", "is_variable", "learning_phase",
    "learning_phase_scope", "moving_average_update", "name_scope", "ndim", "placeholder", "print_tensor", "reset_uids",
    "result_type", "set_epsilon", "set_floatx", "set_image_data_format", "set_image_dim_ordering",
    "set_learning_phase", "set_session", "set_value", "standardize_dtype", "to_dense", "update", "update_add", "update_sub",
    "variable",
]  # fmt: skip  # pyright: ignore[reportUnsupportedDunderAll]
