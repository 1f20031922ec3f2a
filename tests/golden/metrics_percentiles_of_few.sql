SELECT ranks[1]::double precision / 1000 AS "ttftp95" FROM (
  SELECT percentile_disc(%(p0)s::double precision[]) WITHIN GROUP (ORDER BY s.ttft_us) AS ranks FROM span s WHERE s.project_id = ANY(%(p1)s::integer[]) AND s.start_time >= %(p2)s::timestamptz AND s.start_time < %(p3)s::timestamptz AND s.billable AND s.model IS NOT NULL AND (s.model = ANY(%(p4)s::text[])) IS NOT TRUE AND s.ttft_us IS NOT NULL
) u LIMIT 200001
