"""Nyala beside Keras 3 and beside loops written by hand, on the same backend.

    python -m benchmarks.train --workload mlp,cnn,lstm,transformer,import,build --against keras,raw --backend jax,torch,tensorflow

Every subject runs in a fresh process, subjects take turns, and the table shows medians over the rounds with Nyala's
ratio to each of the others (below 1: Nyala needs less).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

STEPS = {"mlp": 1000, "cnn": 100, "lstm": 20, "transformer": 20, "import": 0, "build": 0}
WORKLOADS = tuple(STEPS)
ROOT = Path(__file__).resolve().parent.parent

Figures = dict[str, float]


def measure(task: dict[str, object]) -> Figures:
    """The figures of one subject in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.subject", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
    if not found:
        sys.exit(f"{task} failed:\n{done.stderr[-3000:]}")
    return json.loads(found[-1].removeprefix("FIGURES "))


def compare(
    backend: str, workload: str, subjects: list[str], rounds: int, steps: int, epochs: int
) -> dict[str, Figures]:
    """Medians by subject; in each round another subject begins."""
    runs: dict[str, list[Figures]] = {s: [] for s in subjects}
    for r in range(rounds):
        for s in subjects[r % len(subjects) :] + subjects[: r % len(subjects)]:
            task = {"subject": s, "backend": backend, "workload": workload, "steps": steps, "epochs": epochs}
            runs[s].append(measure(task))
    return {s: {k: statistics.median(f[k] for f in figures) for k in figures[0]} for s, figures in runs.items()}


def rows(backend: str, workload: str, medians: dict[str, Figures]) -> list[list[str]]:
    others = [s for s in medians if s != "nyala"]
    table = []
    for key in next(iter(medians.values())):
        values = [medians[s].get(key) for s in medians]
        ratios = [medians["nyala"][key] / medians[s][key] if "nyala" in medians else None for s in others]
        table.append(
            [backend, workload, key, *(f"{v:.4g}" for v in values), *("" if r is None else f"{r:.2f}" for r in ratios)]
        )
    return table


def show(head: list[str], table: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [head, *table]) for i in range(len(head))]
    for row in [head, ["-" * w for w in widths], *table]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |", flush=True)


def names(text: str) -> list[str]:
    return [t for t in text.split(",") if t]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", type=names, default=list(WORKLOADS), help="of " + ",".join(WORKLOADS))
    parser.add_argument("--against", type=names, default=["keras", "raw"], help="of keras,raw")
    parser.add_argument("--backend", type=names, default=["jax", "torch", "tensorflow"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5, help="measured epochs a round")
    parser.add_argument(
        "--steps", type=int, help="steps an epoch; default " + str({k: v for k, v in STEPS.items() if v})
    )
    parser.add_argument("--without-nyala", action="store_true", help="only the others")
    parser.add_argument("--json", type=Path, help="also write the medians to this file")
    args = parser.parse_args()
    for chosen, known in ((args.workload, WORKLOADS), (args.against, ("keras", "raw"))):
        if unknown := set(chosen) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(known)}")

    results: dict[str, dict[str, dict[str, Figures]]] = {}
    for workload in args.workload:
        table: list[list[str]] = []
        subjects = [] if args.without_nyala else ["nyala"]
        subjects += [s for s in args.against if not (s == "raw" and workload == "build")]
        for backend in args.backend:
            steps = args.steps or STEPS[workload]
            medians = compare(backend, workload, subjects, args.rounds, steps, args.epochs)
            results.setdefault(workload, {})[backend] = medians
            table += rows(backend, workload, medians)
        ratios = [f"/ {s}" for s in subjects if s != "nyala"]
        show(["backend", "workload", "figure", *subjects, *ratios], table)
        print()
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
