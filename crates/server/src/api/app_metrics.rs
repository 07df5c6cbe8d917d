//! What functions did in the last hour, for dashboards: `/api/app_metrics/…`.
//!
//! Times and series have the form that dashboards of the client's tools use: a moment is `{secs_since_epoch,
//! nanos_since_epoch}`, a series a list of moments with a number or null. Ours is `functions`, which tells everything at
//! once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use freshet_functions::metrics::{Counts, FunctionName, FunctionTotals, Minute};
use freshet_meter::Distribution;
use serde::Deserialize;
use serde_json::{Value, json};

use super::calls::Presented;
use super::planned::not_offered_error;
use crate::access::Operation;
use crate::edge::error::ApiError;
use crate::edge::path_args::PathArgs;
use crate::edge::query_args::QueryArgs;
use crate::state::State;

/// Seconds that are kept.
const HOUR_S: f64 = 3600.0;
/// Most buckets of one series.
const BUCKETS_MAX: usize = 1_000;
/// Functions of a ranking, unless asked for otherwise.
const TOP_DEFAULT: usize = 5;
const TOP_MAX: usize = 25;
/// The line of a ranking for everything that is not in it.
const REST: &str = "_rest";

type Hour = Vec<(Arc<FunctionName>, Vec<Minute>)>;

/// Which functions, which moments, how much.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params {
    component_path: Option<String>,
    #[serde(alias = "udfPath")]
    path: Option<String>,
    udf_type: Option<String>,
    metric: Option<String>,
    window: Option<String>,
    percentiles: Option<String>,
    k: Option<String>,
}

/// `GET /api/app_metrics/…`
pub(super) async fn answer(
    Shared(state): Shared<Arc<State>>,
    Presented(credentials): Presented,
    PathArgs(name): PathArgs<String>,
    QueryArgs(params): QueryArgs<Params>,
) -> Result<Json<Value>, ApiError> {
    state.require_admin(&credentials, Operation::METRICS_VIEW)?;
    let metrics = state.services.functions.metrics();
    if name == "functions" {
        let totals = metrics.totals();
        let hour = metrics.last_hour();
        return Ok(Json(
            totals.iter().zip(&hour).map(|(total, (_, minutes))| describe(total, minutes)).collect(),
        ));
    }
    let series = Window::parse(params.window.as_deref())?;
    let hour = metrics.last_hour();
    let chosen = || hour.iter().filter(|(name, _)| params.chooses(name));
    Ok(Json(match name.as_str() {
        "udf_rate" => {
            let metric = Metric::parse(params.metric.as_deref())?;
            series.line(chosen().flat_map(|(_, minutes)| minutes), |counts, _| Some(metric.of(counts)), true)
        }
        "cache_hit_percentage" => series.line(
            chosen().flat_map(|(_, minutes)| minutes),
            |counts, _| percentage(counts, counts.cache_hits),
            false,
        ),
        "latency_percentiles" => {
            let percentiles: Vec<f64> =
                serde_json::from_str(params.percentiles.as_deref().unwrap_or("[50,90,95,99]"))
                    .map_err(|error| bad("percentiles", &error))?;
            let lines = percentiles.iter().map(|percentile| {
                let minutes = chosen().flat_map(|(_, minutes)| minutes);
                let seconds = |us: f64| us / 1e6;
                let line = series.line(
                    minutes,
                    |_, durations| durations.quantile(percentile / 100.0).map(seconds),
                    false,
                );
                json!([percentile, line])
            });
            lines.collect()
        }
        "function_call_count_top_k" => {
            series.ranking(&hour, params.k()?, &|counts| Some(counts.calls as f64), true)
        }
        "failure_percentage_top_k" => {
            series.ranking(&hour, params.k()?, &|counts| percentage(counts, counts.errors), false)
        }
        "cache_hit_percentage_top_k" => {
            let queries: Hour =
                hour.iter().filter(|(name, _)| name.kind.as_str() == "Query").cloned().collect();
            series.ranking(&queries, params.k()?, &|counts| percentage(counts, counts.cache_hits), false)
        }
        other => return Err(not_offered_error(&format!("/api/app_metrics/{other} is not available"))),
    }))
}

fn percentage(counts: &Counts, part: u64) -> Option<f64> {
    (counts.calls > 0).then(|| 100.0 * part as f64 / counts.calls as f64)
}

/// Everything about one function: since the start, and in the last hour.
fn describe(total: &FunctionTotals, minutes: &[Minute]) -> Value {
    let counts = |counts: &Counts, durations: &Distribution| {
        let quantile = |share| durations.quantile(share).map(|us| us / 1e6);
        json!({
            "calls": counts.calls,
            "errors": counts.errors,
            "cacheHits": counts.cache_hits,
            "conflicts": counts.conflicts,
            "userSeconds": counts.user_time_us as f64 / 1e6,
            "documentsRead": counts.documents_read,
            "bytesRead": counts.bytes_read,
            "documentsWritten": counts.documents_written,
            "bytesWritten": counts.bytes_written,
            "returnedBytes": counts.returned_bytes,
            "p50Seconds": quantile(0.5),
            "p90Seconds": quantile(0.9),
            "p99Seconds": quantile(0.99),
        })
    };
    let (hour, durations) = sum(minutes.iter());
    json!({
        "identifier": total.name.identifier,
        "udfType": total.name.kind.as_str(),
        "componentPath": (!total.name.component.is_root()).then(|| total.name.component.as_str()),
        "sinceStart": counts(&total.counts, &total.durations_us),
        "lastHour": counts(&hour, &durations),
    })
}

fn sum<'a>(minutes: impl Iterator<Item = &'a Minute>) -> (Counts, Distribution) {
    minutes.fold(Default::default(), |(counts, mut durations), minute| {
        durations.merge(&minute.durations_us);
        (counts.plus(minute.counts), durations)
    })
}

