-- Stores near where many of the better shoppers live.
SELECT s.store_name, sum(l.sales_price - l.cost) AS profit
FROM {store_lines} l JOIN {days} d ON l.day_key = d.day_key JOIN {stores} s ON l.store_key = s.store_key
  JOIN (SELECT substr(postcode, 1, 2) AS area FROM {addresses} WHERE country IN ('de', 'fr', 'it')
        INTERSECT
        SELECT substr(a.postcode, 1, 2) AS area FROM {addresses} a JOIN {shoppers} c ON a.address_key = c.address_key JOIN {households} h
          ON h.household_key = c.household_key WHERE h.dependants >= 4 GROUP BY substr(a.postcode, 1, 2) HAVING count(*) > 100) AS areas
    ON substr(s.postcode, 1, 2) = areas.area
WHERE d.quarter = 2 AND d.year = 2022 GROUP BY s.store_name ORDER BY s.store_name LIMIT 100
