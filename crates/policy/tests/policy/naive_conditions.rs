//! What the naive evaluator makes of conditions, and of letters.

use serde_json::Value as Json;

use crate::naive::{arn_fits, none_of};

/// A condition: whether it surely holds, and whether it may.
pub fn holds(operator: &str, key: &str, values: &Json, context: &Json, new: bool) -> (bool, bool) {
    let sure = |truth: bool| (truth, truth);
    let value = lookup(context, key);
    let values = scalars(values);
    let given: Vec<&Json> = match value {
        None => Vec::new(),
        Some(Json::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    let is_null = given.iter().all(|it| **it == "");
    let (qualifier, name) = operator.split_once(':').unwrap_or(("", operator));
    if name == "Null" {
        return sure(values.iter().any(|wanted| (wanted == "true") == is_null));
    }
    let (name, if_exists) = match name.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let positive = name.replace("Not", "");
    let negated = positive != name;
    if given.is_empty() {
        return sure(if_exists || qualifier == "ForAllValues" || qualifier.is_empty() && negated);
    }
    if is_null && !qualifier.is_empty() {
        return sure(qualifier == "ForAllValues");
    }
    let each: Vec<(bool, bool)> = given
        .iter()
        .map(|given| {
            let found = values.iter().map(|limit| compares(&positive, given, limit, context, new));
            if negated {
                none_of(found)
            } else {
                sure(found.into_iter().any(|it| it == Some(true)))
            }
        })
        .collect();
    let all = (each.iter().all(|it| it.0), each.iter().all(|it| it.1));
    let any = (each.iter().any(|it| it.0), each.iter().any(|it| it.1));
    match qualifier {
        "ForAllValues" => all,
        "ForAnyValue" => any,
        _ => (all.0, any.1),
    }
}

fn compares(operator: &str, given: &Json, limit: &str, context: &Json, new: bool) -> Option<bool> {
    let text = as_text(given);
    let plain = |context| -> Option<String> {
        Some(filled(limit, context, new, false)?.into_iter().map(|(letter, _)| letter).collect())
    };
    match operator {
        "StringEquals" => Some(text? == plain(context)?),
        "StringEqualsIgnoreCase" => Some(text?.to_lowercase() == plain(context)?.to_lowercase()),
        "StringLike" => Some(matches(&filled(limit, context, new, true)?, &letters(&text?))),
        "Bool" => {
            let truth = |text: &str| match text.to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            };
            let given = if given.is_string() || given.is_boolean() { truth(&text?) } else { None };
            Some(given? == truth(&plain(context)?)?)
        }
        "BinaryEquals" => {
            let bytes = match given {
                Json::Object(members) => members.get("bytes")?.as_str()?.to_owned(),
                Json::String(text) => text.clone(),
                _ => return None,
            };
            Some(BYTES.contains(&(limit, bytes.as_str())))
        }
        "IpAddress" => {
            let address = match given {
                Json::Object(members) => members.get("address")?.as_str()?.to_owned(),
                Json::String(text) => text.clone(),
                _ => return None,
            };
            let (network, length) = limit.split_once('/').unwrap_or((limit, "32"));
            let length: u32 = length.parse().unwrap();
            let bits = |text: &str| -> Option<Vec<bool>> {
                let parts: Vec<u8> =
                    text.split('.').map(|it| it.parse().ok()).collect::<Option<_>>()?;
                let bits =
                    parts.iter().flat_map(|part| (0..8).rev().map(move |at| part >> at & 1 == 1));
                (parts.len() == 4).then(|| bits.collect())
            };
            let (address, network) = (bits(&address)?, bits(network)?);
            Some((0..length as usize).all(|at| address[at] == network[at]))
        }
        "ArnEquals" | "ArnLike" => {
            // A colon in braces is none of the ARN's: it is hidden while the parts are cut.
            let mut hidden = String::new();
            let mut inside = false;
            for (at, letter) in limit.char_indices() {
                inside = new && (inside || limit[at..].starts_with("${")) && letter != '}';
                hidden.push(if inside && letter == ':' { '\u{1}' } else { letter });
            }
            let parts: Vec<_> = hidden.splitn(6, ':').map(|it| it.replace('\u{1}', ":")).collect();
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            if parts.len() < 6 || parts[0] != "arn" {
                return None;
            }
            arn_fits(&parts, &text?, context, new)
        }
        _ => compares_in_order(operator, given, limit),
    }
}

fn compares_in_order(operator: &str, given: &Json, limit: &str) -> Option<bool> {
    let (given, limit, order) = if let Some(order) = operator.strip_prefix("Numeric") {
        let number = |text: &str| text.parse::<f64>().ok();
        let given = match given {
            Json::Number(it) => it.as_f64(),
            Json::String(text) => number(text),
            _ => None,
        };
        (given?, number(limit)?, order)
    } else {
        let date = |text: &str| {
            let known = DATES.iter().find(|(iso, _)| *iso == text).map(|(_, ms)| *ms as f64);
            known.or_else(|| text.parse::<u32>().ok().map(|it| f64::from(it) * 1000.0))
        };
        let given = match given {
            Json::Number(it) => it.as_f64().map(|it| it * 1000.0),
            Json::String(text) => date(text),
            Json::Object(members) => members.get("date").and_then(Json::as_f64),
            _ => None,
        };
        (given?, date(limit)?, operator.strip_prefix("Date").unwrap())
    };
    Some(match order {
        "Equals" => given == limit,
        "LessThan" => given < limit,
        "LessThanEquals" => given <= limit,
        "GreaterThan" => given > limit,
        "GreaterThanEquals" => given >= limit,
        other => panic!("no operator is called {other}"),
    })
}

/// Dates that the random requests and policies have, and what they are.
pub const DATES: [(&str, i64); 4] = [
    ("1970-01-01T00:00:00Z", 0),
    ("2026-01-02T03:04:05Z", 1_767_323_045_000),
    ("2026-01-02T04:04:05+01:00", 1_767_323_045_000),
    ("2026-06-01", 1_780_272_000_000),
];

/// Base64, and what it is of.
pub const BYTES: [(&str, &str); 3] = [("YQ==", "a"), ("YWI=", "ab"), ("", "")];

fn as_text(given: &Json) -> Option<String> {
    match given {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(given.to_string()),
        Json::Object(members) => match members.iter().next().unwrap() {
            (kind, address) if kind == "address" => address.as_str().map(str::to_owned),
            (kind, date) if kind == "date" => {
                let known =
                    DATES.iter().find(|(iso, ms)| iso.len() == 20 && Some(*ms) == date.as_i64());
                Some(known.unwrap().0.to_owned())
            }
            _ => None,
        },
        _ => None,
    }
}

fn lookup<'a>(context: &'a Json, key: &str) -> Option<&'a Json> {
    let members = context.as_object().unwrap();
    members.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn scalars(json: &Json) -> Vec<String> {
    let list =
        if let Json::Array(list) = json { list.as_slice() } else { std::slice::from_ref(json) };
    let scalar = |it: &Json| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    list.iter().map(scalar).collect()
}

