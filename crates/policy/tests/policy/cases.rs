//! The cases of `cases/*.json`, each of which says what it shows.

use std::collections::BTreeSet;

use outport_policy::{
    Attached, Decision, Evaluation, Policy, PolicyKind, ResourcePolicy, Source, decide,
};
use serde_json::{Map, Value as Json, json};

use crate::support::{Circumstances, OWN, account, compile, document, principal};

/// The fewest that there are to be.
const CASES_MIN: usize = 500;

fn cases(text: &str) -> Vec<Json> {
    serde_json::from_str(text).unwrap()
}

fn shows(case: &Json) -> &str {
    case["shows"].as_str().unwrap_or_else(|| panic!("a case does not say what it shows: {case}"))
}

/// A name of a member that no test reads is a mistake in the table.
fn check_members(case: &Json, known: &[&str]) {
    for name in case.as_object().unwrap().keys() {
        assert!(name == "shows" || known.contains(&name.as_str()), "{name} in {case}");
    }
}

/// What a statement says of the request of a user: whether it applies if it allows, and if it denies. The two differ for what
/// is not known.
fn applies(statement: &Json, version: &Json, action: &str, resource: &str, context: &Json) -> Json {
    let context = Circumstances::of(context);
    let policy = |effect: &str| {
        let mut statement = statement.clone();
        statement["Effect"] = effect.into();
        let mut document = json!({ "Statement": statement });
        if let Some(version) = version.as_str() {
            document["Version"] = version.into();
        }
        compile(&document, PolicyKind::Inline)
    };
    let everything = compile(
        &document(json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })),
        PolicyKind::Inline,
    );
    let is_allowed = |policies: &[&Policy]| {
        let identity: Vec<_> = policies
            .iter()
            .map(|policy| Attached { source: Source::Inline("p"), policy })
            .collect();
        decide(&Evaluation {
            principal: principal("user"),
            owner: account(OWN),
            action,
            resource,
            context: &context,
            identity: &identity,
            boundary: None,
            session: &[],
            resource_policy: ResourcePolicy::None,
        })
        .is_allowed()
    };
    let allows = is_allowed(&[&policy("Allow")]);
    let denies = !is_allowed(&[&everything, &policy("Deny")]);
    match (allows, denies) {
        (true, true) => true.into(),
        (false, false) => false.into(),
        (false, true) => "unknown".into(),
        (true, false) => "more allowed than denied".into(),
    }
}

/// The statement's `Action` and the like, from the case's `action` and the like.
fn statement_of(case: &Json) -> Json {
    let mut statement = Map::new();
    for (name, element) in [
        ("action", "Action"),
        ("not_action", "NotAction"),
        ("resource", "Resource"),
        ("not_resource", "NotResource"),
        ("condition", "Condition"),
    ] {
        if let Some(value) = case.get(name) {
            statement.insert(element.into(), value.clone());
        }
    }
    for (element, negated) in [("Action", "NotAction"), ("Resource", "NotResource")] {
        if !statement.contains_key(element) && !statement.contains_key(negated) {
            statement.insert(element.into(), "*".into());
        }
    }
    statement.into()
}

#[test]
fn actions() {
    for case in cases(include_str!("cases/actions.json")) {
        check_members(&case, &["action", "not_action", "asked", "matches"]);
        let asked = case["asked"].as_str().unwrap();
        let version = "2012-10-17".into();
        let matches = applies(&statement_of(&case), &version, asked, "*", &json!({}));
        assert_eq!(matches, case["matches"], "{}", shows(&case));
    }
}

#[test]
fn resources() {
    for case in cases(include_str!("cases/resources.json")) {
        let known = ["resource", "not_resource", "asked", "context", "version", "matches"];
        check_members(&case, &known);
        let asked = case["asked"].as_str().unwrap();
        let version = case.get("version").cloned().unwrap_or("2012-10-17".into());
        let matches = applies(&statement_of(&case), &version, "s3:Any", asked, &case["context"]);
        assert_eq!(matches, case["matches"], "{}", shows(&case));
    }
}

#[test]
fn conditions() {
    for case in cases(include_str!("cases/conditions.json")) {
        check_members(&case, &["condition", "context", "version", "answer"]);
        let version = case.get("version").cloned().unwrap_or("2012-10-17".into());
        let answer = match applies(&statement_of(&case), &version, "s3:Any", "*", &case["context"])
        {
            Json::Bool(true) => "yes".into(),
            Json::Bool(false) => "no".into(),
            other => other,
        };
        assert_eq!(answer, case["answer"], "{}", shows(&case));
    }
}

