//! Another evaluator, written to be believed rather than to be fast: nothing is prepared, patterns are matched character by
//! character and by trying, and what is not known is two answers, one for what surely holds and one for what may hold.

use serde_json::Value as Json;

/// Everything that a decision depends on, as it is written.
pub struct NaiveRequest<'a> {
    pub who: &'a NaivePrincipal,
    pub owner: &'a str,
    pub action: &'a str,
    pub resource: &'a str,
    pub context: &'a Json,
    pub identity: Vec<&'a Json>,
    pub boundary: Option<&'a Json>,
    pub session: Vec<&'a Json>,
    /// `ordinary`, `key` or `trust`.
    pub of_resource: Option<(&'a str, &'a Json)>,
}

pub struct NaivePrincipal {
    pub kind: &'static str,
    pub account: &'static str,
    pub name: &'static str,
    pub parent: &'static str,
}

/// Who asks, by the name of `support::principal`.
pub const PRINCIPALS: [(&str, NaivePrincipal); 8] = [
    ("root", who("root", "111111111111", "arn:aws:iam::111111111111:root", "")),
    ("user", who("user", "111111111111", "arn:aws:iam::111111111111:user/ada", "")),
    ("stranger", who("user", "222222222222", "arn:aws:iam::222222222222:user/eve", "")),
    (
        "session",
        who(
            "session",
            "111111111111",
            "arn:aws:sts::111111111111:assumed-role/worker/one",
            "arn:aws:iam::111111111111:role/path/worker",
        ),
    ),
    (
        "federated",
        who(
            "federated",
            "111111111111",
            "arn:aws:sts::111111111111:federated-user/guest",
            "arn:aws:iam::111111111111:user/ada",
        ),
    ),
    (
        "federated-root",
        who("federated", "111111111111", "arn:aws:sts::111111111111:federated-user/guest", ""),
    ),
    ("service", who("service", "", "ecs-tasks.amazonaws.com", "")),
    ("token", who("token", "", "arn:aws:iam::111111111111:oidc-provider/id.example.com", "")),
];

const fn who(
    kind: &'static str,
    account: &'static str,
    name: &'static str,
    parent: &'static str,
) -> NaivePrincipal {
    NaivePrincipal { kind, account, name, parent }
}

/// `allowed`, or what the reason is: `deny session`, `nothing session`.
pub fn naive_decide(request: &NaiveRequest<'_>) -> String {
    let boundary: Vec<_> = request.boundary.into_iter().collect();
    let granting: Vec<_> = request.of_resource.into_iter().map(|(_, document)| document).collect();
    let kind = request.of_resource.map_or("", |(kind, _)| kind);
    let resource_layer = if kind == "trust" { "trust" } else { "resource" };
    let layers = [
        ("identity", &request.identity),
        ("boundary", &boundary),
        ("session", &request.session),
        (resource_layer, &granting),
    ];
    for (layer, documents) in layers {
        if statements(documents).any(|it| is(it, "Deny") && applies(it, request).is_some()) {
            return format!("deny {layer}");
        }
    }
    let allows = |documents: &[&Json]| {
        statements(documents).any(|it| is(it, "Allow") && applies(it, request).is_some())
    };
    let grants: Vec<_> = statements(&granting)
        .filter(|it| is(*it, "Allow"))
        .filter_map(|it| applies(it, request))
        .collect();
    let is_granted = |how: &str| grants.contains(&how);

    // The ways to a yes, as lists of layers that have to allow.
    let who = request.who;
    let mut limits = Vec::new();
    if request.boundary.is_some() {
        limits.push(("boundary", allows(&boundary)));
    }
    if !request.session.is_empty() || who.kind == "federated" {
        limits.push(("session", allows(&request.session)));
    }
    let is_root = who.kind == "root" || who.kind == "federated" && who.parent.is_empty();
    let mut own = vec![("identity", is_root || allows(&request.identity))];
    own.extend(limits.iter().copied());

    let any_grant = (resource_layer, !grants.is_empty());
    let needs = if who.account.is_empty() {
        vec![any_grant]
    } else if who.account != request.owner {
        own.push(any_grant);
        own
    } else if is_granted("directly") {
        Vec::new()
    } else if is_granted("parent") {
        limits
    } else if kind == "key" || kind == "trust" {
        own.insert(0, any_grant);
        own
    } else {
        own
    };
    match needs.iter().find(|(_, is_allowed)| !is_allowed) {
        None => "allowed".to_owned(),
        Some((layer, _)) => format!("nothing {layer}"),
    }
}

fn statements<'a>(documents: &[&'a Json]) -> impl Iterator<Item = (&'a Json, bool)> {
    documents.iter().flat_map(|document| {
        let new = document["Version"] == "2012-10-17";
        let list = match &document["Statement"] {
            Json::Array(list) => list.iter().collect::<Vec<_>>(),
            one => vec![one],
        };
        list.into_iter().map(move |statement| (statement, new))
    })
}

fn is((statement, _): (&Json, bool), effect: &str) -> bool {
    statement["Effect"] == effect
}

