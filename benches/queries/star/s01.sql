-- Shoppers who return more than is usual in their store.
WITH returned AS (
  SELECT r.shopper_key, r.store_key, sum(r.amount) AS total FROM {store_returns} r JOIN {days} d ON r.day_key = d.day_key
  WHERE d.year = 2023 GROUP BY r.shopper_key, r.store_key)
SELECT c.shopper_id FROM returned a JOIN {stores} s ON s.store_key = a.store_key JOIN {shoppers} c ON c.shopper_key = a.shopper_key
WHERE a.total > (SELECT avg(b.total) * 1.2 FROM returned b WHERE b.store_key = a.store_key) AND s.country = 'de'
ORDER BY c.shopper_id LIMIT 100
