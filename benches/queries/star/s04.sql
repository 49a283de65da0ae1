-- Shoppers who buy more on the web than a year ago, and more so than in stores.
WITH totals AS (
  SELECT c.shopper_id, c.first_name, c.last_name, d.year, 's' AS channel, sum((l.list_price - l.cost) * l.quantity) AS total
  FROM {shoppers} c JOIN {store_lines} l ON l.shopper_key = c.shopper_key JOIN {days} d ON d.day_key = l.day_key
  WHERE d.year IN (2022, 2023) GROUP BY c.shopper_id, c.first_name, c.last_name, d.year
  UNION ALL
  SELECT c.shopper_id, c.first_name, c.last_name, d.year, 'w' AS channel, sum((l.list_price - l.cost) * l.quantity) AS total
  FROM {shoppers} c JOIN {web_lines} l ON l.shopper_key = c.shopper_key JOIN {days} d ON d.day_key = l.day_key
  WHERE d.year IN (2022, 2023) GROUP BY c.shopper_id, c.first_name, c.last_name, d.year)
SELECT s2.shopper_id, s2.first_name, s2.last_name
FROM totals s1 JOIN totals s2 ON s2.shopper_id = s1.shopper_id JOIN totals w1 ON w1.shopper_id = s1.shopper_id JOIN totals w2 ON w2.shopper_id = s1.shopper_id
WHERE s1.channel = 's' AND s2.channel = 's' AND w1.channel = 'w' AND w2.channel = 'w' AND s1.year = 2022 AND w1.year = 2022 AND s2.year = 2023
  AND w2.year = 2023 AND s1.total > 0 AND w1.total > 0 AND w2.total * s1.total > s2.total * w1.total
ORDER BY s2.shopper_id LIMIT 100
