//! Reading answers of the API.

use serde_json::Value;

/// The text of a member; empty when there is none.
pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// The members of a list; none when there is no list.
pub fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

/// The strings of a list.
pub fn strings(value: &Value, member: &str) -> Vec<String> {
    list(value, member).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A time as the API's JSON has it, seconds with a fraction, in milliseconds.
#[allow(clippy::cast_possible_truncation, reason = "milliseconds of any year fit")]
pub fn time_ms(value: &Value, member: &str) -> Option<i64> {
    value[member].as_f64().map(|seconds| (seconds * 1000.0).round() as i64)
}

/// What stands behind the last slash of an ARN: the name or the id.
pub fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
