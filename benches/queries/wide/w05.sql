-- A text of many values, most of them empty.
SELECT search_phrase, count(*) AS n FROM {events} WHERE search_phrase <> '' GROUP BY search_phrase ORDER BY n DESC, search_phrase LIMIT 10
