//! Documents and requests that nobody means well with: refused or harmless, and in time that grows with their size only.

use std::time::{Duration, Instant};

use outport_policy::{
    Attached, DOCUMENT_CHARACTERS_MAX, Evaluation, Malformed, Policy, PolicyKind, ResourcePolicy,
    Source, decide, statement_positions,
};
use serde_json::{Value as Json, json};

use crate::support::{Circumstances, OWN, account, compile, document, principal};

/// What each of them may take without optimisation on a loaded machine; what grows faster than its size takes minutes.
const PATIENCE: Duration = Duration::from_secs(20);

const KINDS: [PolicyKind; 6] = [
    PolicyKind::Managed,
    PolicyKind::Inline,
    PolicyKind::Session,
    PolicyKind::RoleTrust,
    PolicyKind::Resource,
    PolicyKind::Repository,
];

#[expect(clippy::disallowed_methods, reason = "a test of how long it takes has a clock")]
fn in_time<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = act();
    let took = began.elapsed();
    assert!(took < PATIENCE, "{what} took {took:?}");
    result
}

/// Whether a user with this policy may do something to `resource`.
fn is_allowed(policy: &Policy, resource: &str, context: &Json) -> bool {
    decide(&Evaluation {
        principal: principal("user"),
        owner: account(OWN),
        action: "s3:GetObject",
        resource,
        context: &Circumstances::of(context),
        identity: &[Attached { source: Source::Inline("p"), policy }],
        boundary: None,
        session: &[],
        resource_policy: ResourcePolicy::None,
    })
    .is_allowed()
}

/// A policy that allows everything under a condition.
fn under(condition: &Json) -> Policy {
    let statement =
        json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition });
    compile(&document(statement), PolicyKind::Inline)
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{\"Statement\":", "}"), ("{\"a\":[", "]}")] {
        for depth in [100, 1_000, 20_000] {
            let text = format!("{}{}", open.repeat(depth), close.repeat(depth));
            for kind in KINDS {
                let result = in_time("deep nesting", || Policy::compile(&text, kind));
                assert!(result.is_err(), "{depth} times {open}");
            }
            in_time("deep nesting", || statement_positions(&text));
        }
    }
}

#[test]
fn a_document_that_is_too_long_is_refused() {
    let statement = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let text = document(statement).to_string();
    let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    let compile = |length| Policy::compile(&padded(length), PolicyKind::Managed).map(drop);
    assert_eq!(compile(DOCUMENT_CHARACTERS_MAX), Ok(()));
    assert_eq!(compile(DOCUMENT_CHARACTERS_MAX + 1), Err(Malformed::Syntax));
    let million = format!("\"{}\"", "*".repeat(1_000_000));
    for kind in KINDS {
        assert!(in_time("a million stars", || Policy::compile(&million, kind)).is_err());
    }
}

/// The longest patterns that a document holds, on long texts that nearly match.
#[test]
fn wildcards_do_not_try_again() {
    let length = DOCUMENT_CHARACTERS_MAX - 1_000;
    let text = "a".repeat(1_000_000);
    for (pattern, expected) in [
        ("*".repeat(length), true),
        ("*a".repeat(length / 2), true),
        (format!("{}b", "*a".repeat(length / 2 - 1)), false),
        (format!("{}*b", "a*".repeat(length / 2 - 2)), false),
        (format!("*{}b*", "a".repeat(length - 4)), false),
        (format!("{}*", "?".repeat(length - 1)), true),
        (format!("*{}", "?".repeat(length - 1)), true),
        ("?*".repeat(length / 2), true),
        (format!("*{}b", "a?".repeat(length / 2 - 2)), false),
    ] {
        let start: String = pattern.chars().take(8).collect();
        let policy = under(&json!({ "StringLike": { "k": pattern } }));
        let context = json!({ "k": text });
        let found = in_time(&start, || is_allowed(&policy, "*", &context));
        assert_eq!(found, expected, "{start}…");
    }
}

/// Between two stars a question mark costs the product, by 64: with texts as long as requests have them that is little.
#[test]
fn question_marks_between_stars_are_harmless() {
    let longest = 4_096;
    let piece = format!("*{}b*", "a?".repeat(longest / 4));
    let patterns = vec![piece; DOCUMENT_CHARACTERS_MAX / longest];
    let policy = under(&json!({ "StringLike": { "k": patterns } }));
    let context = json!({ "k": "a".repeat(longest) });
    assert!(!in_time("question marks", || is_allowed(&policy, "*", &context)));
    // A piece that is longer than the text is not even looked for.
    let long = format!("*{}b*", "a?".repeat(DOCUMENT_CHARACTERS_MAX / 2 - 1_000));
    let policy = under(&json!({ "StringLike": { "k": long } }));
    assert!(!in_time("a long piece", || is_allowed(&policy, "*", &context)));
}

