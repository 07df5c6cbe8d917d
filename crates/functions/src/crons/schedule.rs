//! When a cron job runs. All times are UTC.

use std::fmt;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use freshet_values::Value;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// Days by name, in the order of their numbers.
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Fields of a cron expression: minute, hour, day of month, month, day of week.
const CRON_FIELDS: usize = 5;

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Every so many seconds from the first run on.
    Interval { seconds: u64 },
    /// Once an hour. Without a minute, at one that depends on the job's name.
    Hourly { minute: Option<u8> },
    /// Once a day.
    Daily { hour: u8, minute: Option<u8> },
    /// Once a week; days count from 0, Sunday.
    Weekly { day: u8, hour: u8, minute: Option<u8> },
    /// On one day of the month; months without that day are skipped.
    Monthly { day: u8, hour: u8, minute: Option<u8> },
    /// A five-field expression.
    Cron { expression: String },
}

/// Why a schedule is refused; the end of a sentence about the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScheduleError(pub(crate) String);

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Schedule {
    /// Reads a schedule as `crons.export()` writes it.
    pub(crate) fn from_export(json: &Json) -> Result<Self, ScheduleError> {
        let fields = Fields(json);
        match json["type"].as_str() {
            Some("interval") => Self::interval(&fields),
            Some("hourly") => Ok(Self::Hourly { minute: fields.minute()? }),
            Some("daily") => Ok(Self::Daily { hour: fields.hour()?, minute: fields.minute()? }),
            Some("weekly") => {
                let name = json["dayOfWeek"].as_str().unwrap_or_default();
                let day = DAYS.iter().position(|day| *day == name).ok_or_else(|| {
                    ScheduleError(format!("dayOfWeek must be a day of the week, not '{name}'"))
                })?;
                Ok(Self::Weekly { day: day as u8, hour: fields.hour()?, minute: fields.minute()? })
            }
            Some("monthly") => Ok(Self::Monthly {
                day: fields.required("day", 1, 31)?,
                hour: fields.hour()?,
                minute: fields.minute()?,
            }),
            Some("cron") => {
                let expression = json["cron"].as_str().unwrap_or_default().trim().to_owned();
                parse_expression(&expression)?;
                Ok(Self::Cron { expression })
            }
            other => Err(ScheduleError(format!("unknown schedule type '{}'", other.unwrap_or_default()))),
        }
    }

    fn interval(fields: &Fields<'_>) -> Result<Self, ScheduleError> {
        let given: Vec<(u64, &Json)> = [("seconds", 1), ("minutes", 60), ("hours", 3600)]
            .into_iter()
            .filter_map(|(name, unit)| Some((unit, fields.0.get(name)?)))
            .collect();
        let [(unit, count)] = given[..] else {
            return Err(ScheduleError("exactly one of seconds, minutes and hours must be given".into()));
        };
        let count = whole_number(count)
            .and_then(|count| u64::try_from(count).ok())
            .filter(|count| *count > 0)
            .ok_or_else(|| ScheduleError("Interval must be an integer greater than 0".into()))?;
        let seconds = count
            .checked_mul(unit)
            .filter(|seconds| i64::try_from(*seconds).is_ok())
            .ok_or_else(|| ScheduleError("Interval is too long".into()))?;
        Ok(Self::Interval { seconds })
    }

    /// Reads what [`Schedule::to_stored`] wrote.
    pub(crate) fn from_stored(value: &Value) -> Result<Self, ScheduleError> {
        let invalid = || ScheduleError("the stored schedule is damaged".into());
        let object = value.as_object().ok_or_else(invalid)?;
        let number = |name: &str| object.get(name).and_then(Value::as_i64);
        let small =
            |name: &str| number(name).and_then(|number| u8::try_from(number).ok()).ok_or_else(invalid);
        let minute = || number("minuteUTC").map(u8::try_from).transpose().map_err(|_| invalid());
        match object.get("type").and_then(Value::as_str) {
            Some("interval") => {
                let seconds = number("seconds").and_then(|seconds| u64::try_from(seconds).ok());
                Ok(Self::Interval { seconds: seconds.filter(|seconds| *seconds > 0).ok_or_else(invalid)? })
            }
            Some("hourly") => Ok(Self::Hourly { minute: minute()? }),
            Some("daily") => Ok(Self::Daily { hour: small("hourUTC")?, minute: minute()? }),
            Some("weekly") => {
                Ok(Self::Weekly { day: small("dayOfWeek")?, hour: small("hourUTC")?, minute: minute()? })
            }
            Some("monthly") => {
                Ok(Self::Monthly { day: small("day")?, hour: small("hourUTC")?, minute: minute()? })
            }
            Some("cron") => {
                let expression = object.get("cronExpr").and_then(Value::as_str).ok_or_else(invalid)?;
                Ok(Self::Cron { expression: expression.to_owned() })
            }
            _ => Err(invalid()),
        }
    }

    /// The form in which schedules are stored and shown: integers are int64.
    pub(crate) fn to_stored(&self) -> Value {
        let mut fields: Vec<(&str, Value)> = Vec::new();
        let mut text = |name| fields.push(("type", Value::String(name)));
        match self {
            Self::Interval { seconds } => {
                text("interval".to_owned());
                fields.push(("seconds", Value::Int64(i64::try_from(*seconds).unwrap_or(i64::MAX))));
            }
            Self::Hourly { .. } => text("hourly".to_owned()),
            Self::Daily { hour, .. } => {
                text("daily".to_owned());
                fields.push(("hourUTC", Value::Int64((*hour).into())));
            }
            Self::Weekly { day, hour, .. } => {
                text("weekly".to_owned());
                fields.push(("dayOfWeek", Value::Int64((*day).into())));
                fields.push(("hourUTC", Value::Int64((*hour).into())));
            }
            Self::Monthly { day, hour, .. } => {
                text("monthly".to_owned());
                fields.push(("day", Value::Int64((*day).into())));
                fields.push(("hourUTC", Value::Int64((*hour).into())));
            }
            Self::Cron { expression } => {
                text("cron".to_owned());
                fields.push(("cronExpr", Value::String(expression.clone())));
            }
        }
        if let Self::Hourly { minute }
        | Self::Daily { minute, .. }
        | Self::Weekly { minute, .. }
        | Self::Monthly { minute, .. } = self
            && let Some(minute) = minute
        {
            fields.push(("minuteUTC", Value::Int64((*minute).into())));
        }
        Value::object(fields)
    }

    /// The first time strictly after `after_ns` (nanoseconds since the Unix epoch) at which the job named `name` is
    /// due. `previous_ns` is when it was due last; an interval counts from there. `None` when no such time exists.
    pub(crate) fn next(&self, name: &str, previous_ns: Option<u64>, after_ns: u64) -> Option<u64> {
        if let Self::Interval { seconds } = self {
            let Some(previous) = previous_ns else { return after_ns.checked_add(1) };
            // The ends of a long interval lie where no clock gets, and not where numbers begin anew.
            let step = seconds.saturating_mul(1_000_000_000);
            let missed = after_ns.saturating_sub(previous) / step;
            let next = previous.saturating_add(step.saturating_mul(missed + 1));
            return Some(next.min(i64::MAX.unsigned_abs()));
        }
        next_match(&self.times(name)?, after_ns)
    }

    /// The times of the job named `name`; `None` for an interval, which has none of its own.
    fn times(&self, name: &str) -> Option<Cron> {
        let minute_of = |minute: &Option<u8>| minute.unwrap_or_else(|| minute_of_name(name));
        let expression = match self {
            Self::Interval { .. } => return None,
            Self::Hourly { minute } => format!("{} * * * *", minute_of(minute)),
            Self::Daily { hour, minute } => format!("{} {hour} * * *", minute_of(minute)),
            Self::Weekly { day, hour, minute } => format!("{} {hour} * * {day}", minute_of(minute)),
            Self::Monthly { day, hour, minute } => format!("{} {hour} {day} * *", minute_of(minute)),
            Self::Cron { expression } => expression.clone(),
        };
        parse(&expression).ok()
    }

    /// How many times the job was due after `from_ns` and not after `to_ns`, counted up to `max`.
    pub(crate) fn occurrences(&self, name: &str, from_ns: u64, to_ns: u64, max: u64) -> u64 {
        if let Self::Interval { seconds } = self {
            return (to_ns.saturating_sub(from_ns) / seconds.saturating_mul(1_000_000_000)).min(max);
        }
        let Some(times) = self.times(name) else { return 0 };
        let mut count = 0;
        let mut at = from_ns;
        while count < max {
            match next_match(&times, at) {
                Some(next) if next <= to_ns => at = next,
                _ => break,
            }
            count += 1;
        }
        count
    }
}

