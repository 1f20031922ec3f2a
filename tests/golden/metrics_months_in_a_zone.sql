SELECT *, count(*) OVER () AS total_rows FROM (
SELECT bucket, (duration_sum::numeric / nullif(duration_count, 0))::double precision / 1000 AS "duration" FROM (
SELECT width_bucket(c.bucket, %(p0)s::timestamptz[]) AS bucket, sum(c.duration_sum)::bigint AS duration_sum, sum(c.duration_count)::bigint AS duration_count FROM usage_15m c WHERE c.project_id = ANY(%(p1)s::integer[]) AND c.bucket >= %(p2)s::timestamptz AND c.bucket < %(p3)s::timestamptz GROUP BY 1
) g
) f WHERE round("duration"::numeric, 6) > %(p4)s::numeric ORDER BY bucket ASC NULLS LAST LIMIT 10001
