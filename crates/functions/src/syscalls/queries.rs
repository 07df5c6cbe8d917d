//! Host calls on queries: streams and pages.

use freshet_database::query::Query;
use freshet_database::{DeveloperError, Namespace, PageRequest, PageStatus, StreamId};
use serde::Deserialize;
use serde_json::Value as Json;

use super::documents::user;
use super::{Fault, parse};
use crate::attempt::Attempt;

#[derive(Deserialize)]
struct QueryArgs {
    query: Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamArgs {
    query_id: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageArgs {
    query: Json,
    cursor: Option<String>,
    #[serde(default)]
    end_cursor: Option<String>,
    page_size: Count,
    #[serde(default)]
    maximum_rows_read: Option<Count>,
    #[serde(default)]
    maximum_bytes_read: Option<Count>,
}

/// A whole number that is not negative, in either of the ways in which JSON writes one.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Count(u64);

impl TryFrom<f64> for Count {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if number >= 0.0 && number.fract() == 0.0 && number <= 9_007_199_254_740_992.0 {
            Ok(Count(number as u64))
        } else {
            Err(format!("expected a non-negative integer, got {number}"))
        }
    }
}

/// `1.0/queryStream`.
pub(super) fn open(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: QueryArgs = parse("queryStream", args)?;
    let query = query(&args.query, "queryStream")?;
    let StreamId(id) = user(attempt).open_query(&query)?;
    Ok(format!("{{\"queryId\":{id}}}"))
}

/// `1.0/queryStreamNext`.
pub(super) fn next(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: StreamArgs = parse("queryStreamNext", args)?;
    Ok(match attempt.transaction.next(StreamId(args.query_id))? {
        Some(document) => {
            let json = document.json();
            let mut reply = String::with_capacity(json.len() + 24);
            reply.push_str("{\"value\":");
            reply.push_str(json);
            reply.push_str(",\"done\":false}");
            reply
        }
        None => "{\"value\":null,\"done\":true}".to_owned(),
    })
}

/// `1.0/queryCleanup`.
pub(super) fn close(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: StreamArgs = parse("queryCleanup", args)?;
    Ok(attempt.transaction.close(StreamId(args.query_id)).to_string())
}

/// `1.0/queryPage`.
pub(super) fn page(attempt: &mut Attempt, args: &str) -> Result<String, Fault> {
    let args: PageArgs = parse("queryPage", args)?;
    let (transaction, frame) = attempt.parts_mut();
    if frame.paginated {
        return Err(DeveloperError::multiple_paginated_queries().into());
    }
    let request = PageRequest {
        query: query(&args.query, "queryPage")?,
        cursor: args.cursor,
        end_cursor: args.end_cursor,
        journal: frame.journal_before.clone(),
        page_size: args.page_size.0,
        rows_read_max: args.maximum_rows_read.map(|Count(count)| count),
        bytes_read_max: args.maximum_bytes_read.map(|Count(count)| count),
    };
    let page = transaction.user(Namespace::ROOT).paginate(&request)?;
    // A page that failed is none: the function may try another, for instance without the cursor that was refused.
    frame.paginated = true;
    frame.journal = Some(page.continue_cursor.clone());

    let text = |text: &str| Json::from(text).to_string();
    let optional = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), text);
    let rows_bytes: usize = page.rows.iter().map(|row| row.json().len() + 1).sum();
    let mut reply = String::with_capacity(rows_bytes + 256);
    reply.push_str("{\"page\":[");
    for (index, row) in page.rows.iter().enumerate() {
        if index > 0 {
            reply.push(',');
        }
        reply.push_str(row.json());
    }
    reply.push_str("],\"isDone\":");
    reply.push_str(if page.is_done { "true" } else { "false" });
    reply.push_str(",\"continueCursor\":");
    reply.push_str(&text(&page.continue_cursor));
    reply.push_str(",\"splitCursor\":");
    reply.push_str(&optional(page.split_cursor.as_deref()));
    reply.push_str(",\"pageStatus\":");
    reply.push_str(&optional(page.status.map(PageStatus::as_str)));
    reply.push('}');
    Ok(reply)
}

fn query(json: &Json, method: &str) -> Result<Query, Fault> {
    Query::from_json(json).map_err(|cause| Fault::invalid_argument("query", method, cause))
}
