-- Households of shoppers of a county who bought in a store and on the web within months.
SELECT h.kind, h.education, h.dependants, count(*) AS n
FROM {shoppers} c JOIN {addresses} a ON c.address_key = a.address_key JOIN {households} h ON c.household_key = h.household_key
WHERE a.county IN ('coffeeton', 'violinton', 'marbleton')
  AND EXISTS (SELECT 1 FROM {store_lines} l JOIN {days} d ON l.day_key = d.day_key WHERE c.shopper_key = l.shopper_key AND d.year = 2023 AND d.month BETWEEN 1 AND 4)
  AND EXISTS (SELECT 1 FROM {web_lines} l JOIN {days} d ON l.day_key = d.day_key WHERE c.shopper_key = l.shopper_key AND d.year = 2023 AND d.month BETWEEN 1 AND 4)
GROUP BY h.kind, h.education, h.dependants ORDER BY h.kind, h.education, h.dependants LIMIT 100