/// The first of the times strictly after `after_ns`.
fn next_match(times: &Cron, after_ns: u64) -> Option<u64> {
    let after = DateTime::<Utc>::from_timestamp(
        i64::try_from(after_ns / 1_000_000_000).ok()?,
        (after_ns % 1_000_000_000) as u32,
    )?;
    let next = times.find_next_occurrence(&after, false).ok()?;
    u64::try_from(next.timestamp_nanos_opt()?).ok()
}

/// A job's own minute of the hour, for schedules that name none: jobs spread over the hour, and a job keeps its minute
/// without anybody storing it.
fn minute_of_name(name: &str) -> u8 {
    let digest = Sha256::digest(name.as_bytes());
    (u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) % 60) as u8
}

fn parse(expression: &str) -> Result<Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(expression)
}

/// Checks an expression of an app: five fields, days of the week from 0 to 6, and some time that matches.
fn parse_expression(expression: &str) -> Result<(), ScheduleError> {
    let invalid = |detail: &dyn fmt::Display| {
        ScheduleError(format!("invalid cron expression '{expression}': {detail}"))
    };
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != CRON_FIELDS {
        return Err(invalid(&format_args!("{CRON_FIELDS} fields are needed, found {}", fields.len())));
    }
    // The part after `#` counts weeks and the part after `/` is a step.
    let days =
        fields[4].split(',').flat_map(|part| part.split(['#', '/']).next()).collect::<Vec<_>>().join(",");
    if days.split(|c: char| !c.is_ascii_digit()).any(|number| number.parse::<u32>().is_ok_and(|day| day > 6))
    {
        return Err(invalid(&"days of the week are 0 (Sunday) to 6 (Saturday)"));
    }
    let cron = parse(expression).map_err(|error| invalid(&error))?;
    let epoch = DateTime::<Utc>::UNIX_EPOCH;
    cron.find_next_occurrence(&epoch, false).map_err(|_| invalid(&"it never matches"))?;
    Ok(())
}

