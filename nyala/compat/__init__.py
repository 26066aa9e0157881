"""Programs written for Keras, any version of it, run on Nyala: ``nyala run program.py``, or ``nyala.compat.install()``."""

from nyala.compat.hook import install, installed

__all__ = ["install", "installed"]
