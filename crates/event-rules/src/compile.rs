//! From the text of a pattern to what is asked of an event.

use std::net::IpAddr;

use serde_json::{Map, Number, Value};

use crate::matcher::{Affix, Bound, Matcher};
use crate::pattern::{Node, OR_COMBINATIONS_MAX, Object, PatternFault};
use crate::wildcard::Wildcard;

/// Event Ruler keeps numbers of this range alone comparable.
const NUMBER_MAX: f64 = 5e9;

/// Names that mean something within a list: an object with one is no branch of an `$or`.
const RESERVED: [&str; 10] = [
    "exactly",
    "prefix",
    "suffix",
    "numeric",
    "cidr",
    "exists",
    "anything-but",
    "equals-ignore-case",
    "wildcard",
    "interval",
];

const ONE_KEY: &str = "Only one key allowed in match expression";

fn fault<T>(text: impl Into<String>) -> Result<T, PatternFault> {
    Err(PatternFault(text.into()))
}

pub(crate) fn compile(text: &str) -> Result<Object, PatternFault> {
    let read: Value = match serde_json::from_str(text) {
        Ok(read) => read,
        Err(error) => return fault(error.to_string()),
    };
    let Value::Object(fields) = read else { return fault("Filter is not an object") };
    let root = object(&fields)?;
    if combinations(&root) > OR_COMBINATIONS_MAX {
        return fault(format!(
            "Rule is too complex: its $or make more than {OR_COMBINATIONS_MAX} combinations"
        ));
    }
    Ok(root)
}

fn object(given: &Map<String, Value>) -> Result<Object, PatternFault> {
    if given.is_empty() {
        return fault("Empty objects are not allowed");
    }
    let mut made = Object { fields: Vec::new(), choices: Vec::new() };
    for (name, value) in given {
        match value {
            Value::Array(branches) if name == "$or" && is_choice(branches) => {
                let branches = branches.iter().filter_map(Value::as_object);
                made.choices.push(branches.map(object).collect::<Result<_, _>>()?);
            }
            Value::Object(fields) => {
                made.fields.push((name.clone(), Node::Object(object(fields)?)))
            }
            Value::Array(values) if values.is_empty() => {
                return fault("Empty arrays are not allowed");
            }
            Value::Array(values) => {
                let matchers = values.iter().map(value_matcher).collect::<Result<_, _>>()?;
                made.fields.push((name.clone(), Node::Values(matchers)));
            }
            _ => return fault(format!("\"{name}\" must be an object or an array")),
        }
    }
    Ok(made)
}

/// An `$or` with one branch, or with what is no branch, is a field of that name.
/// Source: Event Ruler's README, "And and Or Relationship among fields with Ruler".
fn is_choice(branches: &[Value]) -> bool {
    let is_branch = |branch: &Value| {
        branch.as_object().is_some_and(|branch| {
            !branch.is_empty() && !branch.keys().any(|name| RESERVED.contains(&name.as_str()))
        })
    };
    branches.len() >= 2 && branches.iter().all(is_branch)
}

fn combinations(object: &Object) -> u64 {
    let nested = object.fields.iter().filter_map(|(_, node)| match node {
        Node::Object(object) => Some(combinations(object)),
        Node::Values(_) => None,
    });
    let choices = object
        .choices
        .iter()
        .map(|branches| branches.iter().map(combinations).fold(0, u64::saturating_add));
    nested.chain(choices).fold(1, u64::saturating_mul)
}

fn value_matcher(value: &Value) -> Result<Matcher, PatternFault> {
    Ok(match value {
        Value::String(text) => text_matcher(text),
        Value::Number(number) => Matcher::Number(number.clone()),
        Value::Bool(value) => Matcher::Bool(*value),
        Value::Null => Matcher::Null,
        Value::Object(expression) => return match_expression(expression),
        Value::Array(_) => {
            return fault("Match value must be String, number, true, false, or null");
        }
    })
}

fn text_matcher(text: &str) -> Matcher {
    match text.parse() {
        Ok(address) => Matcher::Address(text.to_owned(), address),
        Err(_) => Matcher::Text(text.to_owned()),
    }
}

