"""The graph between some inputs and outputs, in an order in which it can be run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from nyala._typing import Nest, Tensor
from nyala.base import check, tree
from nyala.graph.node import Node
from nyala.graph.symbolic import SymbolicTensor


class Encoded(NamedTuple):
    """In place of a graph's inputs, by slot: those that are no strings, and what ``Function.encode`` made of the strings."""

    values: dict[int, Any]


class Step:
    """One node of the plan: which slots of values its call reads and writes."""

    __slots__ = ("node", "operation", "run", "source", "fill", "targets", "release", "single")

    def __init__(self, node: Node, slots: dict[int, int], release: tuple[int, ...]):
        self.node = node
        self.operation = node.operation
        self.run: Callable[..., Any] = getattr(node.operation, "fn", node.operation)
        self.targets = [slots.get(id(x)) for x in node.flat_outputs]
        self.single = isinstance(node.outputs, SymbolicTensor)
        self.release = release
        only = len(node.args) == 1 and not node.kwargs and isinstance(node.args[0], SymbolicTensor)
        self.source = slots[id(node.args[0])] if only else -1
        self.fill = None if only else _filler(node, slots)

    def arguments(self, values: list[Any]) -> tuple[Any, Any]:
        return ((values[self.source],), {}) if self.fill is None else self.fill(values)

    def keep(self, out: Any, values: list[Any]) -> None:
        if self.single:
            values[self.targets[0]] = out  # type: ignore[index]
        else:
            for slot, value in zip(self.targets, tree.flatten(out)):
                if slot is not None:
                    values[slot] = value


def _filler(node: Node, slots: dict[int, int]) -> Callable[[list[Any]], tuple[Any, Any]]:
    """A function from the values to the arguments of the node's call."""
    leaves, treedef = tree.flatten_with_structure((node.args, node.kwargs))
    where = [(i, slots[id(x)]) for i, x in enumerate(leaves) if isinstance(x, SymbolicTensor)]
    inside_slices = [(i, x) for i, x in enumerate(leaves) if isinstance(x, slice)]

    def fill(values: list[Any]) -> tuple[Any, Any]:
        filled = list(leaves)
        for i, slot in where:
            filled[i] = values[slot]
        for i, s in inside_slices:
            parts = (values[slots[id(p)]] if isinstance(p, SymbolicTensor) else p for p in (s.start, s.stop, s.step))
            filled[i] = slice(*parts)
        return tree.unflatten(treedef, filled)

    return fill


