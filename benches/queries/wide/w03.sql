-- Distinct values, without groups.
SELECT count(DISTINCT user_id) AS users, count(DISTINCT search_phrase) AS phrases FROM {events}
