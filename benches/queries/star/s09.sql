-- The same table asked nine times, for one row.
SELECT
  CASE WHEN (SELECT count(*) FROM {store_lines} WHERE quantity BETWEEN 1 AND 20) > 500000
    THEN (SELECT avg(list_price) FROM {store_lines} WHERE quantity BETWEEN 1 AND 20) ELSE (SELECT avg(sales_price) FROM {store_lines} WHERE quantity BETWEEN 1 AND 20) END AS low,
  CASE WHEN (SELECT count(*) FROM {store_lines} WHERE quantity BETWEEN 21 AND 60) > 500000
    THEN (SELECT avg(list_price) FROM {store_lines} WHERE quantity BETWEEN 21 AND 60) ELSE (SELECT avg(sales_price) FROM {store_lines} WHERE quantity BETWEEN 21 AND 60) END AS middle,
  CASE WHEN (SELECT count(*) FROM {store_lines} WHERE quantity BETWEEN 61 AND 100) > 500000
    THEN (SELECT avg(list_price) FROM {store_lines} WHERE quantity BETWEEN 61 AND 100) ELSE (SELECT avg(sales_price) FROM {store_lines} WHERE quantity BETWEEN 61 AND 100) END AS high
FROM {promotions} WHERE promotion_key = 1
