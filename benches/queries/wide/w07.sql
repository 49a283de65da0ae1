-- A pattern in the middle of a long text.
SELECT count(*) AS n, count(DISTINCT referrer) AS referrers FROM {events} WHERE url LIKE '%/walnut/1%' AND referrer NOT LIKE '%pepper%'