/// Numbers of an exported schedule.
struct Fields<'a>(&'a Json);

impl Fields<'_> {
    fn hour(&self) -> Result<u8, ScheduleError> {
        self.required("hourUTC", 0, 23)
    }

    fn minute(&self) -> Result<Option<u8>, ScheduleError> {
        match self.0.get("minuteUTC") {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.required("minuteUTC", 0, 59).map(Some),
        }
    }

    fn required(&self, name: &str, min: u8, max: u8) -> Result<u8, ScheduleError> {
        self.0
            .get(name)
            .and_then(whole_number)
            .and_then(|number| u8::try_from(number).ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| ScheduleError(format!("{name} must be {min}-{max}")))
    }
}

/// JavaScript writes whole numbers with or without a fraction.
fn whole_number(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ns(text: &str) -> u64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_nanos_opt().unwrap() as u64
    }

    fn next(schedule: &Json, after: &str) -> u64 {
        Schedule::from_export(schedule).unwrap().next("job", None, ns(after)).unwrap()
    }

    #[test]
    fn clock_schedules_are_due_at_the_next_match_strictly_after_now() {
        let weekly = json!({"type": "weekly", "dayOfWeek": "monday", "hourUTC": 1, "minuteUTC": 2});
        // 2024-01-01 was a Monday.
        assert_eq!(next(&weekly, "2024-01-01T01:02:00Z"), ns("2024-01-08T01:02:00Z"));
        let hourly = json!({"type": "hourly", "minuteUTC": 5});
        assert_eq!(next(&hourly, "2024-01-01T01:04:59.5Z"), ns("2024-01-01T01:05:00Z"));
        let daily = json!({"type": "daily", "hourUTC": 1, "minuteUTC": 0});
        assert_eq!(next(&daily, "2024-01-01T02:00:00Z"), ns("2024-01-02T01:00:00Z"));
    }

    #[test]
    fn months_without_the_day_are_skipped() {
        let monthly = json!({"type": "monthly", "day": 31, "hourUTC": 0, "minuteUTC": 0});
        assert_eq!(next(&monthly, "2024-01-31T00:00:00Z"), ns("2024-03-31T00:00:00Z"));
    }

    #[test]
    fn an_interval_runs_at_once_and_then_counts_from_the_previous_due_time() {
        let schedule = Schedule::from_export(&json!({"type": "interval", "seconds": 30})).unwrap();
        assert_eq!(schedule.next("job", None, 1_000), Some(1_001));
        let second = 1_000_000_000;
        assert_eq!(schedule.next("job", Some(10 * second), 11 * second), Some(40 * second));
        // Two occurrences (40 s and 70 s) have passed already.
        assert_eq!(schedule.next("job", Some(10 * second), 75 * second), Some(100 * second));
        assert_eq!(schedule.occurrences("job", 10 * second, 75 * second, 100), 2);
    }

    #[test]
    fn an_interval_of_centuries_has_a_next_time() {
        let schedule = Schedule::from_export(&json!({"type": "interval", "hours": 3_000_000})).unwrap();
        let now = ns("2026-01-01T00:00:00Z");
        assert_eq!(schedule.next("job", Some(now), now + 1), Some(i64::MAX as u64));
        assert_eq!(schedule.occurrences("job", now, now + 1, 100), 0);
    }

    #[test]
    fn a_year_of_minutes_is_counted_at_once() {
        let schedule = Schedule::from_export(&json!({"type": "cron", "cron": "* * * * *"})).unwrap();
        let (from, to) = (ns("2025-01-01T00:00:00Z"), ns("2026-01-01T00:00:00Z"));
        assert_eq!(schedule.occurrences("job", from, to, 1_000_000), 525_600);
    }

    #[test]
    fn a_schedule_without_a_minute_keeps_one_for_each_job() {
        let daily = Schedule::from_export(&json!({"type": "daily", "hourUTC": 1})).unwrap();
        let after = ns("2024-01-01T02:00:00Z");
        assert_eq!(daily.next("a", None, after), daily.next("a", None, after));
        let minutes: std::collections::BTreeSet<_> =
            (0..20).map(|job| daily.next(&format!("job {job}"), None, after)).collect();
        assert!(minutes.len() > 5);
    }

    #[test]
    fn either_restricted_day_field_matches() {
        let cron = json!({"type": "cron", "cron": "0 0 13 * FRI"});
        assert_eq!(next(&cron, "2024-01-01T00:00:00Z"), ns("2024-01-05T00:00:00Z"));
        assert_eq!(next(&cron, "2024-01-12T00:00:00Z"), ns("2024-01-13T00:00:00Z"));
    }

    #[test]
    fn expressions_that_are_wrong_or_never_match_are_refused() {
        for expression in
            ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "0 0 * * 7", "0 0 30 2 *", "a * * * *"]
        {
            let schedule = json!({"type": "cron", "cron": expression});
            assert!(Schedule::from_export(&schedule).is_err(), "{expression}");
        }
        for expression in
            ["*/5 * * * *", "0 9-17 * jan-mar MON-FRI", "0 5 * * 1,3", "0 0 * * MON#2", "0 0 L * *"]
        {
            let schedule = json!({"type": "cron", "cron": expression});
            assert!(Schedule::from_export(&schedule).is_ok(), "{expression}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let error = |json: Json| Schedule::from_export(&json).unwrap_err().0;
        assert_eq!(error(json!({"type": "hourly", "minuteUTC": 60})), "minuteUTC must be 0-59");
        assert_eq!(error(json!({"type": "daily"})), "hourUTC must be 0-23");
        assert_eq!(
            error(json!({"type": "interval", "seconds": 0})),
            "Interval must be an integer greater than 0"
        );
        assert_eq!(
            error(json!({"type": "interval", "seconds": 1, "hours": 1})),
            "exactly one of seconds, minutes and hours must be given"
        );
    }

    #[test]
    fn a_stored_schedule_reads_back() {
        for export in [
            json!({"type": "interval", "minutes": 2}),
            json!({"type": "hourly"}),
            json!({"type": "hourly", "minuteUTC": 5}),
            json!({"type": "daily", "hourUTC": 1}),
            json!({"type": "weekly", "dayOfWeek": "saturday", "hourUTC": 1, "minuteUTC": 2}),
            json!({"type": "monthly", "day": 3, "hourUTC": 1}),
            json!({"type": "cron", "cron": "0 5 * * 1"}),
        ] {
            let schedule = Schedule::from_export(&export).unwrap();
            assert_eq!(Schedule::from_stored(&schedule.to_stored()), Ok(schedule), "{export}");
        }
    }
}
