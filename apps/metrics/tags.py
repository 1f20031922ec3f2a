"""How a list of tags becomes rows, the same for cells and for raw spans."""

from __future__ import annotations


def each_tag(tags: str) -> str:
    """A FROM item: a row (`tag`, `tag_again`) for each different tag of a list, one with NULLs for no tags.

    `tag_again` is 'again' where an earlier tag of the list has the same key, the text before the first colon; a tag
    without a colon has no key.

    Args:
        tags: an expression of type text[].
    """
    listed = f"coalesce(nullif({tags}, '{{}}'), '{{NULL}}')"
    earlier = (
        f"SELECT FROM unnest({listed}) WITH ORDINALITY AS e (tag, place) WHERE e.place < w.place "
        "AND strpos(w.tag, ':') > 0 AND starts_with(e.tag, left(w.tag, strpos(w.tag, ':')))"
    )
    return (
        f"(SELECT w.tag, CASE WHEN EXISTS ({earlier}) THEN 'again' END AS tag_again "
        f"FROM unnest({listed}) WITH ORDINALITY AS w (tag, place) "
        f"WHERE w.place = array_position({listed}, w.tag))"
    )
