//! Days and the proleptic Gregorian calendar, for any day number there is.

use datafusion::arrow::datatypes::TimeUnit;

/// Days from 1970-01-01 to the first day of the year of `day`.
pub(super) fn year_start(day: i64) -> i64 {
    let (year, _) = year_and_month(day);
    days_to(year, 1)
}

/// Days from 1970-01-01 to the first day of the month of `day`.
pub(super) fn month_start(day: i64) -> i64 {
    let (year, month) = year_and_month(day);
    days_to(year, month)
}

/// Ticks in a day.
pub(super) fn ticks_per_day(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 86_400,
        TimeUnit::Millisecond => 86_400_000,
        TimeUnit::Microsecond => 86_400_000_000,
        TimeUnit::Nanosecond => 86_400_000_000_000,
    }
}

/// Year and month (1 to 12) of a day. Years begin in March inside, so that the leap day comes last.
fn year_and_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

/// Days from 1970-01-01 to the first day of a month.
fn days_to(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
