"""Imported by multiprocessing's fork server, so that it and its children have the hook."""

from nyala.compat import install

install()