/// The one name and value of an expression.
fn only<'a>(
    expression: &'a Map<String, Value>,
    missing: &str,
) -> Result<(&'a str, &'a Value), PatternFault> {
    let mut entries = expression.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (None, _) => fault(missing),
        _ => fault(ONE_KEY),
    }
}

fn match_expression(expression: &Map<String, Value>) -> Result<Matcher, PatternFault> {
    let (name, value) = only(expression, "Match expression name not found")?;
    let text = |what: &str| match value.as_str() {
        Some(text) => Ok(text),
        None => fault(format!("{what} match pattern must be a string")),
    };
    Ok(match name {
        "exactly" => Matcher::Text(text("exact")?.to_owned()),
        "prefix" | "suffix" => Matcher::Some(one_affix(name, value)?),
        "equals-ignore-case" => {
            Matcher::Some(Affix::EqualsIgnoreCase(text("equals-ignore-case")?.to_owned()))
        }
        "wildcard" => Matcher::Some(Affix::Wildcard(wildcard(text("wildcard")?)?)),
        // The text says prefix in AWS's, too.
        "cidr" => cidr(text("prefix")?)?,
        "exists" => match value {
            Value::Bool(true) => Matcher::Exists,
            Value::Bool(false) => Matcher::Absent,
            _ => return fault("exists match pattern must be either true or false."),
        },
        "numeric" => match value {
            Value::Array(terms) => numeric(terms)?,
            _ => return fault("Value of numeric must be an array."),
        },
        "anything-but" => Matcher::AnythingBut(anything_but(value)?),
        other => return fault(format!("Unrecognized match type {other}")),
    })
}

fn wildcard(text: &str) -> Result<Wildcard, PatternFault> {
    Wildcard::read(text).map_err(PatternFault)
}

/// `prefix` and `suffix`: a text, or `{"equals-ignore-case": text}`.
fn one_affix(name: &str, value: &Value) -> Result<Affix, PatternFault> {
    let (text, ignores_case) = match value {
        Value::String(text) => (text, false),
        Value::Object(expression) => match only(expression, "Match expression name not found")? {
            ("equals-ignore-case", Value::String(text)) => (text, true),
            ("equals-ignore-case", _) => {
                return fault("equals-ignore-case match pattern must be a string");
            }
            (other, _) => return fault(format!("Unsupported {name} pattern: {other}")),
        },
        _ => return fault(format!("{name} match pattern must be a string")),
    };
    let text = text.clone();
    Ok(match (name, ignores_case) {
        ("prefix", false) => Affix::Prefix(text),
        ("prefix", true) => Affix::PrefixIgnoreCase(text),
        (_, false) => Affix::Suffix(text),
        (_, true) => Affix::SuffixIgnoreCase(text),
    })
}

fn cidr(text: &str) -> Result<Matcher, PatternFault> {
    let Some((address, bits)) = text.split_once('/').filter(|(_, bits)| !bits.contains('/')) else {
        return fault("Malformed CIDR, one '/' required");
    };
    let Ok(bits) = bits.parse::<i64>() else {
        return fault("Malformed CIDR, mask bits must be an integer");
    };
    let Ok(network) = address.parse::<IpAddr>() else {
        return fault(format!("Malformed CIDR, {address} is no IP address"));
    };
    let (kind, bits_max) = if network.is_ipv4() { ("IPv4", 32) } else { ("IPv6", 128) };
    match u8::try_from(bits) {
        Err(_) if bits < 0 => fault("Malformed CIDR, mask bits must not be negative"),
        Ok(bits) if bits <= bits_max => Ok(Matcher::Cidr { network, bits }),
        _ => fault(format!("{kind} mask bits must be <= {bits_max}")),
    }
}

