-- Groups almost as many as rows.
SELECT user_id, url, count(*) AS n, avg(duration_ms) AS duration FROM {events} GROUP BY user_id, url ORDER BY n DESC, user_id, url LIMIT 10
