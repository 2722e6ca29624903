//! Another evaluator, written to be believed rather than to be fast: nothing is prepared, patterns are matched character by
//! character and by trying, and what is not known is two answers, one for what surely holds and one for what may hold.

use serde_json::Value as Json;

use crate::naive_conditions::{filled, holds, letters, matches, wild};

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
    /// The unique id of its own, and of the parent.
    pub ids: (&'static str, &'static str),
}

/// Who asks, by the name of `support::principal`.
pub const PRINCIPALS: [(&str, NaivePrincipal); 8] = [
    ("root", who("root", "111111111111", "arn:aws:iam::111111111111:root", "", ("", ""))),
    ("user", who("user", "111111111111", "arn:aws:iam::111111111111:user/ada", "", (ADA, ""))),
    (
        "stranger",
        who(
            "user",
            "222222222222",
            "arn:aws:iam::222222222222:user/eve",
            "",
            ("AIDAEVE0000000000EVE0", ""),
        ),
    ),
    (
        "session",
        who(
            "session",
            "111111111111",
            "arn:aws:sts::111111111111:assumed-role/worker/one",
            "arn:aws:iam::111111111111:role/path/worker",
            ("AROAWORKER0000000WRK0:one", "AROAWORKER0000000WRK0"),
        ),
    ),
    (
        "federated",
        who(
            "federated",
            "111111111111",
            "arn:aws:sts::111111111111:federated-user/guest",
            "arn:aws:iam::111111111111:user/ada",
            ("", ADA),
        ),
    ),
    (
        "federated-root",
        who(
            "federated",
            "111111111111",
            "arn:aws:sts::111111111111:federated-user/guest",
            "",
            ("", ""),
        ),
    ),
    ("service", who("service", "", "ecs-tasks.amazonaws.com", "", ("", ""))),
    (
        "token",
        who("token", "", "arn:aws:iam::111111111111:oidc-provider/id.example.com", "", ("", "")),
    ),
];

const ADA: &str = "AIDAADA0000000000ADA0";

const fn who(
    kind: &'static str,
    account: &'static str,
    name: &'static str,
    parent: &'static str,
    ids: (&'static str, &'static str),
) -> NaivePrincipal {
    NaivePrincipal { kind, account, name, parent, ids }
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
pub fn none_of(mut found: impl Iterator<Item = Option<bool>>) -> (bool, bool) {
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
                _ => {
                    has_account
                        && (has(who.name) || has(who.ids.0))
                        && (who.parent.is_empty() || has(who.parent) || has(who.ids.1))
                }
            };
        return (!excepted).then_some("directly");
    }
    let Some(element) = statement.get("Principal") else { return Some("directly") };
    let list = listed(element);
    let named =
        |test: &dyn Fn(&str) -> bool| list.iter().any(|(of, text)| of == kind && test(text));
    let everyone = list.iter().any(|(of, text)| of == "AWS" && text == "*");
    let as_everyone = everyone && (who.kind != "token" || effect == "Deny");
    if as_everyone || who.kind != "root" && named(&|text| text == who.name || text == who.ids.0) {
        Some("directly")
    } else if !who.parent.is_empty() && named(&|text| text == who.parent || text == who.ids.1) {
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

pub fn arn_fits(pattern: &[&str], arn: &str, context: &Json, new: bool) -> Option<bool> {
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

pub fn texts(json: &Json) -> Option<Vec<&str>> {
    match json {
        Json::String(text) => Some(vec![text]),
        Json::Array(list) => Some(list.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}
