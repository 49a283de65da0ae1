-- Two channels with subtotals.
SELECT channel, place, sum(sales) AS sales, sum(profit) AS profit FROM (
  SELECT 'store' AS channel, l.store_key AS place, l.sales_price * l.quantity AS sales, (l.sales_price - l.cost) * l.quantity AS profit
  FROM {store_lines} l JOIN {days} d ON d.day_key = l.day_key WHERE d.day BETWEEN DATE '2023-08-01' AND DATE '2023-08-28'
  UNION ALL
  SELECT 'web' AS channel, l.site_key AS place, l.sales_price * l.quantity AS sales, (l.sales_price - l.cost) * l.quantity AS profit
  FROM {web_lines} l JOIN {days} d ON d.day_key = l.day_key WHERE d.day BETWEEN DATE '2023-08-01' AND DATE '2023-08-28') AS channels
GROUP BY ROLLUP (channel, place) ORDER BY channel NULLS LAST, place NULLS LAST LIMIT 200
