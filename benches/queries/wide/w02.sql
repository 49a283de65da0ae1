-- Many aggregates of many columns, no groups.
SELECT count(*) AS n, sum(duration_ms) AS duration, avg(screen_width) AS width, min(event_day) AS first_day, max(event_day) AS last_day,
  sum(measure_00) AS m0, sum(measure_05) AS m5, sum(measure_10) AS m10, sum(measure_15) AS m15, sum(measure_20) AS m20, sum(measure_29) AS m29
FROM {events}