/// How a resource's policy names somebody shows in what else is needed: the policy is a key's, which has to allow.
#[test]
fn principals() {
    let everything = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let everything = compile(&document(everything), PolicyKind::Inline);
    let nothing = json!({ "Effect": "Allow", "Action": "s3:No", "Resource": "*" });
    let nothing = compile(&document(nothing), PolicyKind::Inline);
    let attached = |policy| Attached { source: Source::Inline("p"), policy };
    for case in cases(include_str!("cases/principals.json")) {
        check_members(&case, &["principal", "not_principal", "who", "named", "denied"]);
        let who = case["who"].as_str().unwrap();
        let is_allowed = |policy: &Policy, identity: &[Attached<'_>], boundary| {
            decide(&Evaluation {
                principal: principal(who),
                owner: account(OWN),
                action: "kms:Decrypt",
                resource: "arn:aws:kms:us-east-1:111111111111:key/k",
                context: &Circumstances::default(),
                identity,
                boundary,
                session: &[attached(&everything)],
                resource_policy: ResourcePolicy::Key(policy),
            })
            .is_allowed()
        };
        let allow = |principal: &Json| json!({ "Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*" });
        if let Some(excepted) = case.get("not_principal") {
            let deny = json!({ "Effect": "Deny", "NotPrincipal": excepted, "Action": "*", "Resource": "*" });
            let policy = compile(&document(vec![allow(&"*".into()), deny]), PolicyKind::Resource);
            let denied = !is_allowed(&policy, &[attached(&everything)], None);
            assert_eq!(Json::from(denied), case["denied"], "{}", shows(&case));
            continue;
        }
        let policy = compile(&document(allow(&case["principal"])), PolicyKind::Resource);
        let found = [
            is_allowed(&policy, &[], Some(attached(&nothing))),
            is_allowed(&policy, &[], None),
            is_allowed(&policy, &[attached(&everything)], None),
        ];
        let expected = match case["named"].as_str().unwrap() {
            "directly" => [true, true, true],
            // Of another account, whose own policies have to allow.
            "abroad" | "account" => [false, false, true],
            "parent" | "root" => [false, true, true],
            "no" => [false, false, false],
            other => panic!("{other} in {}", shows(&case)),
        };
        assert_eq!(found, expected, "{}", shows(&case));
    }
}

#[test]
fn documents() {
    for case in cases(include_str!("cases/documents.json")) {
        check_members(&case, &["kind", "document", "text", "with", "without", "refused"]);
        let (kind, mut statement) = match case["kind"].as_str().unwrap() {
            "managed" => (PolicyKind::Managed, attached_statement()),
            "inline" => (PolicyKind::Inline, attached_statement()),
            "session" => (PolicyKind::Session, attached_statement()),
            "role-trust" => (PolicyKind::RoleTrust, granting_statement()),
            "resource" => (PolicyKind::Resource, granting_statement()),
            "repository" => (PolicyKind::Repository, granting_statement()),
            other => panic!("no kind is called {other}"),
        };
        let text = if let Some(text) = case["text"].as_str() {
            text.to_owned()
        } else if let Some(document) = case.get("document") {
            document.to_string()
        } else {
            let members = statement.as_object_mut().unwrap();
            members.extend(case["with"].as_object().cloned().unwrap_or_default());
            for name in case["without"].as_array().into_iter().flatten() {
                members.shift_remove(name.as_str().unwrap());
            }
            document(statement).to_string()
        };
        let refused = Policy::compile(&text, kind).err().map(|malformed| malformed.to_string());
        assert_eq!(refused.as_deref(), case["refused"].as_str(), "{}", shows(&case));
    }
}

fn attached_statement() -> Json {
    json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" })
}

