"""Libraries that are not always installed."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str, who: str, extra: str) -> Any:
    """The module. Raises ImportError saying who needs it and how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ImportError(f'{who} needs {library}: pip install "nyala[{extra}]"') from error


def pyplot(who: str) -> Any:
    """``matplotlib.pyplot``."""
    return needed("matplotlib.pyplot", who, "plot")
