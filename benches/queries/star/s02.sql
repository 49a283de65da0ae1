-- Weeks of one year against those of the next, by day of the week, over two channels.
WITH lines AS (
  SELECT day_key, sales_price * quantity AS price FROM {web_lines} UNION ALL SELECT day_key, sales_price * quantity AS price FROM {store_lines}),
weeks AS (
  SELECT d.week, min(d.year) AS year, sum(CASE WHEN d.weekday = 'Sunday' THEN l.price END) AS sunday, sum(CASE WHEN d.weekday = 'Monday' THEN l.price END) AS monday,
    sum(CASE WHEN d.weekday = 'Friday' THEN l.price END) AS friday, sum(CASE WHEN d.weekday = 'Saturday' THEN l.price END) AS saturday
  FROM lines l JOIN {days} d ON d.day_key = l.day_key GROUP BY d.week)
SELECT a.week, a.sunday / b.sunday AS sunday, a.monday / b.monday AS monday, a.friday / b.friday AS friday,
  a.saturday / b.saturday AS saturday
FROM weeks a JOIN weeks b ON b.week = a.week + 52 WHERE a.year = 2022 ORDER BY a.week
