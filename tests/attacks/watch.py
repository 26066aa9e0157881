"""Loads the attacks of one format in a process of its own and writes down, as JSON, what Python was asked to do meanwhile.

Run as ``python -m tests.attacks.watch FORMAT FOLDER``. An event counts unless an import of Python's own causes it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

EVENTS = (
    "open", "os.", "subprocess.", "socket.", "urllib.", "ctypes.", "shutil.", "tempfile.", "glob.", "pty.", "marshal.",
    "pickle.", "exec", "compile", "import", "code.", "winreg.", "ftplib.", "http.", "webbrowser.", "mmap.",
)  # fmt: skip
HARMLESS = ("os.listdir", "os.scandir", "os.putenv", "os.unsetenv", "marshal.dumps")
MEMORY = 2**30

seen: list[tuple[str, str]] | None = None


def hook(event: str, args: tuple[Any, ...]) -> None:
    if seen is None or not event.startswith(EVENTS) or event in HARMLESS:
        return
    if event != "import":
        frame = sys._getframe()
        while frame is not None:
            if "importlib" in frame.f_code.co_filename:  # a library's own module, by its own hand
                return
            frame = frame.f_back  # type: ignore[assignment]
    seen.append((event, str(args[0])[:300] if args else ""))


def main(format: str, folder: Path) -> None:
    global seen
    from tests.attacks import corpus

    sys.path.insert(0, str(folder / "modules"))
    (folder / "modules").mkdir()
    (folder / "modules" / f"{corpus.CANARY}.py").write_text(f"open({str(folder / 'mark')!r}, 'w').close()")
    net = corpus.model()
    net.fit(corpus.np.zeros((2, 3)), corpus.np.zeros((2, 2)), verbose=0)
    for name in ("good.keras", "good.h5"):  # so that what is imported late is there
        net.save(folder / name)
        corpus.load_model(folder / name).predict(corpus.np.zeros((1, 3)), verbose=0)
    rows = [a for a in corpus.ATTACKS if a.format == format]
    files = []
    for i, attack in enumerate(rows):
        place = folder / str(i)
        place.mkdir()
        files.append(attack.build(place))
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    sys.addaudithook(hook)
    found = {}
    for attack, path in zip(rows, files):
        os.chdir(path.parent)
        seen, kind, message = [], None, ""
        try:
            attack.load(path)
        except Exception as error:
            kind, message = [k.__name__ for k in type(error).__mro__], str(error)
        events, seen = seen, None
        found[attack.name] = {"events": events, "error": kind, "message": message, "path": str(path)}
    found["canary"] = {"imported": corpus.CANARY in sys.modules, "mark": (folder / "mark").exists()}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
