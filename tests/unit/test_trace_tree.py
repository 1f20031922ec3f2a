"""The order of a trace's spans and its critical path, over any spans that may come."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from apps.traces.critical import Step, critical_path
from apps.traces.tree import Tree, tree_of


@dataclass(frozen=True)
class Span:
    span_id: str
    parent_span_id: str | None
    start_us: int
    end_us: int


SPANS = st.lists(
    st.builds(
        lambda name, parent, start, length: Span(name, parent, start, start + length),
        st.sampled_from("abcdef"),  # ids repeat
        st.sampled_from([None, *"abcdefx"]),  # x is never there; parents may form a cycle
        st.integers(0, 12),
        st.integers(0, 8),
    ),
    max_size=9,
).map(lambda spans: sorted(spans, key=lambda span: (span.start_us, span.span_id)))


@given(SPANS)
def test_every_span_has_one_place_below_its_parent(spans: list[Span]) -> None:
    tree = tree_of(spans)
    assert sorted(tree.order) == list(range(len(spans)))
    at = {index: place for place, index in enumerate(tree.order)}
    for index, span in enumerate(spans):
        above = tree.parent[index]
        first = next((n for n, other in enumerate(spans) if other.span_id == span.parent_span_id), None)
        if above is None:
            assert tree.depth[index] == 0 and index in tree.roots
            assert first is None or first == index or _leads_back(spans, index)
        else:
            assert above == first
            assert at[above] < at[index]
            assert tree.depth[index] == tree.depth[above] + 1
    for below in (*tree.children, tree.roots):
        assert below == sorted(below)
    # A subtree stands in one piece: what follows a span and is deeper belongs to it.
    for place, index in enumerate(tree.order[1:], start=1):
        assert tree.depth[index] <= tree.depth[tree.order[place - 1]] + 1


def test_a_span_below_a_cycle_is_not_its_root() -> None:
    spans = [Span("a", "e", 0, 9), Span("e", "f", 1, 5), Span("f", "e", 2, 4)]
    tree = tree_of(spans)
    assert tree.roots == [1]
    assert tree.parent == [1, None, 1]


def _leads_back(spans: list[Span], index: int) -> bool:
    """Whether going up from a span comes to it again."""
    at: int | None = index
    for _ in spans:
        parent = spans[at].parent_span_id if at is not None else None
        at = next((n for n, other in enumerate(spans) if other.span_id == parent), None)
        if at == index:
            return True
    return False


def _by_the_word(spans: list[Span], tree: Tree, index: int, point: int, floor: int) -> list[Step]:
    """The definition, read aloud: the last to end before the point, then what is before it."""
    left = list(tree.children[index])
    steps: list[Step] = []
    while True:
        left = [n for n in left if spans[n].end_us <= point]
        if not left or max(spans[n].end_us for n in left) <= floor:
            return [Step(index, floor, point), *steps] if point > floor else steps
        last = max(left, key=lambda n: (spans[n].end_us, spans[n].start_us, n))
        left.remove(last)
        end, begin = spans[last].end_us, max(spans[last].start_us, floor)
        own = [Step(index, end, point)] if point > end else []
        steps = [*_by_the_word(spans, tree, last, end, begin), *own, *steps]
        point = begin


@given(SPANS)
def test_the_critical_path_covers_the_root_without_gap_or_overlap(spans: list[Span]) -> None:
    tree = tree_of(spans)
    for root in tree.roots:
        path = critical_path(spans, tree, root)
        assert path == _by_the_word(spans, tree, root, spans[root].end_us, spans[root].start_us)
        assert sum(step.end_us - step.start_us for step in path) == spans[root].end_us - spans[root].start_us
        for step, following in pairwise(path):
            assert step.end_us == following.start_us
        for step in path:
            assert spans[step.span].start_us <= step.start_us < step.end_us <= spans[step.span].end_us


def test_a_worked_path() -> None:
    """root 0-100; a 10-40, b 20-60 (b's own child c 30-50), d 70-120 outlives the root."""
    spans = [
        Span("root", None, 0, 100),
        Span("a", "root", 10, 40),
        Span("b", "root", 20, 60),
        Span("c", "b", 30, 50),
        Span("d", "root", 70, 120),
    ]
    tree = tree_of(spans)
    assert [spans[index].span_id for index in tree.order] == ["root", "a", "b", "c", "d"]
    path = critical_path(spans, tree, 0)
    assert [(spans[step.span].span_id, step.start_us, step.end_us) for step in path] == [
        ("root", 0, 20),  # a was over late, but b began before its end: nobody waited for a
        ("b", 20, 30),
        ("c", 30, 50),
        ("b", 50, 60),
        ("root", 60, 100),  # d had not ended
    ]


def test_a_very_deep_trace_is_no_problem() -> None:
    spans = [Span(f"{n}", f"{n - 1}" if n else None, n, 40_000 - n) for n in range(20_000)]
    tree = tree_of(spans)
    assert tree.depth[tree.order[-1]] == 19_999
    assert len(critical_path(spans, tree, 0)) == 2 * 20_000 - 1