fn granting_statement() -> Json {
    let principal = json!({ "AWS": "111111111111" });
    json!({ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" })
}

#[test]
fn decisions() {
    let file: Json = serde_json::from_str(include_str!("cases/decisions.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let known = [
            "who", "owner", "action", "resource", "context", "identity", "boundary", "session",
            "ordinary", "key", "trust", "answer",
        ];
        check_members(case, &known);
        let named = |member: &str| named_policies(&file, &case[member]);
        let (identity, boundary, session) =
            (named("identity"), named("boundary"), named("session"));
        let of_resource = ["ordinary", "key", "trust"].map(|member| {
            let kind = if member == "trust" { PolicyKind::RoleTrust } else { PolicyKind::Resource };
            joined(&file, case, member, kind)
        });
        let resource_policy = match &of_resource {
            [Some(policy), None, None] => ResourcePolicy::Ordinary(policy),
            [None, Some(policy), None] => ResourcePolicy::Key(policy),
            [None, None, Some(policy)] => ResourcePolicy::RoleTrust(policy),
            _ => ResourcePolicy::None,
        };
        let evaluation = Evaluation {
            principal: principal(case["who"].as_str().unwrap()),
            owner: account(case["owner"].as_str().unwrap_or(OWN)),
            action: case["action"].as_str().unwrap_or("ecs:RunTask"),
            resource: case["resource"].as_str().unwrap_or("*"),
            context: &Circumstances::of(&case["context"]),
            identity: &attached(&identity),
            boundary: attached(&boundary).first().copied(),
            session: &attached(&session),
            resource_policy,
        };
        let answer = match decide(&evaluation) {
            Decision::Allowed => "allowed".to_owned(),
            Decision::Denied(denial) => {
                let (name, action, resource) =
                    (evaluation.principal.name(), evaluation.action, evaluation.resource);
                let bare = format!(
                    "User: {name} is not authorized to perform: {action} on resource: {resource}"
                );
                assert_eq!(denial.bare_message(&evaluation), bare);
                let message = denial.message(&evaluation);
                message.strip_prefix(&format!("{bare} ")).unwrap_or(&message).to_owned()
            }
        };
        assert_eq!(answer, case["answer"].as_str().unwrap(), "{}", shows(case));
    }
}

/// The policies that a member of a case names, with the names: one, a list, or none.
fn named_policies(file: &Json, names: &Json) -> Vec<(String, Policy)> {
    let one = [names.clone()];
    let names = match names {
        Json::Array(list) => &list[..],
        Json::Null => &[],
        _ => &one,
    };
    let read = |name: &str| match name.strip_prefix("inline:").unwrap_or(name) {
        "unreadable" => Policy::denying_everything(),
        plain => compile(&document(file["policies"][plain].clone()), PolicyKind::Managed),
    };
    let entry = |name: &str| (format!("arn:aws:iam::111111111111:policy/{name}"), read(name));
    names.iter().map(|name| entry(name.as_str().unwrap())).collect()
}

fn attached(policies: &[(String, Policy)]) -> Vec<Attached<'_>> {
    let entry = |(arn, policy)| {
        let arn: &String = arn;
        let is_inline = arn.contains("inline:");
        let source = if is_inline { Source::Inline("inline") } else { Source::Managed(arn) };
        Attached { source, policy }
    };
    policies.iter().map(|(arn, policy)| entry((arn, policy))).collect()
}

/// One policy of several statements, as a resource has one only.
fn joined(file: &Json, case: &Json, member: &str, kind: PolicyKind) -> Option<Policy> {
    let names = case[member].as_array()?;
    if names.iter().any(|name| name == "unreadable") {
        return Some(Policy::denying_everything());
    }
    let statements = names.iter().map(|name| file["policies"][name.as_str().unwrap()].clone());
    Some(compile(&document(statements.collect::<Vec<_>>()), kind))
}

#[test]
fn there_are_enough_cases_and_no_two_show_the_same() {
    let mut all: Vec<(&str, String)> = Vec::new();
    let files = [
        ("actions", include_str!("cases/actions.json")),
        ("resources", include_str!("cases/resources.json")),
        ("conditions", include_str!("cases/conditions.json")),
        ("principals", include_str!("cases/principals.json")),
        ("documents", include_str!("cases/documents.json")),
    ];
    for (file, text) in files {
        all.extend(cases(text).iter().map(|case| (file, shows(case).to_owned())));
    }
    let decisions: Json = serde_json::from_str(include_str!("cases/decisions.json")).unwrap();
    let decisions = decisions["cases"].as_array().unwrap();
    all.extend(decisions.iter().map(|case| ("decisions", shows(case).to_owned())));
    assert!(all.len() >= CASES_MIN, "{} cases", all.len());
    let mut seen = BTreeSet::new();
    for case in all {
        assert!(seen.insert(case.clone()), "{case:?} twice");
    }
}
