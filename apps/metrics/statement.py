"""From a plan to SQL text and parameters. Identifiers come from declarations only, values are always parameters.

A statement is a UNION ALL of segments, each giving (bucket, dimensions, merged components or ids or bins), grouped
once more, and the formulas over that. Raw spans and every kind of cells differ in a segment's FROM alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from apps.common.bins import bin_sql
from apps.metrics.catalog import Output
from apps.metrics.components import COMPONENTS, UNPRICED_REASON
from apps.metrics.cover import Segment
from apps.metrics.planner import Part, PartKind, Plan
from apps.metrics.rollups import RAW, ROLLUPS, TAG_IDS
from apps.metrics.spec import Filter, QuerySpec, Sort
from apps.metrics.tags import each_tag
from apps.traces.attribution import Resolved, resolved_from

# Rows of one statement that may be joined, sorted or cut in Python.
MAX_GROUPS_FETCHED = 200_000

# A select for each range leaves out the partitions between them before they are planned for; many are read in a loop.
MAX_RANGES_APART = 4

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")
_HAVING = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "="}


class UnscopedQuery(RuntimeError):
    """A statement was about to be built without the projects of an organization in its WHERE."""


@dataclass
class Params:
    """Values on their way into a statement, each bound once."""

    values: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, cast: str = "") -> str:
        """The placeholder for a value."""
        same = (name for name, known in self.values.items() if type(known) is type(value) and known == value)
        name = next(same, f"p{len(self.values)}")
        self.values[name] = value
        return f"%({name})s{f'::{cast}' if cast else ''}"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its parameters.

    Args:
        columns: what a row holds after the bucket (where there is one) and the dimensions.
        finished: conditions, order and limit have been applied; a last column is the number of rows before the limit.
    """

    sql: str
    params: dict[str, Any]
    columns: tuple[str, ...]
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What the text of every segment needs."""

    spec: QuerySpec
    params: Params
    resolved: Resolved | None

    def dimension(self, name: str, raw: bool) -> str:
        """The expression of a dimension over raw spans (`s`, with their trace `t`) or over cells (`c`)."""
        if name == "project":
            return "s.project_id" if raw else "c.project_id"
        if not raw:
            return f"c.{name}"
        if name in TAG_IDS:
            return f"x.{name}"
        if name == "unpriced_reason":
            return f"({UNPRICED_REASON})"
        if self.resolved is not None and name in self.resolved.columns:
            return self.resolved.columns[name]
        return f"s.{name}"

    def bucket(self, column: str) -> str:
        """The bucket of a time: its first moment where buckets are even, else its number from 1."""
        buckets = self.spec.buckets
        if buckets is None:
            raise TypeError("a question without an interval has no buckets")
        if buckets.step is not None:
            step = self.params.bind(buckets.step, "interval")
            return f"date_bin({step}, {column}, {self.params.bind(buckets.edges[0], 'timestamptz')})"
        return f"width_bucket({column}, {self.params.bind(list(buckets.starts), 'timestamptz[]')})"

    def keys(self, raw: bool) -> list[str]:
        """The select list of what rows are grouped by."""
        spec = self.spec
        column = "s.start_time" if raw else "c.bucket"
        made = [f"{self.bucket(column)} AS bucket"] if spec.interval else []
        return made + [f"{self.dimension(name, raw)} AS {name}" for name in spec.group_by]

    @property
    def key_names(self) -> list[str]:
        return [*(["bucket"] if self.spec.interval else []), *self.spec.group_by]


def compile_part(plan: Plan, part: Part) -> Statement:
    """The statement of one part.

    Raises:
        UnscopedQuery: the question names no organization or no project.
    """
    spec = plan.spec
    if not spec.organization_id or not spec.project_ids:
        raise UnscopedQuery("a metrics query without an organization's projects")
    from_raw = any(segment.source == RAW for segment in part.segments)
    inherited = spec.inherited_by(part.references)
    resolved = resolved_from(plan.unsettled, inherited) if from_raw and inherited else None
    context = Context(spec, Params(), resolved)
    made = _KINDS[part.kind](context, plan, part)
    if resolved is None or not resolved.ctes:
        return made
    projects = context.params.bind(list(spec.project_ids), "integer[]")
    return replace(made, sql=f"WITH {resolved.ctes.replace('%s', projects)}\n{made.sql}")


def _pieces(part: Part) -> Iterator[Segment]:
    """The segments, raw ones of a few ranges (the edges of the question's, mostly) with one range each."""
    for segment in part.segments:
        if segment.source == RAW and len(segment.ranges) <= MAX_RANGES_APART:
            yield from (Segment(RAW, (one,)) for one in segment.ranges)
        else:
            yield segment


def _segment_from(context: Context, segment: Segment, *, with_tags: bool = True) -> tuple[str, str]:
    """FROM and WHERE of a segment; the WHERE begins with the tenant.

    Args:
        with_tags: where the question is about tags, each raw span once for each of its tags (`x`).
    """
    raw = segment.source == RAW
    alias, table, column = ("s", "span", "s.start_time") if raw else ("c", ROLLUPS[segment.source].name, "c.bucket")
    bind = context.params.bind
    lows, highs = [low for low, _ in segment.ranges], [high for _, high in segment.ranges]
    bounds = [
        f"{alias}.project_id = ANY({bind(list(context.spec.project_ids), 'integer[]')})",
        f"{column} >= {bind(lows[0], 'timestamptz')}",
        f"{column} < {bind(highs[-1], 'timestamptz')}",
    ]
    filters = [item for item in context.spec.filters if with_tags or item.field not in TAG_IDS]
    conditions = [_condition(context, item, raw) for item in filters]
    if raw:
        conditions.insert(0, "s.billable")
    source, where = f"{table} {alias}", [*bounds, *conditions]
    if len(segment.ranges) > 1:
        # One index scan a range, whatever the planner thinks of the arrays; the outer bounds leave out partitions.
        ranges = f"unnest({bind(lows, 'timestamptz[]')}, {bind(highs, 'timestamptz[]')}) AS r(low, high)"
        # Cells have all columns themselves, so that an index may serve the filters too.
        within = [*bounds, f"{column} >= r.low", f"{column} < r.high", *([] if raw else conditions)]
        inside = " AND ".join(within)
        source = f"{ranges} CROSS JOIN LATERAL (SELECT * FROM {table} {alias} WHERE {inside} OFFSET 0) {alias}"
        where = [bounds[0], *(conditions if raw else [])]
    if raw and context.resolved:
        joins = context.resolved.joins
        if len(segment.ranges) == 1:
            only = f"span s WHERE {' AND '.join([*bounds, 's.billable'])}"
            low, high = (bind(moment, "timestamptz") for moment in segment.ranges[0])
            joins = context.resolved.joins_within(only, bind(list(context.spec.project_ids), "integer[]"), low, high)
        source += f" {joins}"
        if context.spec.tagged and with_tags:
            source += f" CROSS JOIN LATERAL {each_tag(context.resolved.columns['tags'])} x"
    return source, " AND ".join(where)


def _condition(context: Context, item: Filter, raw: bool) -> str:
    return condition(context.params, context.dimension(item.field, raw), item)


def condition(params: Params, column: str, item: Filter) -> str:
    """One filter on this expression; NULL is a value like any other, so `ne` and `not_in` keep it."""
    texts = [value for value in item.values if value is not None]
    if item.op == "prefix":
        return f"starts_with({column}, {params.bind(texts[0], 'text')})"
    null = None in item.values
    if item.op in ("eq", "in"):
        choices = [f"{column} IS NULL"] if null else []
        if texts:
            choices.append(_one_of(params, column, texts))
        return f"({' OR '.join(choices)})"
    conditions = [f"{column} IS NOT NULL"] if null else []
    if texts:
        conditions.append(f"({_one_of(params, column, texts)}) IS NOT TRUE")
    return " AND ".join(conditions)


def _one_of(params: Params, column: str, texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return f"{column} = {params.bind(texts[0], 'text')}"
    return f"{column} = ANY({params.bind(list(texts), 'text[]')})"


def grouping(keys: Sequence[str]) -> str:
    """GROUP BY the first columns, which these are."""
    return f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}" if keys else ""


def _selects(context: Context, part: Part, values: dict[bool, Sequence[str]], group: bool = True) -> list[str]:
    """The text of every segment; `values` maps raw or not to what is selected beside the keys."""
    made = []
    for segment in _pieces(part):
        raw = segment.source == RAW
        keys = context.keys(raw)
        if raw and context.spec.tagged and part.kind == "components":
            made.append(_raw_by_tag(context, part, segment))
            continue
        source, where = _segment_from(context, segment)
        tail = grouping(keys) if group else ""
        made.append(f"SELECT {', '.join([*keys, *values[raw]])} FROM {source} WHERE {where}{tail}")
    return made


def _raw_by_tag(context: Context, part: Part, segment: Segment) -> str:
    """Raw spans by their list of tags, then by each tag: there are far fewer lists than spans."""
    if context.resolved is None:
        raise TypeError("tags are read through the trace")
    spec = context.spec
    shared = [name for name in context.key_names if name not in TAG_IDS]
    keys = [text for text, name in zip(context.keys(raw=True), context.key_names, strict=True) if name not in TAG_IDS]
    keys.append(f"{context.resolved.columns['tags']} AS tags")
    declared = [COMPONENTS[name] for name in part.components]
    held = [f"{item.raw} AS {item.name}" for item in declared]
    source, where = _segment_from(context, segment, with_tags=False)
    lists = f"SELECT {', '.join([*keys, *held])} FROM {source} WHERE {where}{grouping(keys)}"
    outer = [f"l.{name}" if name in shared else f"x.{name}" for name in context.key_names]
    merged = [f"{item.merged('l')} AS {item.name}" for item in declared]
    conditions = " AND ".join(_condition(context, item, True) for item in spec.filters if item.field in TAG_IDS)
    return (
        f"SELECT {', '.join([*outer, *merged])} FROM ({lists}) l CROSS JOIN LATERAL {each_tag('l.tags')} x"
        f"{' WHERE ' if conditions else ''}{conditions}{grouping(outer)}"
    )


def _union(selects: Sequence[str]) -> str:
    return "\n  UNION ALL\n  ".join(selects)


def _components(context: Context, plan: Plan, part: Part) -> Statement:
    spec = context.spec
    declared = [COMPONENTS[name] for name in part.components]
    values: dict[bool, Sequence[str]] = {
        True: [f"{item.raw} AS {item.name}" for item in declared],
        False: [f"{item.merged('c')} AS {item.name}" for item in declared],
    }
    names = context.key_names
    selects = _selects(context, part, values)
    inner = _union(selects)
    if len(selects) > 1 or not names:
        merged = ", ".join([*names, *(f"{_zero(item.name, item.merged('u'))} AS {item.name}" for item in declared)])
        inner = f"SELECT {merged} FROM (\n  {inner}\n) u{grouping(names)}"
    formulas = []
    for ref in part.references:
        formulas.append(f"{_formula(context, ref.formula.sql)} AS {quoted(ref.alias)}")
    alone = len(plan.parts) == 1 and spec.compare_to is None and spec.fill == "none"
    tail = _tail(context, part) if alone else f" LIMIT {MAX_GROUPS_FETCHED + 1}"
    body = f"SELECT {', '.join([*names, *formulas])} FROM (\n{inner}\n) g"
    if alone:
        body = f"SELECT *, count(*) OVER () AS total_rows FROM (\n{body}\n) f{tail}"
    else:
        body += tail
    return Statement(body, context.params.values, tuple(ref.alias for ref in part.references), alone)


def _zero(name: str, sql: str) -> str:
    """Counts of nothing are 0, where the database would say NULL for a sum over no cells."""
    counted = name in ("requests", "errors") or name.endswith("_count")
    return f"coalesce({sql}, 0)" if counted else sql


def _formula(context: Context, sql: str) -> str:
    if "{seconds}" not in sql:
        return sql
    spec = context.spec
    bind = context.params.bind
    if spec.buckets is None:
        seconds = bind((spec.end - spec.start).total_seconds(), "double precision")
    elif spec.buckets.step is None:
        seconds = f"({bind(list(spec.buckets.seconds), 'double precision[]')})[bucket]"
    else:
        step = bind(spec.buckets.step, "interval")
        end, start = bind(spec.end, "timestamptz"), bind(spec.start, "timestamptz")
        seconds = f"extract(epoch FROM least(bucket + {step}, {end}) - greatest(bucket, {start}))::double precision"
    return sql.replace("{seconds}", seconds)


def quoted(name: str) -> str:
    """An alias as an identifier: it is a word or the name of a score by the rules of the door, checked again here."""
    if not _ALIAS.fullmatch(name):
        raise ValueError("an alias that is neither a word nor the name of a score")
    if not name.isidentifier() or len(name) > 63:  # PostgreSQL would cut it, and two might become one
        return f'"={blake2b(name.encode(), digest_size=12).hexdigest()}"'
    # Statements have columns of their own; a sign keeps an alias of the same name apart.
    return f'"={name}"' if name in ("bucket", "total_rows") else f'"{name}"'


def _as_answered(alias: str, output: Output) -> str:
    """A value rounded as the answer shows it, so that a condition on a value that was seen holds for it."""
    if output in ("integer", "text"):
        return quoted(alias)
    return f"round({quoted(alias)}::numeric, {12 if output in ('usd', 'rate', 'score') else 6})"


def _tail(context: Context, part: Part) -> str:
    """HAVING, ORDER BY and LIMIT over the finished rows."""
    spec = context.spec
    text = ""
    if spec.having:
        outputs = {ref.alias: ref.formula.output for ref in spec.metrics}
        conditions = [
            f"{_as_answered(item.alias, outputs[item.alias])} {_HAVING[item.op]} "
            f"{context.params.bind(item.value, 'numeric')}"
            for item in spec.having
        ]
        text += f" WHERE {' AND '.join(conditions)}"
    orders = [_order(item) for item in default_sort(spec)]
    if orders:
        text += f" ORDER BY {', '.join(orders)}"
    most = spec.most_rows + 1
    return f"{text} LIMIT {min(spec.limit or most, most)}"


def default_sort(spec: QuerySpec) -> tuple[Sort, ...]:
    """The asked order, then the one that makes it total: by time, the first value (without time), the groups."""
    order = list(spec.sort)
    if spec.interval:
        order.append(Sort("timestamp", False))
    elif not spec.sort and spec.metrics:
        order.append(Sort(spec.metrics[0].alias, True))
    order += [Sort(name, False) for name in spec.group_by]
    return tuple({item.name: item for item in reversed(order)}[name] for name in dict.fromkeys(i.name for i in order))


def _order(item: Sort) -> str:
    name = "bucket" if item.name == "timestamp" else quoted(item.name)
    return f"{name} {'DESC' if item.descending else 'ASC'} NULLS LAST"


def _distinct(context: Context, plan: Plan, part: Part) -> Statement:
    """Ids from every segment, counted last; NULL is not counted. Hashing beats the sort of count(DISTINCT).

    Where a cell is a whole bucket of the answer, its rows are its ids already, and are counted as they are.
    """
    apart = tuple(segment for segment in part.segments if _counts_itself(context.spec, segment))
    values: dict[bool, Sequence[str]] = {raw: [f"{context.dimension(part.id, raw)} AS id"] for raw in (True, False)}
    names = context.key_names
    columns = tuple(ref.alias for ref in part.references)
    counted = ", ".join([*names, *(f"count(id) AS {quoted(name)}" for name in columns)])
    made = []
    for segment in apart:
        rows = _union(_selects(context, replace(part, segments=(segment,)), values, False))
        made.append(f"SELECT {counted} FROM (\n  {rows}\n) d{grouping(names)}")
    rest = tuple(segment for segment in part.segments if segment not in apart)
    if rest or not made:
        rows = _union(_selects(context, replace(part, segments=rest), values, False))
        ids = f"SELECT DISTINCT {', '.join([*names, 'id'])} FROM (\n  {rows}\n) u"
        made.append(f"SELECT {counted} FROM (\n{ids}\n) d{grouping(names)}")
    return Statement(f"{_union(made)} LIMIT {MAX_GROUPS_FETCHED + 1}", context.params.values, columns)


def _counts_itself(spec: QuerySpec, segment: Segment) -> bool:
    """Whether no id occurs twice in a group of this segment, and no group is in another segment as well."""
    if segment.source == RAW or spec.buckets is None or spec.buckets.step is None:
        return False
    rollup = ROLLUPS[segment.source]
    grouped = {"project_id" if name == "project" else name for name in spec.group_by}
    if len(spec.project_ids) == 1:
        grouped.add("project_id")
    return spec.buckets.step == rollup.width and grouped.issuperset(rollup.dimensions)


def _percentile(context: Context, plan: Plan, part: Part) -> Statement:
    """Nearest-rank percentiles, exact, in one pass over raw spans."""
    ranks = [ref.formula.percent / 100 for ref in part.references]
    bound = context.params.bind(ranks, "double precision[]")
    ranked = f"percentile_disc({bound}) WITHIN GROUP (ORDER BY s.{part.value}) AS ranks"
    source, where = _segment_from(context, part.segments[0])
    keys = context.keys(raw=True)
    # As in histograms, a group in which no span has the value is no group of this part.
    where += f" AND s.{part.value} IS NOT NULL"
    select = f"SELECT {', '.join([*keys, ranked])} FROM {source} WHERE {where}{grouping(keys)}"
    names = context.key_names
    columns = tuple(ref.alias for ref in part.references)
    picked = [f"ranks[{i + 1}]::double precision / 1000 AS {quoted(name)}" for i, name in enumerate(columns)]
    sql = f"SELECT {', '.join([*names, *picked])} FROM (\n  {select}\n) u LIMIT {MAX_GROUPS_FETCHED + 1}"
    return Statement(sql, context.params.values, columns)


def _histogram(context: Context, plan: Plan, part: Part) -> Statement:
    """Of every group how many bins its cells have, the bins and the counts; raw spans are binned on the way.

    The arrays are joined as they would be sent, for Python to merge (`percentiles.unpacked`): a row for every cell
    costs more than all that is in it.
    """
    keys = context.key_names
    # Without keys there would be a row even of nothing.
    ending = f"{grouping(keys)} HAVING count(*) > 0"
    selects = []
    for segment in _pieces(part):
        raw = segment.source == RAW
        source, where = _segment_from(context, segment)
        names = context.keys(raw)
        if not raw:
            joined = [f"string_agg(array_send(c.{name}), ''::bytea) AS {name}" for name in ("bins", "counts")]
            picked = [*names, "array_agg(cardinality(c.bins)) AS sizes", *joined]
            selects.append(f"SELECT {', '.join(picked)} FROM {source} WHERE {where} AND c.bins <> '{{}}'{ending}")
            continue
        column = f"s.{part.value}"
        inner = [*names, f"{bin_sql(column)} AS bin", "count(*) AS n"]
        where += f" AND {column} IS NOT NULL"
        grouped = f"SELECT {', '.join(inner)} FROM {source} WHERE {where}{grouping(inner[:-1])}"
        joined = [f"array_send(array_agg({name}))" for name in ("bin", "n")]
        picked = [*keys, "ARRAY[count(*)::integer]", *joined]
        selects.append(f"SELECT {', '.join(picked)} FROM ({grouped}) b{ending}")
    columns = tuple(ref.alias for ref in part.references)
    return Statement(_union(selects), context.params.values, columns)


_KINDS: dict[PartKind, Callable[[Context, Plan, Part], Statement]] = {
    "components": _components,
    "distinct": _distinct,
    "percentile": _percentile,
    "histogram": _histogram,
}
