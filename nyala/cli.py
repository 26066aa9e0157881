"""The command ``nyala``: ``run``, ``doctor``, and what has an entry in ``COMMANDS``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import nyala


@dataclass(frozen=True)
class Command:
    """A subcommand: what it does in one line, its arguments, and the function that gets them parsed."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], Any]
    run: Callable[[argparse.Namespace], int | None]
    """Returns the exit status; ``None`` is 0."""


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", help="jax, torch or tensorflow (default: as the environment or keras.json says)")
    parser.add_argument("-m", dest="module", action="store_true", help="PROGRAM is a module, as in python -m")
    parser.add_argument("program", help="a file, a folder with a __main__.py, or - for the standard input")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program finds in sys.argv")


def _run(given: argparse.Namespace) -> None:
    from nyala.compat import program

    program.run(given.program, given.arguments, module=given.module, backend=given.backend)


def _doctor(given: argparse.Namespace) -> int:
    """Versions, backends and devices; exit status 1 when the default backend does not work."""
    from nyala import backends
    from nyala.base import config

    print(f"nyala {nyala.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("numpy", "h5py", "keras"):
        print(f"{package} {_version(package)}")
    default = backends.default_name()
    works = False
    for name in backends.NAMES:
        try:
            found = backends.get(name)
            state = f"{_version(name)}, devices: {', '.join(found.devices())}"
            works = works or name == default
        except Exception as error:
            state = str(error)
        print(f"{'*' if name == default else ' '} {name}: {state}")
    print(f"* is the default. Data sets, weights and keras.json: {config.home()}")
    for variable in ("NYALA_BACKEND", "KERAS_BACKEND", "NYALA_HOME", "KERAS_HOME"):
        if variable in os.environ:
            print(f"{variable}={os.environ[variable]}")
    return 0 if works else 1


def _version(package: str) -> str:
    """The version of an installed package, under whichever name it was installed."""
    for name in (package, f"{package}-cpu", f"{package}-macos", f"{package}-intel"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"


COMMANDS: dict[str, Command] = {
    "run": Command("run a program written for any version of Keras", _run_arguments, _run),
    "doctor": Command("tell versions, backends and devices", lambda parser: None, _doctor),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="nyala", description=nyala.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--version", action="version", version=f"nyala {nyala.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.help, description=command.help.capitalize()))
    given = parser.parse_args(arguments)
    status = COMMANDS[given.command].run(given)
    if status:
        sys.exit(status)
