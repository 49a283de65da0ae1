-- A day's pages of one counter: a narrow range of a wide table.
SELECT url, count(*) AS views, sum(is_refresh) AS refreshes FROM {events}
WHERE counter_id = 7 AND event_day BETWEEN DATE '2026-02-10' AND DATE '2026-02-16' AND device = 'phone'
GROUP BY url ORDER BY views DESC, url LIMIT 10
