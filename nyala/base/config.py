"""Global settings: float type, image layout, epsilon; Keras's ``~/.keras/keras.json`` is read, never written."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from nyala.base import check

_FLOATX = ("float16", "bfloat16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")


def home() -> Path:
    """The folder for data sets and ``keras.json``: ``$NYALA_HOME``, ``$KERAS_HOME`` or ``~/.keras``."""
    return Path(os.environ.get("NYALA_HOME") or os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def _from_file() -> dict[str, Any]:
    path = home() / "keras.json"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warnings.warn(f"{path} is not readable JSON and is ignored: {error}", stacklevel=2)
        return {}
    return found if isinstance(found, dict) else {}


_settings: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "backend": None,
    "traceback_filtering": True,
    "nan_check": True,
    "interactive_logging": True,
    "max_epochs": None,
    "max_steps_per_epoch": None,
    "flash_attention": None,
    "determinism": False,
}
_settings.update({k: v for k, v in _from_file().items() if k in _settings})


def floatx() -> str:
    """The default float dtype, ``"float32"`` unless set."""
    return _settings["floatx"]


def set_floatx(value: str) -> None:
    _settings["floatx"] = check.one_of("set_floatx", "value", value, _FLOATX)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite, 1e-7 unless set."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    _settings["epsilon"] = float(check.number_in("set_epsilon", "value", value, 0.0))


def image_data_format() -> str:
    """``"channels_last"`` (default) or ``"channels_first"``."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    _settings["image_data_format"] = check.one_of("set_image_data_format", "data_format", data_format, _LAYOUTS)


def enable_flash_attention() -> None:
    """Attention takes a fused kernel that keeps no scores where the backend has a fast one; so it does by default."""
    _settings["flash_attention"] = None


def disable_flash_attention() -> None:
    """From now on attention avoids such kernels, but where ``flash_attention=True`` asks for one."""
    _settings["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """False after ``disable_flash_attention``, else ``None``: a backend takes what is fast."""
    return _settings["flash_attention"]


def standardize_data_format(owner: Any, data_format: str | None) -> str:
    """``None`` becomes the global image layout."""
    if data_format is None:
        return image_data_format()
    return check.one_of(owner, "data_format", str(data_format).lower(), _LAYOUTS)


def enable_interactive_logging() -> None:
    """Progress is printed to standard output, as it is by default."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Progress goes to the logger ``nyala`` at level INFO, a line an epoch, and nothing to standard output."""
    _settings["interactive_logging"] = False


def is_interactive_logging_enabled() -> bool:
    return _settings["interactive_logging"]


def enable_traceback_filtering() -> None:
    """Errors in calls, ``fit`` and the like leave Nyala's own frames out of the traceback, as they do by default."""
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Tracebacks show every frame."""
    _settings["traceback_filtering"] = False


def is_traceback_filtering_enabled() -> bool:
    return _settings["traceback_filtering"]


def max_epochs() -> int | None:
    """The most epochs that any ``fit`` runs: what was set, else ``$KERAS_MAX_EPOCHS``; ``None``: no limit."""
    return _limit("max_epochs", "KERAS_MAX_EPOCHS")


def set_max_epochs(max_epochs: int | None) -> None:
    """Stop every ``fit`` after so many epochs, for quick tries of a program; ``None``: no limit."""
    _settings["max_epochs"] = None if max_epochs is None else check.positive_int("config", "max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most batches of an epoch of ``fit``, ``evaluate`` and ``predict``; else ``$KERAS_MAX_STEPS_PER_EPOCH``."""
    return _limit("max_steps_per_epoch", "KERAS_MAX_STEPS_PER_EPOCH")


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """End every epoch of ``fit``, ``evaluate`` and ``predict`` after so many batches; ``None``: no limit."""
    n = max_steps_per_epoch
    _settings["max_steps_per_epoch"] = None if n is None else check.positive_int("config", "max_steps_per_epoch", n)


def enable_determinism() -> None:
    """See ``nyala.config.enable_determinism``, which also tells the backends."""
    _settings["determinism"] = True


def is_determinism_enabled() -> bool:
    """Whether ``enable_determinism`` was called."""
    return _settings["determinism"]


def _limit(name: str, variable: str) -> int | None:
    found = _settings[name]
    if found is None and os.environ.get(variable):
        return check.positive_int("config", f"${variable}", int(os.environ[variable]))
    return found


def enable_unsafe_deserialization() -> None:
    """Raise: there is no such switch, by design."""
    check.fail(
        "config",
        "enable_unsafe_deserialization does not exist here: a file can never run code. Give what it names by "
        "custom_objects={...} or register it by the decorator register_keras_serializable",
        RuntimeError,
    )


def is_nnx_enabled() -> bool:
    """Whether variables are those of Flax NNX; they never are."""
    return False


def get(name: str) -> Any:
    return _settings[name]
