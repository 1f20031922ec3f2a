SELECT *, count(*) OVER () AS total_rows FROM (
SELECT model, (CASE WHEN total_cost_count > 0 THEN total_cost_sum WHEN requests = 0 THEN 0 END) * 0.000000000001 AS "total_cost", requests AS "request_count" FROM (
SELECT c.model AS model, sum(c.total_cost_sum)::numeric AS total_cost_sum, sum(c.total_cost_count)::bigint AS total_cost_count, sum(c.requests)::bigint AS requests FROM usage_1d c WHERE c.project_id = ANY(%(p0)s::integer[]) AND c.bucket >= %(p1)s::timestamptz AND c.bucket < %(p2)s::timestamptz GROUP BY 1
) g
) f ORDER BY "total_cost" DESC NULLS LAST, "model" ASC NULLS LAST LIMIT 10
