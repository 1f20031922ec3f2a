"""Range headers against slices of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.exports.api.ranges import MOST, Part, Unsatisfiable, names, part_of, wants_part

NUMBERS = st.one_of(st.integers(0, 40), st.just(10**30))
PAIRS = st.tuples(st.one_of(st.none(), NUMBERS), st.one_of(st.none(), NUMBERS)).filter(
    lambda pair: pair != (None, None)
)
SPACES = st.sampled_from(["", " ", "\t"])


def text_of(pair: tuple[int | None, int | None]) -> str:
    return "-".join("" if one is None else str(one) for one in pair)


def bytes_of(data: bytes, first: int | None, last: int | None) -> bytes | None:
    """What RFC 9110 says of one range, in the words of slices; None for one that is none."""
    if first is None:
        return data[-last:] if last else b""
    if last is None:
        return data[first:]
    return None if last < first else data[first : last + 1]


@given(st.binary(min_size=1, max_size=30), PAIRS, SPACES)
def test_one_range_is_a_slice(data: bytes, pair: tuple[int | None, int | None], space: str) -> None:
    wanted = bytes_of(data, *pair)
    header = f"bytes={space}{text_of(pair)}{space}"
    if wanted is None:
        assert part_of(header, len(data)) is None
    elif wanted == b"":
        with pytest.raises(Unsatisfiable):
            part_of(header, len(data))
    else:
        part = part_of(header, len(data))
        assert part is not None
        assert data[part.start : part.end] == wanted
        assert part.length == len(wanted)


@given(st.binary(max_size=30), st.lists(PAIRS, min_size=2, max_size=5))
def test_several_ranges_are_answered_with_the_whole_or_not_at_all(
    data: bytes, pairs: list[tuple[int | None, int | None]]
) -> None:
    slices = [bytes_of(data, *pair) for pair in pairs]
    header = "bytes=" + " , ".join(map(text_of, pairs))
    lasting = any(pair[0] is None and pair[1] for pair in pairs)  # the last bytes can be had of any file
    if None not in slices and not any(slices) and not lasting:
        with pytest.raises(Unsatisfiable):
            part_of(header, len(data))
    else:
        assert part_of(header, len(data)) is None


@given(st.text(max_size=40), st.integers(0, 50))
def test_no_header_breaks_it(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            part = part_of(header, size)
        except Unsatisfiable:
            continue
        assert part is None or 0 <= part.start < part.end <= size


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=,", "items=0-1", "bytes=a-b", "bytes=1", "bytes=-", "bytes=5-2", "bytes=0-1,x"],
)
def test_what_cannot_be_read_is_ignored(header: str) -> None:
    assert part_of(header, 10) is None


def test_edges() -> None:
    assert part_of(None, 10) is None
    assert part_of("BYTES=0-0", 10) == Part(0, 1)
    assert part_of("bytes=,0-1,", 10) == Part(0, 2)
    assert part_of(f"bytes=000{'0' * 5000}1-", 10) == Part(1, 10)
    assert part_of(f"bytes=0-{'9' * 5000}", 10) == Part(0, 10)
    assert part_of("bytes=-3", 0) is None
    assert part_of("bytes=" + ",".join(["0-0"] * (MOST + 1)), 10) is None
    for header in ("bytes=10-", "bytes=-0", "bytes=10-20,11-", f"bytes={'9' * 5000}-"):
        with pytest.raises(Unsatisfiable):
            part_of(header, 10)


def test_validators() -> None:
    etag = '"abc"'
    assert wants_part(None, etag)
    assert wants_part(' "abc" ', etag)
    assert not wants_part('W/"abc"', etag)
    assert not wants_part("Sat, 21 Nov 2026 10:00:00 GMT", etag)
    assert names('"x", W/"abc"', etag, weakly=True)
    assert not names('"x", W/"abc"', etag, weakly=False)
    assert names('"x","abc"', etag, weakly=False)
    assert names("*", etag, weakly=False)
    assert not names(None, etag, weakly=True)