impl Params {
    fn chooses(&self, name: &FunctionName) -> bool {
        let same = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let path = self.path.as_deref().map(|path| path.replacen(".js:", ":", 1));
        path.is_none_or(|path| path == name.identifier)
            && same(&self.component_path, name.component.as_str())
            && same(&self.udf_type, name.kind.as_str())
    }

    fn k(&self) -> Result<usize, ApiError> {
        let Some(text) = &self.k else { return Ok(TOP_DEFAULT) };
        text.parse().ok().filter(|k| (1..=TOP_MAX).contains(k)).ok_or_else(|| {
            ApiError::bad_request(
                "InvalidTopKParameter",
                format!("k must be from 1 to {TOP_MAX}, not '{text}'."),
            )
        })
    }
}

/// What a rate counts.
#[derive(Clone, Copy)]
enum Metric {
    Invocations,
    Errors,
    CacheHits,
    CacheMisses,
}

impl Metric {
    fn parse(name: Option<&str>) -> Result<Self, ApiError> {
        Ok(match name.unwrap_or("invocations") {
            "invocations" => Self::Invocations,
            "errors" => Self::Errors,
            "cacheHits" => Self::CacheHits,
            "cacheMisses" => Self::CacheMisses,
            other => return Err(bad("metric", &format!("there is no rate of '{other}'"))),
        })
    }

    fn of(self, counts: &Counts) -> f64 {
        let count = match self {
            Self::Invocations => counts.calls,
            Self::Errors => counts.errors,
            Self::CacheHits => counts.cache_hits,
            Self::CacheMisses => counts.calls - counts.cache_hits,
        };
        count as f64
    }
}

fn bad(parameter: &str, reason: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request("BadQueryArgs", format!("{parameter}: {reason}"))
}

#[derive(Deserialize)]
struct Moment {
    secs_since_epoch: f64,
    #[serde(default)]
    nanos_since_epoch: f64,
}

#[derive(Deserialize)]
struct WindowText {
    start: Moment,
    end: Moment,
    num_buckets: usize,
}

/// The moments of a series. Times in seconds since the Unix epoch.
struct Window {
    start_s: f64,
    bucket_s: f64,
    buckets: usize,
}

impl Window {
    fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = text else {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now_s = now.unwrap_or_default().as_secs_f64();
            return Ok(Self { start_s: now_s - HOUR_S, bucket_s: 60.0, buckets: 60 });
        };
        let window: WindowText = serde_json::from_str(text).map_err(|error| bad("window", &error))?;
        let seconds = |moment: &Moment| moment.secs_since_epoch + moment.nanos_since_epoch / 1e9;
        let (start_s, end_s) = (seconds(&window.start), seconds(&window.end));
        if !(1..=BUCKETS_MAX).contains(&window.num_buckets) || end_s <= start_s {
            return Err(bad(
                "window",
                &format!("it must end after its start and have from 1 to {BUCKETS_MAX} buckets"),
            ));
        }
        Ok(Self {
            start_s,
            bucket_s: (end_s - start_s) / window.num_buckets as f64,
            buckets: window.num_buckets,
        })
    }

    /// One number for each bucket in which something happened; per minute if it is a rate.
    fn line<'a>(
        &self,
        minutes: impl Iterator<Item = &'a Minute>,
        number: impl Fn(&Counts, &Distribution) -> Option<f64>,
        is_rate: bool,
    ) -> Value {
        let mut buckets: Vec<Vec<&Minute>> = vec![Vec::new(); self.buckets];
        for minute in minutes {
            let bucket = (minute.start_s as f64 - self.start_s) / self.bucket_s;
            // A minute that had begun before the window counts to its first bucket.
            if bucket > -60.0 / self.bucket_s
                && let Some(bucket) = buckets.get_mut(bucket.max(0.0) as usize)
            {
                bucket.push(minute);
            }
        }
        let scale = if is_rate { 60.0 / self.bucket_s } else { 1.0 };
        let points = buckets.iter().enumerate().map(|(index, minutes)| {
            let at = self.start_s + index as f64 * self.bucket_s;
            let moment =
                json!({ "secs_since_epoch": at as u64, "nanos_since_epoch": (at.fract() * 1e9) as u64 });
            let value = (!minutes.is_empty()).then(|| {
                let (counts, durations) = sum(minutes.iter().copied());
                number(&counts, &durations).map(|number| number * scale)
            });
            json!([moment, value.flatten()])
        });
        points.collect()
    }

    /// The functions with the largest numbers, and the rest in one line.
    fn ranking(
        &self,
        hour: &Hour,
        k: usize,
        number: &dyn Fn(&Counts) -> Option<f64>,
        is_rate: bool,
    ) -> Value {
        let total = |minutes: &[Minute]| number(&sum(minutes.iter()).0).unwrap_or(0.0);
        let mut ranked: Vec<_> = hour.iter().filter(|(_, minutes)| !minutes.is_empty()).collect();
        ranked.sort_by(|(_, a), (_, b)| total(b).total_cmp(&total(a)));
        let (top, rest) = ranked.split_at(k.min(ranked.len()));
        let line = |name: &str, minutes: &mut dyn Iterator<Item = &Minute>| {
            json!([name, self.line(minutes, |counts, _| number(counts), is_rate)])
        };
        let mut lines: Vec<Value> =
            top.iter().map(|(name, minutes)| line(&name.identifier, &mut minutes.iter())).collect();
        if !rest.is_empty() {
            lines.push(line(REST, &mut rest.iter().flat_map(|(_, minutes)| minutes)));
        }
        lines.into()
    }
}
