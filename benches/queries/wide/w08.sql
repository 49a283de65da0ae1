-- Patterns, texts as groups and as aggregates.
SELECT title, min(url) AS url, count(*) AS n, count(DISTINCT user_id) AS users FROM {events}
WHERE title LIKE '%coffee%' AND search_phrase <> '' GROUP BY title ORDER BY n DESC, title LIMIT 10
