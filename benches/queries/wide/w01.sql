-- Counts by one narrow filter.
SELECT count(*) AS n FROM {events} WHERE campaign_id <> 0
