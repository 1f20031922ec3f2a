"""The critical path: what a trace was waiting for, moment by moment.

From the root's end backwards: always the child that ends last before the point reached. The time between that child's
end and the point is the span's own; the path goes on inside the child, and from the child's start on in the span again.
What a child took before its parent began does not count. So the steps cover the root's time without gap or overlap, and
a span that is not on the path could have been shorter without making the trace faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from apps.traces.tree import Placed, Tree


class Step(NamedTuple):
    """A stretch of the path: the span (its index) whose own time it is, and its borders in microseconds."""

    span: int
    start_us: int
    end_us: int


def critical_path(spans: Sequence[Placed], tree: Tree, root: int) -> list[Step]:
    """The steps from the root's start to its end; those that took no time are left out."""
    steps: list[Step] = []
    # (span, point reached, lower border, children that may still be met with the last to end at the end)
    stack = [_entered(spans, tree, root, spans[root].end_us, spans[root].start_us)]
    while stack:
        index, point, floor, rest = stack.pop()
        while rest and spans[rest[-1]].end_us > point:
            rest.pop()
        if not rest or spans[rest[-1]].end_us <= floor:
            _step(steps, index, floor, point)
            continue
        child = rest.pop()
        end = spans[child].end_us
        _step(steps, index, end, point)
        lower = max(spans[child].start_us, floor)
        stack.append((index, lower, floor, rest))
        stack.append(_entered(spans, tree, child, end, lower))
    steps.reverse()
    return steps


def _entered(
    spans: Sequence[Placed], tree: Tree, index: int, point: int, floor: int
) -> tuple[int, int, int, list[int]]:
    by_end = sorted(tree.children[index], key=lambda child: (spans[child].end_us, spans[child].start_us))
    return index, point, floor, by_end


def _step(steps: list[Step], index: int, start: int, end: int) -> None:
    if end > start:
        steps.append(Step(index, start, end))