#[test]
fn the_same_in_resources_and_actions() {
    let many = "*a".repeat(15_000);
    let statement = json!({
        "Effect": "Allow",
        "Action": format!("s3:{many}b"),
        "Resource": [format!("arn:aws:s3:::{many}b"), format!("arn:aws:s3:::{}", "${aws:username}*".repeat(1_000))],
    });
    let policy = compile(&document(statement), PolicyKind::Inline);
    let context = json!({ "aws:username": "a*".repeat(1_000) });
    let resource = format!("arn:aws:s3:::{}", "a".repeat(100_000));
    assert!(!in_time("resources", || is_allowed(&policy, &resource, &context)));
}

#[test]
fn long_lists_are_walked_once() {
    let names: Vec<_> = (0..10_000).map(|at| format!("s3:G{at}")).collect();
    let keys: Vec<_> = (0..5_000).map(|at| at.to_string()).collect();
    let limits: Vec<_> = (0..5_000).map(|at| format!("x{at}")).collect();
    let statement = json!({ "Effect": "Allow", "Action": names, "Resource": "*" });
    let policy = compile(&document(statement), PolicyKind::Inline);
    assert!(!in_time("actions", || is_allowed(&policy, "*", &json!({}))));
    // Each value with each limit, which has no shorter way: 25 million comparisons are the most that a document and a request
    // together can ask for.
    let policy = under(&json!({ "ForAnyValue:StringEquals": { "k": limits } }));
    assert!(!in_time("values", || is_allowed(&policy, "*", &json!({ "k": keys }))));
    let statements = vec![json!({ "Effect": "Deny", "Action": "s3:X", "Resource": "*" }); 2_000];
    let policy = compile(&document(statements), PolicyKind::Inline);
    assert!(!in_time("statements", || is_allowed(&policy, "*", &json!({}))));
}

#[test]
fn variables_are_filled_once() {
    // Braces that are not closed, that are opened again, and many of them.
    for text in [
        "${".repeat(30_000),
        "${a".repeat(30_000),
        format!("{}{}", "${".repeat(20_000), "}".repeat(20_000)),
        "$".repeat(60_000),
        "${a,".repeat(20_000),
        "${a, 'b".repeat(10_000),
    ] {
        let policy = in_time("variables", || under(&json!({ "StringLike": { "k": text } })));
        let context = json!({ "k": "x", "a": "${a}" });
        assert!(!in_time("variables", || is_allowed(&policy, "*", &context)), "{}", &text[..8]);
    }
    let policy = under(&json!({ "StringEquals": { "k": "${a}".repeat(20_000) } }));
    let context = json!({ "k": "x", "a": "y".repeat(10_000) });
    assert!(!in_time("long values", || is_allowed(&policy, "*", &context)));
}

/// Whatever is changed in a document, it is a policy or it is refused: it is never trouble.
#[test]
fn damaged_documents_are_refused_or_read() {
    let text = document(json!([{
        "Sid": "a", "Effect": "Deny", "NotAction": ["s3:*"], "Resource": "arn:aws:s3:::b/${aws:username, 'x'}*",
        "Condition": { "ForAnyValue:DateLessThanIfExists": { "k": ["2026-01-02T03:04:05Z"] }, "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }
    }]))
    .to_string();
    let replacements =
        ["", "\"", "{", "}", "[", "]", ":", ",", "*", "$", "${", "\\", "é", "\u{0}", "9"];
    for at in 0..text.len() {
        for replacement in replacements {
            let damaged = format!("{}{replacement}{}", &text[..at], &text[at + 1..]);
            for kind in KINDS {
                if let Ok(policy) = Policy::compile(&damaged, kind) {
                    is_allowed(&policy, "arn:aws:s3:::b/x", &json!({ "k": "é" }));
                }
            }
            statement_positions(&damaged);
        }
    }
}

/// Keys are compared without regard to case: who writes one twice in two ways has both compared.
#[test]
fn a_key_in_two_ways_is_compared_twice() {
    let policy = under(&json!({ "StringEquals": { "aws:username": "a", "AWS:UserName": "b" } }));
    for name in ["a", "b"] {
        assert!(!is_allowed(&policy, "*", &json!({ "aws:username": name })));
    }
}
