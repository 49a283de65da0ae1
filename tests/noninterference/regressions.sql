-- Statements by which a world once betrayed what it hides, one in a line. Every run of the non-interference test asks them first,
-- of every principal, whatever its seed.
SELECT count(*) FROM shop.events
SELECT * FROM shop.events
SELECT array_agg( pay ORDER BY c4 ) FROM shop.people t1 LEFT ANTI JOIN shop.people t2 ON t1.id = t2.id , LATERAL( SELECT CAST( 34 AS DOUBLE ) c4 FROM shop.events WHERE day = born )
SELECT count(*) FROM shop.people WHERE raw IS NOT NULL
EXPLAIN SELECT t1.id FROM shop.events AS t1 JOIN shop.people AS t2 ON t1.id = t2.id ORDER BY 1
EXPLAIN SELECT count(*) FROM shop.rare AS t1 WHERE t1.day BETWEEN '2009-08-18' AND '2029-03-09' AND t1.id = 41
SELECT region, count(*) AS c FROM shop.deals GROUP BY region, kind, level
EXPLAIN SELECT d.region, count(*) FROM shop.deals AS d JOIN shop.plain AS p ON d.id = p.id GROUP BY d.region
SELECT day FROM shop.people t1 JOIN shop.events t2 ON t1.level = t2.level ORDER BY arrow_cast( decode( left( t1.region , 0 ) , 'hex' ) , 'Utf8' )
SELECT region, sum(ratio), avg(ratio), sum(rate), avg(rate), sum(DISTINCT ratio) FROM shop.events GROUP BY region
SELECT sum(ratio), avg(ratio), sum(rate), avg(amount), sum(DISTINCT rate), avg(DISTINCT ratio) FROM shop.events
SELECT level, min(ratio), max(ratio), min(rate), max(rate) FROM shop.events GROUP BY level
SELECT level, sum(ratio) FILTER (WHERE active), avg(rate) FILTER (WHERE NOT active) FROM shop.events GROUP BY level
SELECT region, stddev(ratio), var_pop(rate), corr(ratio, amount), approx_median(ratio) FROM shop.events GROUP BY region
SELECT sum(pay), avg(pay), stddev(pay), covar_samp(pay, level), regr_slope(pay, level), approx_percentile_cont(pay, 0.5) FROM shop.people
