"""The command ``nyala``: its subcommands are the entries of ``COMMANDS``."""

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


def _file_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a model or weights file of any version of Keras")


def _inspect(given: argparse.Namespace) -> int:
    """Exit status 1 when the file would be refused."""
    from nyala.saving import inspect

    info = inspect(given.file)
    print(info)
    return 1 if info.problems else 0


def _custom_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--custom",
        metavar="PROGRAM",
        help="a Python file of yours that defines the custom classes and functions; it is run",
    )


def _custom_objects(given: argparse.Namespace) -> dict[str, Any]:
    if given.custom is None:
        return {}
    import runpy

    return {name: x for name, x in runpy.run_path(given.custom).items() if callable(x)}


def _summary_arguments(parser: argparse.ArgumentParser) -> None:
    _file_arguments(parser)
    _custom_argument(parser)


def _summary(given: argparse.Namespace) -> None:
    from nyala.saving import load_model

    load_model(given.file, _custom_objects(given), compile=False).summary()


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="a model file of any version of Keras, or weights with --architecture")
    parser.add_argument(
        "target", help="ends in .keras, .h5, .weights.h5, .weights.json, .safetensors, or in .json for the architecture"
    )
    parser.add_argument(
        "--architecture", metavar="JSON", help="the model's architecture, where SOURCE holds weights only"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    _custom_argument(parser)


def _convert(given: argparse.Namespace) -> None:
    from nyala.saving import convert

    off = convert(
        given.source,
        given.target,
        architecture=given.architecture,
        custom_objects=_custom_objects(given),
        overwrite=given.overwrite,
    )
    print(f"{given.target} written; read again, its outputs differ by {off:.1e}")


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    _file_arguments(parser)
    parser.add_argument("--batch-size", type=int, default=32, help="beside 1 (default: 32)")
    parser.add_argument("--length", type=int, default=64, help="of axes that the model leaves open (default: 64)")
    _custom_argument(parser)


def _bench(given: argparse.Namespace) -> None:
    """Milliseconds that the model takes to predict one random sample, and a batch, on each backend that is installed."""
    from nyala.base import tree
    from nyala.saving import load_model
    from nyala.saving.conversion import example
    from nyala.training.race import step_seconds

    model = load_model(given.file, _custom_objects(given), compile=False)

    def batch(size: int) -> Any:
        return tree.map(lambda spec: example(spec, given.length, size), model.input), None, None

    for size in dict.fromkeys((1, given.batch_size)):
        for name, seconds in step_seconds(model, "predict", batch(size)).items():
            told = f"{seconds * 1e3:8.2f} ms" if isinstance(seconds, float) else f"does not run: {seconds}"
            print(f"batch of {size:<4} {name:<11}{told}")


COMMANDS: dict[str, Command] = {
    "run": Command("run a program written for any version of Keras", _run_arguments, _run),
    "inspect": Command("tell what a file is without making anything of it", _file_arguments, _inspect),
    "summary": Command("print the layers of the model in a file", _summary_arguments, _summary),
    "convert": Command("turn a model file into another kind and check it", _convert_arguments, _convert),
    "bench": Command("time the model in a file on every backend", _bench_arguments, _bench),
    "doctor": Command("tell versions, backends and devices", lambda parser: None, _doctor),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="nyala", description=nyala.__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--version", action="version", version=f"nyala {nyala.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.help, description=command.help.capitalize()))
    given = parser.parse_args(arguments)
    try:
        status = COMMANDS[given.command].run(given)
    except (ValueError, OSError) as error:
        if given.command == "run":  # the program's own
            raise
        sys.exit(f"nyala {given.command}: {error}")
    if status:
        sys.exit(status)