/// How the statement names who asks, if it is about the request.
fn applies((statement, new): (&Json, bool), request: &NaiveRequest<'_>) -> Option<&'static str> {
    let effect = statement["Effect"].as_str().unwrap();
    let action = request.action.to_ascii_lowercase();
    let asked = |pattern: &&str| matches(&wild(&pattern.to_ascii_lowercase()), &letters(&action));
    let about_action = match (texts(&statement["Action"]), texts(&statement["NotAction"])) {
        (Some(list), _) => list.iter().any(asked),
        (_, Some(list)) => !list.iter().any(asked),
        _ => false,
    };
    let named = naming(statement, request.who, effect)?;
    let (mut surely, mut perhaps) = (about_action, about_action);
    let mut and = |(must, may): (bool, bool)| {
        surely &= must;
        perhaps &= may;
    };
    let fits = |pattern: &&str| resource_fits(pattern, request, new);
    if let Some(list) = texts(&statement["Resource"]) {
        let found = list.iter().any(|it| fits(it) == Some(true));
        and((found, found));
    }
    if let Some(list) = texts(&statement["NotResource"]) {
        and(none_of(list.iter().map(fits)));
    }
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().unwrap() {
            and(holds(operator, key, values, request.context, new));
        }
    }
    (if effect == "Allow" { surely } else { perhaps }).then_some(named)
}

/// That none of several matches: surely, and perhaps.
fn none_of(mut found: impl Iterator<Item = Option<bool>>) -> (bool, bool) {
    let found: Vec<_> = found.by_ref().collect();
    let none = !found.contains(&Some(true));
    (none && !found.contains(&None), none)
}

fn naming(statement: &Json, who: &NaivePrincipal, effect: &str) -> Option<&'static str> {
    let is_account = |text: &str| {
        !who.account.is_empty()
            && (text == who.account || text == format!("arn:aws:iam::{}:root", who.account))
    };
    let listed = |element: &Json| -> Vec<(String, String)> {
        match element {
            Json::String(all) => vec![("AWS".to_owned(), all.clone())],
            element => {
                let kinds = element.as_object().into_iter().flatten();
                let pairs = kinds.flat_map(|(kind, list)| {
                    let list = texts(list).unwrap();
                    list.into_iter().map(move |text| (kind.clone(), text.to_owned()))
                });
                pairs.collect()
            }
        }
    };
    let kind = match who.kind {
        "service" => "Service",
        "token" => "Federated",
        _ => "AWS",
    };
    if statement.get("NotPrincipal").is_some() {
        let list = listed(&statement["NotPrincipal"]);
        let has = |wanted: &str| list.contains(&(kind.to_owned(), wanted.to_owned()));
        let has_account = list.iter().any(|(kind, text)| kind == "AWS" && is_account(text));
        let excepted = list.contains(&("AWS".to_owned(), "*".to_owned()))
            || match who.kind {
                "root" => has_account,
                "service" | "token" => has(who.name),
                _ => has_account && has(who.name) && (who.parent.is_empty() || has(who.parent)),
            };
        return (!excepted).then_some("directly");
    }
    let Some(element) = statement.get("Principal") else { return Some("directly") };
    let list = listed(element);
    let named =
        |test: &dyn Fn(&str) -> bool| list.iter().any(|(of, text)| of == kind && test(text));
    let everyone = list.iter().any(|(of, text)| of == "AWS" && text == "*");
    if everyone && (who.kind != "token" || effect == "Deny") {
        Some("directly")
    } else if who.kind != "root" && named(&|text| text == who.name) {
        Some("directly")
    } else if !who.parent.is_empty() && named(&|text| text == who.parent) {
        Some("parent")
    } else {
        (kind == "AWS" && named(&is_account)).then_some("account")
    }
}

/// Whether a resource's pattern is about the resource; `None` when a variable stands for nothing.
fn resource_fits(pattern: &str, request: &NaiveRequest<'_>, new: bool) -> Option<bool> {
    if pattern == "*" {
        return Some(true);
    }
    let mut parts: Vec<_> = pattern.splitn(6, ':').collect();
    if new && parts.iter().take(5).any(|part| part.contains("${")) {
        return None;
    }
    while parts.len() < 6 {
        parts.push("*");
    }
    let asked: Vec<_> = request.resource.splitn(6, ':').collect();
    if asked.len() != 6 || asked[0] != "arn" {
        return Some(false);
    }
    arn_fits(&parts, request.resource, request.context, new)
}

fn arn_fits(pattern: &[&str], arn: &str, context: &Json, new: bool) -> Option<bool> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    if parts.len() != 6 || parts[0] != "arn" {
        return None;
    }
    for (pattern, part) in pattern.iter().zip(parts).skip(1) {
        if !matches(&filled(pattern, context, new, true)?, &letters(part)) {
            return Some(false);
        }
    }
    Some(true)
}

/// A condition: whether it surely holds, and whether it may.
fn holds(operator: &str, key: &str, values: &Json, context: &Json, new: bool) -> (bool, bool) {
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

fn texts(json: &Json) -> Option<Vec<&str>> {
    match json {
        Json::String(text) => Some(vec![text]),
        Json::Array(list) => Some(list.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

fn scalars(json: &Json) -> Vec<String> {
    let list =
        if let Json::Array(list) = json { list.as_slice() } else { std::slice::from_ref(json) };
    let scalar = |it: &Json| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    list.iter().map(scalar).collect()
}

/// A letter, and whether it is a wildcard.
type Letter = (char, bool);

fn letters(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn wild(text: &str) -> Vec<Letter> {
    text.chars().map(|letter| (letter, letter == '*' || letter == '?')).collect()
}

/// The text with the values of its variables, which are never wildcards.
fn filled(text: &str, context: &Json, new: bool, wildcards: bool) -> Option<Vec<Letter>> {
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

fn matches(pattern: &[Letter], text: &[char]) -> bool {
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
