-- All columns of ten rows.
SELECT * FROM {events} WHERE url LIKE '%/lantern/77%' ORDER BY event_time, event_id LIMIT 10