/// A letter, and whether it is a wildcard.
type Letter = (char, bool);

pub fn letters(text: &str) -> Vec<char> {
    text.chars().collect()
}

pub fn wild(text: &str) -> Vec<Letter> {
    text.chars().map(|letter| (letter, letter == '*' || letter == '?')).collect()
}

/// The text with the values of its variables, which are never wildcards.
pub fn filled(text: &str, context: &Json, new: bool, wildcards: bool) -> Option<Vec<Letter>> {
    let mut result = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if new && rest.starts_with("${") {
            let end = rest.find('}')?;
            let inside = &rest[2..end];
            at += end + 1;
            let (name, default) = match inside.split_once(", ") {
                Some((name, default)) => (name, Some(default.trim_matches('\'').to_owned())),
                None => (inside, None),
            };
            let value = match (name, lookup(context, name)) {
                ("*" | "?" | "$", _) => name.to_owned(),
                (_, Some(value)) => as_text(value)?,
                (_, None) => default?,
            };
            result.extend(value.chars().map(|letter| (letter, false)));
        } else {
            let letter = rest.chars().next().unwrap();
            at += letter.len_utf8();
            result.push((letter, wildcards && (letter == '*' || letter == '?')));
        }
    }
    Some(result)
}

pub fn matches(pattern: &[Letter], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([('*', true), pattern @ ..], _) => {
            (0..=text.len()).any(|taken| matches(pattern, &text[taken..]))
        }
        ([('?', true), pattern @ ..], [_, text @ ..]) => matches(pattern, text),
        ([(letter, false), pattern @ ..], [first, text @ ..]) => {
            letter == first && matches(pattern, text)
        }
        _ => false,
    }
}
