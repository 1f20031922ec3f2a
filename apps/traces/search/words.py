"""What counts as a word of a text, as SQL: one rule for the index, for questions and for checking an answer.

PostgreSQL's default parser makes tokens of URLs, host names, file paths, tags and hyphenated words, in which nobody
finds a part; and JSON writes a line break as a backslash and an n, which would grow onto the next word. So the signs
that hold such tokens together become spaces first. What remains are runs of letters and digits, in small letters.
Without them the parser's time also grows with the text alone: 200 kB of `a_b_a_b_` took it more than 8 seconds.
"""

from __future__ import annotations

from typing import Final

# Of each side, so that a tsvector of both stays below its limit of 1 MB whatever the text is made of. PostgreSQL counts
# characters: a text that is not mostly ASCII is cut shorter.
INDEXED_CHARACTERS: Final = 100_000
INDEXED_WIDE: Final = 33_000
_SIGNS: Final = ("/", ".", "-", "_", "<", "+")
CONFIG: Final = "'simple'"


def spaced(text: str) -> str:
    """The text with spaces for what would glue words together."""
    sql = f"replace({text}, E'\\\\n', ' ')"
    for sign in _SIGNS:
        sql = f"replace({sql}, '{sign}', ' ')"
    return sql


def head_of(text: str) -> str:
    """As much of a text as is indexed."""
    head = f"left({text}, {INDEXED_CHARACTERS})"
    wide = f"octet_length({head}) > {2 * INDEXED_CHARACTERS}"
    return (
        f"CASE WHEN octet_length({text}) <= {INDEXED_CHARACTERS} THEN {text}"
        f" WHEN {wide} THEN left({text}, {INDEXED_WIDE}) ELSE {head} END"
    )


def vector(text: str) -> str:
    """The words of a text; never NULL."""
    return f"to_tsvector({CONFIG}, {spaced(head_of(f'coalesce({text}, {chr(39) * 2})'))})"


def both_sides(alias: str) -> str:
    """The words of a content row: those of the input weigh A, those of the output B."""
    return f"(setweight({vector(f'{alias}.input')}, 'A') || setweight({vector(f'{alias}.output')}, 'B'))"


def attribute_text(value: str) -> str:
    """A JSON value as the text that it is compared as: numbers without zeros at the end; NULL for null."""
    return (
        f"(CASE jsonb_typeof({value}) WHEN 'number' THEN trim_scale(({value} #>> '{{}}')::numeric)::text"
        f" ELSE {value} #>> '{{}}' END)"
    )


def attribute_lexeme(key: str, text: str) -> str:
    """What stands in the index for an attribute: a hash, behind a sign that no word begins with."""
    return f"'=' || to_hex(hashtextextended({key} || '=' || {text}, 0))"


def project_lexeme(project: str) -> str:
    return f"'#' || {project}"


def indexed(alias: str) -> str:
    """All that the index knows of a content row: its words without their places, its attributes, its project."""
    lexeme = attribute_lexeme("e.key", attribute_text("e.value"))
    return (
        f"(strip({both_sides(alias)}) || array_to_tsvector(ARRAY(SELECT {project_lexeme(f'{alias}.project_id')}"
        f" UNION SELECT {lexeme} FROM jsonb_each({alias}.attributes) AS part,"
        " jsonb_each(CASE jsonb_typeof(part.value) WHEN 'object' THEN part.value ELSE '{}' END) AS e"
        " WHERE jsonb_typeof(e.value) <> 'null')))"
    )
