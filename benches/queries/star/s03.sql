-- A maker's brands in each November.
SELECT d.year, i.brand_id, i.brand, sum(l.sales_price * l.quantity) AS total
FROM {store_lines} l JOIN {days} d ON l.day_key = d.day_key JOIN {items} i ON l.item_key = i.item_key
WHERE i.manufacturer_id BETWEEN 100 AND 140 AND d.month = 11
GROUP BY d.year, i.brand_id, i.brand ORDER BY d.year, total DESC, i.brand_id LIMIT 100
