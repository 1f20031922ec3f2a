WITH marked AS (
    SELECT m.project_id, lower(r.span) AS lo, upper(r.span) AS hi
    FROM (
        SELECT project_id, range_agg(tstzrange(lo, hi)) AS spans
        FROM (SELECT DISTINCT project_id, lo, hi FROM span_mark WHERE project_id = ANY(%(p0)s::integer[]) AND inherited) d
        GROUP BY project_id
    ) m, unnest(m.spans) AS r (span)
), dirty_trace AS MATERIALIZED (
    SELECT u.project_id, u.trace_id, least(u.lo, t.first_start) AS lo, greatest(u.hi, t.last_start) AS hi,
        t.trace_id IS NOT NULL AS known, t.first_start, t.last_start,
        t.user_id AS old_user_id, t.environment AS old_environment
    FROM (
        SELECT m.project_id, s.trace_id, min(s.start_time) AS lo, max(s.start_time) AS hi
        FROM marked m CROSS JOIN LATERAL (
            SELECT s.trace_id, s.start_time FROM span s
            WHERE s.project_id = m.project_id AND s.start_time >= m.lo AND s.start_time < m.hi
            OFFSET 0
        ) s
        GROUP BY m.project_id, s.trace_id
    ) u
    LEFT JOIN trace t ON t.project_id = u.project_id AND t.trace_id = u.trace_id
), dirty_attr AS MATERIALIZED (
    SELECT b.project_id, b.trace_id, b.known, b.first_start, b.last_start,
        b.old_user_id, b.old_environment, a.*
    FROM dirty_trace b CROSS JOIN LATERAL (
        SELECT coalesce((array_agg(s.user_id ORDER BY s.start_time, s.span_id) FILTER (WHERE s.parent_span_id IS NULL))[1], (array_agg(s.user_id ORDER BY s.start_time, s.span_id) FILTER (WHERE s.user_id IS NOT NULL))[1]) AS user_id, coalesce((array_agg(s.environment ORDER BY s.start_time, s.span_id) FILTER (WHERE s.parent_span_id IS NULL))[1], (array_agg(s.environment ORDER BY s.start_time, s.span_id) FILTER (WHERE s.environment IS NOT NULL))[1]) AS environment
        FROM span s
        WHERE s.trace_id = b.trace_id AND s.project_id + 0 = b.project_id AND s.start_time >= b.lo AND s.start_time <= b.hi
    ) a
)
SELECT count(id) AS "unique_users" FROM (
SELECT DISTINCT id FROM (
  SELECT c.user_id AS id FROM users_1d c WHERE c.project_id = ANY(%(p0)s::integer[]) AND c.bucket >= %(p1)s::timestamptz AND c.bucket < %(p2)s::timestamptz AND (c.environment = %(p3)s::text) IS NOT TRUE
  UNION ALL
  SELECT coalesce(s.user_id, CASE WHEN a.trace_id IS NULL THEN t.user_id ELSE a.user_id END) AS id FROM span s LEFT JOIN (SELECT t.project_id, t.trace_id, t.user_id, t.environment FROM trace t WHERE t.project_id = ANY(%(p0)s::integer[]) AND EXISTS (SELECT FROM span s WHERE s.project_id = ANY(%(p0)s::integer[]) AND s.start_time >= %(p2)s::timestamptz AND s.start_time < %(p4)s::timestamptz AND s.billable AND (s.user_id IS NULL OR s.environment IS NULL)) AND t.first_start >= %(p2)s::timestamptz - interval '1 hour' AND t.first_start < %(p4)s::timestamptz UNION ALL SELECT t.project_id, t.trace_id, t.user_id, t.environment FROM trace t WHERE t.project_id = ANY(%(p0)s::integer[]) AND EXISTS (SELECT FROM span s WHERE s.project_id = ANY(%(p0)s::integer[]) AND s.start_time >= %(p2)s::timestamptz AND s.start_time < %(p4)s::timestamptz AND s.billable AND (s.user_id IS NULL OR s.environment IS NULL)) AND t.first_start < %(p2)s::timestamptz - interval '1 hour' AND t.last_start >= %(p2)s::timestamptz AND t.last_start - t.first_start > interval '1 hour') t ON t.project_id = s.project_id AND t.trace_id = CASE WHEN s.user_id IS NULL OR s.environment IS NULL THEN s.trace_id END LEFT JOIN dirty_attr a ON a.project_id = s.project_id AND a.trace_id = s.trace_id WHERE s.project_id = ANY(%(p0)s::integer[]) AND s.start_time >= %(p2)s::timestamptz AND s.start_time < %(p4)s::timestamptz AND s.billable AND (coalesce(s.environment, CASE WHEN a.trace_id IS NULL THEN t.environment ELSE a.environment END, 'default') = %(p3)s::text) IS NOT TRUE
) u
) d LIMIT 200001