class Function:
    """Runs the nodes that lead from ``inputs`` to ``outputs`` (nests of symbolic tensors).

    Raises ValueError when an output does not depend on the inputs alone.
    """

    def __init__(self, inputs: Nest, outputs: Nest, name: str = "Function"):
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.flat_inputs: list[SymbolicTensor] = tree.flatten(inputs)
        self.flat_outputs: list[SymbolicTensor] = tree.flatten(outputs)
        self._output_structure = tree.structure(outputs)
        for kind, flat in (("inputs", self.flat_inputs), ("outputs", self.flat_outputs)):
            for x in flat:
                if not isinstance(x, SymbolicTensor):
                    check.fail(
                        name,
                        f"{kind} must be symbolic tensors (from Input, layers or ops), got {type(x).__name__}",
                        TypeError,
                    )
        if len({id(x) for x in self.flat_inputs}) < len(self.flat_inputs):
            check.fail(name, f"the inputs hold a tensor twice: {[x.name for x in self.flat_inputs]}")
        self.nodes, self.operations = _sorted(self.flat_inputs, self.flat_outputs, name)
        self._slots: dict[int, int] = {}
        for x in self.flat_inputs:
            self._slots[id(x)] = len(self._slots)
        for node in self.nodes:
            for x in node.flat_outputs:
                if isinstance(x, SymbolicTensor):
                    self._slots.setdefault(id(x), len(self._slots))
        self.steps = self._plan()

    def _plan(self) -> list[Step]:
        last_use: dict[int, int] = {}
        for position, node in enumerate(self.nodes):
            for x in node.inputs:
                last_use[self._slots[id(x)]] = position
        keep = {self._slots[id(x)] for x in self.flat_outputs}
        done: dict[int, list[int]] = {}
        for slot, position in last_use.items():
            if slot not in keep:
                done.setdefault(position, []).append(slot)
        return [Step(node, self._slots, tuple(done.get(i, ()))) for i, node in enumerate(self.nodes)]

    def run(self, flat_inputs: list[Tensor] | Encoded, call: Callable[..., Any] | None = None) -> Nest:
        """The outputs for values of the inputs; ``call(operation, args, kwargs)`` may replace the plain call."""
        values: list[Any] = [None] * len(self._slots)
        if isinstance(flat_inputs, Encoded):
            steps = self._start_encoded(flat_inputs, values, call)
        else:
            steps = self.steps
            values[: len(flat_inputs)] = flat_inputs
        for step in steps:
            if call is not None:
                out = call(step.operation, *step.arguments(values))
            elif step.fill is None:
                out = step.run(values[step.source])
            else:
                args, kwargs = step.fill(values)
                out = step.run(*args, **kwargs)
            step.keep(out, values)
            for slot in step.release:
                values[slot] = None
        return tree.unflatten(self._output_structure, [values[self._slots[id(x)]] for x in self.flat_outputs])

    # -- graphs that read strings, on a backend that has none ----------------------------------------------------------

    @functools.cached_property
    def _text_steps(self) -> dict[int, Step]:
        """The steps that read strings, and those that these need, by position."""
        found: list[int] = []
        needed: set[int] = set()
        for position in reversed(range(len(self.nodes))):
            node = self.nodes[position]
            if any(x.dtype == "string" for x in node.inputs) or not needed.isdisjoint(map(id, node.flat_outputs)):
                found.append(position)
                needed.update(map(id, node.inputs))
        return {i: self.steps[i] for i in reversed(found)}

    def encode(self, flat_inputs: list[Any]) -> Encoded:
        """Run, on the host, what reads strings; what remains to be done, ``run`` does in the backend.

        A model inside that has weights to train encodes its own inputs.
        """
        values: list[Any] = [*flat_inputs, *[None] * (len(self._slots) - len(flat_inputs))]
        inner: dict[int, Any] = {}
        for position, step in self._text_steps.items():
            args, kwargs = step.arguments(values)
            if not getattr(step.operation, "trainable_variables", None):
                step.keep(step.run(*args, **kwargs), values)
            elif hasattr(step.operation, "_without_texts"):
                inner[len(values) + position] = step.operation._without_texts(*args)
            else:
                who = check.who(step.operation)
                check.fail(
                    self.name, f"{who} has weights to train and reads strings, or what reads them needs its output"
                )
        rest = [node for i, node in enumerate(self.nodes) if i not in self._text_steps]
        used = {self._slots[id(x)] for x in (*self.flat_outputs, *(x for node in rest for x in node.inputs))}
        return Encoded({i: values[i] for i in sorted(used) if values[i] is not None} | inner)

    def _start_encoded(self, given: Encoded, values: list[Any], call: Callable[..., Any] | None) -> list[Step]:
        """Put what is given into its slots; the steps that remain."""
        for slot, value in given.values.items():
            if slot < len(values):
                values[slot] = value
            else:
                step = self._text_steps[slot - len(values)]
                step.keep(step.run(value) if call is None else call(step.operation, (value,), {}), values)
        return [step for i, step in enumerate(self.steps) if i not in self._text_steps]


def _sorted(inputs: list[SymbolicTensor], outputs: list[SymbolicTensor], name: str) -> tuple[list[Node], list[Any]]:
    """The nodes in the order of running, and all operations (those of the inputs first) by their distance from the outputs."""
    given = {id(x) for x in inputs}
    order: list[Node] = []
    seen: dict[int, int] = {}
    rank: dict[int, int] = {}
    entering, done = 1, 2
    for output in outputs:
        stack: list[tuple[SymbolicTensor, bool]] = [(output, False)]
        while stack:
            tensor, leaving = stack.pop()
            node = tensor.node
            if id(tensor) in given:
                if node is not None:
                    rank.setdefault(id(node.operation), len(rank))
                continue
            if node is None or node.is_input:
                check.fail(
                    name,
                    f"the output `{output.name}` depends on the input `{tensor.name}` {tensor.shape}, which is not among the "
                    f"inputs {[x.name for x in inputs]}; add it to the inputs",
                )
            if leaving:
                seen[id(node)] = done
                order.append(node)
                continue
            if id(node) in seen:
                continue
            seen[id(node)] = entering
            rank.setdefault(id(node.operation), len(rank))
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(node.inputs))

    depth: dict[int, int] = {}
    operation_depth: dict[int, int] = {}
    operations: dict[int, Any] = {}
    for node in reversed(order):
        key = id(node.operation)
        operations[key] = node.operation
        d = max(depth.get(id(node), 0), operation_depth.get(key, 0))
        depth[id(node)] = operation_depth[key] = d
        for x in node.inputs:
            parent = x.node
            if id(x) in given:
                if parent is not None and parent.is_input:
                    operations[id(parent.operation)] = parent.operation
                    operation_depth[id(parent.operation)] = max(operation_depth.get(id(parent.operation), 0), d + 1)
            elif parent is not None:
                depth[id(parent)] = max(depth.get(id(parent), 0), d + 1)
    for x in inputs:
        if x.node is not None and x.node.is_input and id(x.node.operation) not in operations:
            operations[id(x.node.operation)] = x.node.operation
            operation_depth[id(x.node.operation)] = 0
            rank[id(x.node.operation)] = -1
    ordered = sorted(operations.values(), key=lambda op: (-operation_depth[id(op)], rank[id(op)]))
    return order, ordered
