-- Averages of items that a kind of household buys without a promotion by mail or at events.
SELECT i.item_id, avg(l.quantity) AS quantity, avg(l.list_price) AS list_price, avg(l.sales_price) AS sales_price
FROM {store_lines} l JOIN {shoppers} c ON l.shopper_key = c.shopper_key JOIN {households} h ON c.household_key = h.household_key
  JOIN {days} d ON l.day_key = d.day_key JOIN {items} i ON l.item_key = i.item_key JOIN {promotions} p ON l.promotion_key = p.promotion_key
WHERE h.kind = 'single' AND h.education = 'college' AND (p.by_mail = 0 OR p.at_events = 0) AND d.year = 2023
GROUP BY i.item_id ORDER BY i.item_id LIMIT 100
