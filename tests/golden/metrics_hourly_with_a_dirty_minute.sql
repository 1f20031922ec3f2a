SELECT *, count(*) OVER () AS total_rows FROM (
SELECT bucket, requests AS "request_count", errors::double precision / nullif(requests, 0) AS "error_rate", requests::double precision / extract(epoch FROM least(bucket + %(p0)s::interval, %(p13)s::timestamptz) - greatest(bucket, %(p1)s::timestamptz))::double precision AS "throughput" FROM (
SELECT bucket, coalesce(sum(u.requests)::bigint, 0) AS requests, coalesce(sum(u.errors)::bigint, 0) AS errors FROM (
  SELECT date_bin(%(p0)s::interval, c.bucket, %(p1)s::timestamptz) AS bucket, sum(c.requests)::bigint AS requests, sum(c.errors)::bigint AS errors FROM unnest(%(p4)s::timestamptz[], %(p5)s::timestamptz[]) AS r(low, high) CROSS JOIN LATERAL (SELECT * FROM usage_project_1h c WHERE c.project_id = ANY(%(p2)s::integer[]) AND c.bucket >= %(p1)s::timestamptz AND c.bucket < %(p3)s::timestamptz AND c.bucket >= r.low AND c.bucket < r.high OFFSET 0) c WHERE c.project_id = ANY(%(p2)s::integer[]) GROUP BY 1
  UNION ALL
  SELECT date_bin(%(p0)s::interval, c.bucket, %(p1)s::timestamptz) AS bucket, sum(c.requests)::bigint AS requests, sum(c.errors)::bigint AS errors FROM unnest(%(p8)s::timestamptz[], %(p9)s::timestamptz[]) AS r(low, high) CROSS JOIN LATERAL (SELECT * FROM usage_15m c WHERE c.project_id = ANY(%(p2)s::integer[]) AND c.bucket >= %(p6)s::timestamptz AND c.bucket < %(p7)s::timestamptz AND c.bucket >= r.low AND c.bucket < r.high OFFSET 0) c WHERE c.project_id = ANY(%(p2)s::integer[]) GROUP BY 1
  UNION ALL
  SELECT date_bin(%(p0)s::interval, c.bucket, %(p1)s::timestamptz) AS bucket, sum(c.requests)::bigint AS requests, sum(c.errors)::bigint AS errors FROM usage_1m c WHERE c.project_id = ANY(%(p2)s::integer[]) AND c.bucket >= %(p10)s::timestamptz AND c.bucket < %(p11)s::timestamptz GROUP BY 1
  UNION ALL
  SELECT date_bin(%(p0)s::interval, s.start_time, %(p1)s::timestamptz) AS bucket, count(*) AS requests, count(*) FILTER (WHERE s.status = 'error') AS errors FROM span s WHERE s.project_id = ANY(%(p2)s::integer[]) AND s.start_time >= %(p12)s::timestamptz AND s.start_time < %(p10)s::timestamptz AND s.billable GROUP BY 1
  UNION ALL
  SELECT date_bin(%(p0)s::interval, s.start_time, %(p1)s::timestamptz) AS bucket, count(*) AS requests, count(*) FILTER (WHERE s.status = 'error') AS errors FROM span s WHERE s.project_id = ANY(%(p2)s::integer[]) AND s.start_time >= %(p3)s::timestamptz AND s.start_time < %(p13)s::timestamptz AND s.billable GROUP BY 1
) u GROUP BY 1
) g
) f ORDER BY bucket ASC NULLS LAST LIMIT 10001