fn anything_but(value: &Value) -> Result<Vec<Matcher>, PatternFault> {
    let texts = |values: &[Value]| values.iter().all(Value::is_string);
    let numbers = |values: &[Value]| values.iter().all(Value::is_number);
    match value {
        Value::String(_) | Value::Number(_) => Ok(vec![plain(value)?]),
        Value::Array(values)
            if values.iter().any(|value| !(value.is_string() || value.is_number())) =>
        {
            fault("Inside anything but list, start|null|boolean is not supported.")
        }
        Value::Array(values) if values.is_empty() || !(texts(values) || numbers(values)) => fault(
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(expression) => anything_but_part(expression),
        _ => fault("Value of anything-but must be an array or single string/number value."),
    }
}

fn plain(value: &Value) -> Result<Matcher, PatternFault> {
    match value {
        Value::Number(number) => {
            comparable(number)?;
            Ok(Matcher::Number(number.clone()))
        }
        // By its characters, also of an address.
        _ => Ok(Matcher::Text(value.as_str().unwrap_or_default().to_owned())),
    }
}

/// `{"prefix": …}` and its like within `anything-but`: a text, a list of texts, and of `prefix` and `suffix` `{"equals-ignore-case": …}`.
fn anything_but_part(expression: &Map<String, Value>) -> Result<Vec<Matcher>, PatternFault> {
    let (name, value) = only(expression, "Anything-But expression name not found")?;
    if !matches!(name, "prefix" | "suffix" | "wildcard" | "equals-ignore-case") {
        return fault(format!("Unsupported anything-but pattern: {name}"));
    }
    let values = match value {
        Value::Array(values) if values.is_empty() => return fault("Empty arrays are not allowed"),
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let part = |value: &Value| match (name, value) {
        ("prefix" | "suffix", Value::String(text)) if text.is_empty() => {
            fault("Null prefix/suffix not allowed")
        }
        ("prefix" | "suffix", Value::String(_) | Value::Object(_)) => {
            one_affix(name, value).map(Matcher::Some)
        }
        ("prefix" | "suffix", _) => fault("prefix/suffix match pattern must be a string"),
        ("wildcard", Value::String(text)) => Ok(Matcher::Some(Affix::Wildcard(wildcard(text)?))),
        ("wildcard", _) => fault("wildcard match pattern must be a string"),
        (_, Value::String(text)) => Ok(Matcher::Some(Affix::EqualsIgnoreCase(text.clone()))),
        _ => fault(
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
        ),
    };
    values.iter().map(part).collect()
}

fn comparable(number: &Number) -> Result<f64, PatternFault> {
    match number.as_f64() {
        Some(value) if value.abs() <= NUMBER_MAX => Ok(value),
        _ => fault("Value must be between -5.0E9 and 5.0E9, inclusive"),
    }
}

fn numeric(terms: &[Value]) -> Result<Matcher, PatternFault> {
    let Some(Value::String(operator)) = terms.first() else {
        let shown = terms.first().map_or_else(|| "]".to_owned(), Value::to_string);
        return fault(format!("Invalid member in numeric match: {shown}"));
    };
    let operator = operator.as_str();
    let value = |term: Option<&Value>, operator: &str| match term {
        Some(Value::Number(number)) => comparable(number),
        _ if operator == "=" => fault("Value of equals must be numeric"),
        _ => fault(format!("Value of {operator} must be numeric")),
    };
    let bound = |value, is_within| Some(Bound { value, is_within });
    let rest = terms.get(2..).unwrap_or_default();
    match (operator, rest) {
        ("=" | "<" | "<=", rest) => {
            let value = value(terms.get(1), operator)?;
            if !rest.is_empty() {
                return fault("Too many elements in numeric expression");
            }
            let from = (operator == "=").then_some(Bound { value, is_within: true });
            Ok(Matcher::Numeric { from, to: bound(value, operator != "<") })
        }
        (">" | ">=", rest) => {
            let low = value(terms.get(1), operator)?;
            let from = bound(low, operator == ">=");
            let Some(second) = rest.first() else { return Ok(Matcher::Numeric { from, to: None }) };
            let Value::String(second) = second else {
                return fault(format!("Bad value in numeric range: {second}"));
            };
            if !matches!(second.as_str(), "<" | "<=") {
                return fault(format!("Bad numeric range operator: {second}"));
            }
            let high = value(rest.get(1), second)?;
            if rest.len() > 2 {
                return fault("Too many terms in numeric range expression");
            }
            if low >= high {
                return fault("Bottom must be less than top");
            }
            Ok(Matcher::Numeric { from, to: bound(high, second == "<=") })
        }
        (other, _) => fault(format!("Unrecognized numeric range operator: {other}")),
    }
}
