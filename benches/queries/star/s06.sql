-- Countries where items are bought that cost more than their category does.
SELECT a.country, count(*) AS n
FROM {addresses} a JOIN {shoppers} c ON a.address_key = c.address_key JOIN {store_lines} l ON c.shopper_key = l.shopper_key
  JOIN {days} d ON l.day_key = d.day_key JOIN {items} i ON l.item_key = i.item_key
WHERE d.year = 2024 AND d.month = 3 AND i.price > 1.2 * (SELECT avg(j.price) FROM {items} j WHERE j.category = i.category)
GROUP BY a.country HAVING count(*) >= 10 ORDER BY n, a.country LIMIT 100
