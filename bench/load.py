"""Load millions of spans by COPY: generated in the database, streamed out in binary and copied in again.

Traffic: traces of five spans (a chain, three LLM calls, one embedding), eight models, three environments, 2,000 users
with a long tail, 2% errors, two tags on the root, spread evenly over the days. Deterministic for a given seed up to the
server's random().
"""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
from tqdm import tqdm

from apps.traces.columns import SPAN_COLUMNS

STEP = 250_000

GENERATE = """
COPY (
  WITH t AS (
    SELECT g, g / 5 AS trace, g % 5 AS place,
           hashint8extended(g / 5, {seed}) AS th, hashint8extended(g, {seed} + 1) AS sh
    FROM generate_series({low}::bigint, {high}::bigint - 1) g
  ), u AS (
    SELECT *, ((th & 1048575)::float8 / 1048576) AS tu, (((th >> 20) & 1048575)::float8 / 1048576) AS tv,
           ((sh & 1048575)::float8 / 1048576) AS su, (((sh >> 20) & 1048575)::float8 / 1048576) AS sv,
           (((sh >> 40) & 1048575)::float8 / 1048576) AS sw
    FROM t
  ), v AS (
    SELECT *, 1 + (sv * sv * 4000)::bigint AS prompt, 1 + (sw * sw * 900)::bigint AS completion,
           CASE place WHEN 0 THEN 'chain' WHEN 4 THEN 'embedding' ELSE 'llm' END AS kind,
           (array['gpt-4o','gpt-4o-mini','claude-sonnet-4-5','claude-haiku-4-5','gemini-2.5-flash','gemini-2.5-pro',
                  'gpt-4.1','gpt-4o'])[1 + (tv * 8)::int % 8] AS llm_model
    FROM u
  )
  SELECT {project}::integer, md5(trace::text || '-{seed}'), substr(md5(g::text || '-{seed}-s'), 1, 16),
    timestamptz '{start}' + make_interval(secs =>
      floor((trace::float8 / {traces} * {seconds}) * 1000) / 1000 + place * 0.05),
    (exp(12.2 + 2.2 * (su + sv + sw - 1.5)) * 2)::bigint,
    CASE WHEN place = 0 THEN NULL ELSE substr(md5((trace * 5)::text || '-{seed}-s'), 1, 16) END,
    CASE place WHEN 0 THEN 'answer' WHEN 4 THEN 'embed' ELSE 'chat' END,
    kind, place > 0, CASE WHEN place > 0 AND su < 0.02 THEN 'error' ELSE 'ok' END,
    CASE WHEN place = 0 THEN NULL WHEN place = 4 OR llm_model LIKE 'gpt%' THEN 'openai'
         WHEN llm_model LIKE 'claude%' THEN 'anthropic' ELSE 'google' END,
    CASE place WHEN 0 THEN NULL WHEN 4 THEN 'text-embedding-3-small' ELSE llm_model END,
    NULL::text, CASE WHEN tu < 0.8 THEN 'production' WHEN tu < 0.95 THEN 'staging' ELSE 'development' END,
    (array['search','support','growth'])[1 + (tu * 3)::int % 3],
    'user-' || floor(tv * tv * 2000)::int, 'session-' || (trace / 4),
    CASE WHEN place > 0 AND su < 0.02 THEN (array['rate_limit','timeout','server_error'])[1 + (sw * 3)::int % 3] END,
    CASE WHEN place > 0 AND su < 0.02 THEN 'upstream said no' END,
    CASE WHEN kind = 'llm' THEN (80000 + su * 900000)::bigint END,
    CASE WHEN place > 0 THEN prompt END, CASE WHEN kind = 'llm' THEN completion END,
    CASE WHEN place > 0 THEN prompt + CASE WHEN kind = 'llm' THEN completion ELSE 0 END END,
    CASE WHEN kind = 'llm' THEN prompt / 3 END, NULL::bigint, NULL::bigint,
    CASE WHEN place > 0 THEN prompt * 2500000 END, CASE WHEN kind = 'llm' THEN completion * 10000000 END,
    CASE WHEN place > 0 THEN prompt * 2500000 + CASE WHEN kind = 'llm' THEN completion * 10000000 ELSE 0 END END,
    NULL::bigint,
    CASE WHEN place > 0 THEN prompt * 2500000 + CASE WHEN kind = 'llm' THEN completion * 10000000 ELSE 0 END END,
    CASE WHEN place > 0 THEN 'computed' ELSE 'none' END, NULL::text, CASE WHEN place > 0 THEN 'bench' END,
    NULL::jsonb,
    CASE WHEN place = 0 THEN array['team:' || (array['search','support','growth'])[1 + (tu * 3)::int % 3],
      'feature:' || floor(tv * 20)::int] END,
    NULL::jsonb, 0, 15, sh
  FROM v
) TO STDOUT (FORMAT binary)
"""


def load(dsn: str, *, project_id: int, spans: int, start: datetime, days: float, seed: int = 7) -> None:
    """COPY `spans` spans into `span` and mark the whole range for the refresh."""
    names = ", ".join(column.name for column in SPAN_COLUMNS)
    with psycopg.connect(dsn, autocommit=True) as source, psycopg.connect(dsn) as target:
        for low in tqdm(range(0, spans, STEP), desc="loading", unit=f"x{STEP}", disable=None):
            query = GENERATE.format(
                low=low,
                high=min(low + STEP, spans),
                seed=seed,
                project=project_id,
                start=start.isoformat(),
                traces=max(1, spans // 5),
                seconds=days * 86400,
            )
            with (
                source.cursor().copy(query) as reader,
                target.cursor().copy(f"COPY span ({names}) FROM STDIN (FORMAT binary)") as writer,
            ):
                for block in reader:
                    writer.write(block)
            target.commit()
        low_edge = start.replace(second=0, microsecond=0)
        high_edge = (start + timedelta(days=days)).replace(second=0, microsecond=0) + timedelta(minutes=2)
        target.execute(
            "INSERT INTO span_mark (project_id, lo, hi) VALUES (%s, %s, %s)", (project_id, low_edge, high_edge)
        )
        target.commit()
