//! What a decision costs: `OUTPORT_TEST_SPEED=1 cargo test --release -p outport-policy -- speed --nocapture` prints it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use outport_policy::{
    Attached, Evaluation, Policy, PolicyKind, ResourcePolicy, Source, decide, explain,
};
use serde_json::{Value as Json, json};

use crate::support::{Circumstances, OWN, account, compile, document, principal};

/// Policies of a principal, and statements of each.
const POLICIES: usize = 10;
const STATEMENTS: usize = 20;
/// What one decision may cost with optimisation; it is a part of what a signed request may.
const LIMIT: Duration = Duration::from_micros(25);

/// A statement as people write them, of which none allows the request but the last of all.
fn statement(policy: usize, at: usize) -> Json {
    let number = policy * STATEMENTS + at;
    let is_last = number == POLICIES * STATEMENTS - 1;
    let action = if is_last {
        "ecs:Run*"
    } else {
        ["ecs:Describe*", "ecs:RunTask", "ecr:*", "logs:Put*"][at % 4]
    };
    let resource = format!(
        "arn:aws:ecs:*:111111111111:task-definition/{}*",
        if is_last { "web" } else { "other" }
    );
    let mut statement = json!({
        "Sid": format!("S{number}"),
        "Effect": if at % 5 == 1 { "Deny" } else { "Allow" },
        "Action": ["iam:GetUser", "s3:Get*", action],
        "Resource": [resource, format!("arn:aws:s3:::bucket-{number}/${{aws:username}}/*")],
    });
    if at.is_multiple_of(2) || is_last {
        statement["Condition"] = json!({ "StringLike": { "ecs:cluster": "*/prod-*" }, "Bool": { "aws:SecureTransport": true } });
    }
    if is_last {
        statement["Effect"] = "Allow".into();
    }
    statement
}

fn policies() -> Vec<Policy> {
    let policy = |number| {
        let statements: Vec<_> = (0..STATEMENTS).map(|at| statement(number, at)).collect();
        compile(&document(statements), PolicyKind::Managed)
    };
    (0..POLICIES).map(policy).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a measurement has a clock")]
fn speed() {
    let policies = policies();
    let attach =
        |policy| Attached { source: Source::Managed("arn:aws:iam::111111111111:policy/p"), policy };
    let identity: Vec<_> = policies.iter().map(attach).collect();
    let context = Circumstances::of(&json!({
        "ecs:cluster": "arn:aws:ecs:us-east-1:111111111111:cluster/prod-1",
        "aws:SecureTransport": true,
        "aws:username": "ada",
    }));
    let evaluation = Evaluation {
        principal: principal("user"),
        owner: account(OWN),
        action: "ecs:RunTask",
        resource: "arn:aws:ecs:us-east-1:111111111111:task-definition/web:7",
        context: &context,
        identity: &identity,
        boundary: Some(identity[POLICIES - 1]),
        session: &[],
        resource_policy: ResourcePolicy::None,
    };
    assert!(decide(&evaluation).is_allowed());
    let measured = std::env::var_os("OUTPORT_TEST_SPEED").is_some();
    let rounds = if measured { 200_000 } else { 20 };
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        for _ in 0..rounds / 10 {
            black_box(decide(black_box(&evaluation)));
        }
        best = best.min(began.elapsed() / (rounds / 10));
    }
    let began = Instant::now();
    black_box(explain(black_box(&evaluation)));
    let explained = began.elapsed();
    let text = document((0..STATEMENTS).map(|at| statement(0, at)).collect::<Vec<_>>()).to_string();
    let began = Instant::now();
    black_box(Policy::compile(black_box(&text), PolicyKind::Managed)).unwrap();
    let compiled = began.elapsed();
    println!(
        "{POLICIES} policies of {STATEMENTS} statements and a boundary: {best:?} a decision, {explained:?} to explain; \
         {compiled:?} to compile {} bytes",
        text.len()
    );
    assert!(!measured || best <= LIMIT, "{best:?}");
}
