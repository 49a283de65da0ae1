-- Distinct users of each region, the largest regions first.
SELECT region_id, count(DISTINCT user_id) AS users, sum(duration_ms) AS duration, count(*) AS n
FROM {events} GROUP BY region_id ORDER BY users DESC, region_id LIMIT 10
