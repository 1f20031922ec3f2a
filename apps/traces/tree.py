"""The spans of a trace as a tree: in which order they are shown, and how deep each one stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Placed(Protocol):
    """What a tree needs to know of a span; times in microseconds."""

    @property
    def span_id(self) -> str: ...
    @property
    def parent_span_id(self) -> str | None: ...
    @property
    def start_us(self) -> int: ...
    @property
    def end_us(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tree:
    """Indexes into the spans that it was made of.

    Args:
        order: parents before their children, children in the order of their start.
        depth: 0 for a root.
        parent: None for a root.
        children: in the order of their start.
        roots: spans without a parent, those whose parent is not there, and one span of every cycle, by start.
    """

    order: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    parent: list[int | None] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)


def tree_of(spans: Sequence[Placed]) -> Tree:
    """The tree of spans that are given in the order of their start.

    Where several spans have one id, children hang at the first of them. Of a cycle the span that starts first becomes
    a root, so that every span has its place.
    """
    named: dict[str, int] = {}
    for index, span in enumerate(spans):
        named.setdefault(span.span_id, index)
    tree = Tree(depth=[0] * len(spans), parent=[None] * len(spans), children=[[] for _ in spans])
    linked: list[list[int]] = [[] for _ in spans]
    loose: list[int] = []
    parents = [named.get(span.parent_span_id, -1) if span.parent_span_id is not None else -1 for span in spans]
    for index, above in enumerate(parents):
        (loose if above in (-1, index) else linked[above]).append(index)
    placed = [False] * len(spans)
    for root in loose:
        _place(tree, linked, placed, root)
    for index in range(len(spans)):
        if not placed[index]:
            root = _first_of_cycle(parents, index)
            loose.append(root)
            _place(tree, linked, placed, root)
    _arrange(tree, sorted(loose))
    return tree


def _first_of_cycle(parents: Sequence[int], index: int) -> int:
    """The first span of the cycle that going up from a span ends in; the span itself may hang below it."""
    seen: set[int] = set()
    while index not in seen:
        seen.add(index)
        index = parents[index]
    first, at = index, parents[index]
    while at != index:
        first, at = min(first, at), parents[at]
    return first


def _place(tree: Tree, linked: list[list[int]], placed: list[bool], root: int) -> None:
    """Hang on everything that is reached from a root and has no place yet."""
    placed[root] = True
    waiting = [root]
    while waiting:
        index = waiting.pop()
        for child in linked[index]:
            if not placed[child]:
                placed[child] = True
                tree.parent[child] = index
                tree.depth[child] = tree.depth[index] + 1
                tree.children[index].append(child)
                waiting.append(child)


def _arrange(tree: Tree, roots: list[int]) -> None:
    tree.roots.extend(roots)
    waiting = roots[::-1]
    while waiting:
        index = waiting.pop()
        tree.order.append(index)
        waiting.extend(reversed(tree.children[index]))
