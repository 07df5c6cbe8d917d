//! How a function's result is written for the caller.

use freshet_functions::log::LogLine;
use freshet_functions::{FunctionError, RequestId, client_error_text};
use freshet_values::{Format, Value};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::edge::error::ApiError;

/// The format by its name; clean JSON when none is named.
///
/// # Errors
/// 400 `BadFormat`.
pub(crate) fn parse(name: Option<&str>) -> Result<Format, ApiError> {
    match name {
        Some("convex_encoded_json" | "convex_json") => Ok(Format::Encoded),
        None | Some("json" | "convex_clean_json") => Ok(Format::Clean),
        Some("export_json") => Ok(Format::Export),
        Some(other) => Err(ApiError::bad_request(
            "BadFormat",
            format!("'{other}' is not a format. Use 'json', 'convex_encoded_json' or 'export_json'."),
        )),
    }
}

/// The body of an answered call.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum CallAnswer {
    /// The function returned.
    Success {
        /// What it returned.
        value: Box<RawValue>,
        /// Console lines.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        log_lines: Vec<String>,
    },
    /// The function failed.
    Error {
        /// Text for the developer.
        error_message: String,
        /// Data of a `ConvexError`; absent for any other failure.
        #[serde(skip_serializing_if = "Option::is_none")]
        error_data: Option<Box<RawValue>>,
        /// Console lines.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        log_lines: Vec<String>,
    },
}

/// How one call's answer is to be written.
#[derive(Clone, Copy)]
pub(crate) struct AnswerStyle {
    /// The requested format.
    pub(crate) format: Format,
    /// Whether the client learns nothing but the request id of failures.
    pub(crate) redact: bool,
}

impl AnswerStyle {
    /// Writes an answer.
    ///
    /// # Errors
    /// 500 when the result is not encoded JSON, which would be a bug.
    pub(crate) fn answer(
        self,
        request_id: RequestId,
        result: Result<String, FunctionError>,
        log_lines: &[LogLine],
    ) -> Result<CallAnswer, ApiError> {
        let log_lines =
            if self.redact { Vec::new() } else { log_lines.iter().map(LogLine::to_client_text).collect() };
        match result {
            Ok(encoded) => Ok(CallAnswer::Success { value: self.reformat(&encoded)?, log_lines }),
            Err(FunctionError { message, data }) => Ok(CallAnswer::Error {
                error_message: client_error_text(request_id, &message, self.redact),
                error_data: data.map(|data| self.reformat(&data)).transpose()?,
                log_lines,
            }),
        }
    }

    fn reformat(self, encoded: &str) -> Result<Box<RawValue>, ApiError> {
        let text = match self.format {
            Format::Encoded => with_fractions(encoded),
            // Without tagged objects the two forms are the same.
            Format::Clean if !encoded.contains("\"$") => encoded.to_owned(),
            other => Value::decode(encoded).map_err(|error| broken_result(&error))?.to_format(other),
        };
        RawValue::from_string(text).map_err(|error| broken_result(&error))
    }
}

/// Encoded JSON with `1.0` in place of `1`: the HTTP client of the Python package takes a number without a fraction for
/// a mistake, because every plain number is a float. Other clients do not see the difference.
fn with_fractions(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len() + 16);
    let mut rest = encoded;
    while let Some(first) = rest.bytes().next() {
        let end = match first {
            b'"' => string_end(rest),
            b'-' | b'0'..=b'9' => rest.find([',', ']', '}']).unwrap_or(rest.len()),
            _ => rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        out.push_str(token);
        if first != b'"' && token.bytes().all(|b| b == b'-' || b.is_ascii_digit()) {
            out.push_str(".0");
        }
        rest = after;
    }
    out
}

/// Where the string ends that `text` begins with.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let closing = text.bytes().skip(1).position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    });
    closing.map_or(text.len(), |at| at + 2)
}

fn broken_result(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a function result is not encoded JSON");
    ApiError::internal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plain_number_gets_a_fraction_and_nothing_else_changes() {
        let cases = [
            ("1", "1.0"),
            ("-7", "-7.0"),
            ("1.5", "1.5"),
            ("1e21", "1e21"),
            ("null", "null"),
            ("[1,2.5,[],[3]]", "[1.0,2.5,[],[3.0]]"),
            (r#"{"a1":1,"b":{"$integer":"AQAAAAAAAAA="}}"#, r#"{"a1":1.0,"b":{"$integer":"AQAAAAAAAAA="}}"#),
            (r#"["1,\"2","\\",3,"é4"]"#, r#"["1,\"2","\\",3.0,"é4"]"#),
        ];
        for (encoded, expected) in cases {
            assert_eq!(with_fractions(encoded), expected);
        }
    }

    #[test]
    fn the_short_way_to_clean_json_gives_what_the_long_one_does() {
        let style = AnswerStyle { format: Format::Clean, redact: false };
        for encoded in [
            "null",
            "1",
            "1.5",
            "1e21",
            "12345678901234567890",
            r#"["$integer","a\"$b",{"c":1}]"#,
            r#"{"a":"\u0001é","b":[true,{}]}"#,
            r#"{"a":{"$integer":"AQAAAAAAAAA="},"b":{"$float":"AAAAAAAAAIA="},"c":{"$bytes":"AQI="}}"#,
        ] {
            let value = Value::decode(encoded).unwrap();
            // The functions' results are written by us.
            let clean = style.reformat(&value.to_json_string()).unwrap();
            assert_eq!(clean.get(), value.to_format(Format::Clean));
        }
    }
}
