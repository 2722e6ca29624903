//! What is said about a decision, and about a policy.

use outport_policy::{
    Attached, Evaluation, Explanation, Layer, Policy, PolicyKind, ResourcePolicy, Source, Verdict,
    counted_characters, explain,
};
use serde_json::{Value as Json, json};

use crate::support::{Circumstances, OWN, account, compile, document, principal};

const ARN: &str = "arn:aws:iam::111111111111:policy/p";

/// What a user is told who wants to run a task of `owner`, with an own policy, and perhaps a boundary and the policy of the
/// resource.
fn check(
    owner: &str,
    statements: Vec<Json>,
    boundary: Option<Json>,
    of_resource: Option<Json>,
    context: &Json,
    test: impl FnOnce(Explanation<'_>),
) {
    let identity = compile(&document(statements), PolicyKind::Managed);
    let boundary = boundary.map(|statement| compile(&document(statement), PolicyKind::Managed));
    let of_resource =
        of_resource.map(|statement| compile(&document(statement), PolicyKind::Resource));
    let attach = |policy| Attached { source: Source::Managed(ARN), policy };
    test(explain(&Evaluation {
        principal: principal("user"),
        owner: account(owner),
        action: "ecs:RunTask",
        resource: "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1",
        context: &Circumstances::of(context),
        identity: &[attach(&identity)],
        boundary: boundary.as_ref().map(attach),
        session: &[],
        resource_policy: of_resource
            .as_ref()
            .map_or(ResourcePolicy::None, ResourcePolicy::Ordinary),
    }));
}

fn statement(effect: &str, action: &str) -> Json {
    json!({ "Effect": effect, "Action": action, "Resource": "*" })
}

fn granting(effect: &str) -> Json {
    json!({ "Effect": effect, "Principal": { "AWS": "111111111111" }, "Action": "ecs:*", "Resource": "*" })
}

/// Layer, index and Sid of the statements that decided.
fn matched<'a>(explanation: &Explanation<'a>) -> Vec<(Layer, usize, Option<&'a str>)> {
    explanation.matched.iter().map(|it| (it.layer, it.index, it.sid)).collect()
}

#[test]
fn all_that_allow_are_named() {
    let mut second = statement("Allow", "ecs:RunTask");
    second["Sid"] = "Run".into();
    let statements = vec![statement("Allow", "s3:*"), second, statement("Allow", "*")];
    check(OWN, statements, None, Some(granting("Allow")), &json!({}), |explanation| {
        assert!(explanation.decision.is_allowed());
        assert_eq!(
            matched(&explanation),
            [
                (Layer::IdentityBased, 1, Some("Run")),
                (Layer::IdentityBased, 2, None),
                (Layer::ResourceBased, 0, None),
            ]
        );
        assert_eq!(explanation.matched[0].source, Source::Managed(ARN));
        assert_eq!(explanation.matched[2].source, Source::Resource);
        assert_eq!(
            (explanation.identity, explanation.resource),
            (Verdict::Allowed, Verdict::Allowed)
        );
        assert_eq!(explanation.is_allowed_by_boundary, None);
    });
}

#[test]
fn only_those_that_deny_are_named_when_one_denies() {
    let statements = vec![statement("Allow", "*"), statement("Deny", "ecs:Run*")];
    let boundary = Some(statement("Deny", "*"));
    check(OWN, statements, boundary, None, &json!({}), |explanation| {
        assert_eq!(Verdict::from(explanation.decision), Verdict::ExplicitDeny);
        assert_eq!(
            matched(&explanation),
            [(Layer::IdentityBased, 1, None), (Layer::PermissionsBoundary, 0, None)]
        );
        assert_eq!(explanation.identity, Verdict::ExplicitDeny);
        assert_eq!(explanation.is_allowed_by_boundary, Some(false));
    });
}

#[test]
fn nothing_is_named_when_nothing_allows() {
    let boundary = Some(statement("Allow", "s3:*"));
    check(OWN, vec![statement("Allow", "*")], boundary, None, &json!({}), |explanation| {
        assert_eq!(Verdict::from(explanation.decision), Verdict::ImplicitDeny);
        assert_eq!(matched(&explanation), []);
        assert_eq!(explanation.identity, Verdict::Allowed);
        assert_eq!(explanation.is_allowed_by_boundary, Some(false));
    });
}

#[test]
fn each_account_has_a_verdict() {
    let other = "222222222222";
    for (of_resource, verdict) in [
        (None, Verdict::ImplicitDeny),
        (Some(granting("Allow")), Verdict::Allowed),
        (Some(granting("Deny")), Verdict::ExplicitDeny),
    ] {
        check(other, vec![statement("Allow", "*")], None, of_resource, &json!({}), |explanation| {
            assert_eq!(explanation.identity, Verdict::Allowed);
            assert_eq!(explanation.resource, verdict);
            assert_eq!(Verdict::from(explanation.decision), verdict);
        });
    }
}

#[test]
fn keys_that_the_request_lacks_are_named_once() {
    let mut first = statement("Allow", "ecs:*");
    first["Condition"] = json!({
        "StringEquals": { "ecs:cluster": "${aws:username}", "aws:ResourceTag/Team": "red" },
        "Bool": { "aws:SecureTransport": "true" },
    });
    let mut second = statement("Allow", "s3:*");
    second["Resource"] = "arn:aws:s3:::b/${aws:userid}".into();
    second["Condition"] = json!({ "StringLike": { "AWS:resourcetag/team": "*" } });
    let context = json!({ "aws:securetransport": true, "ecs:cluster": "c" });
    check(OWN, vec![first, second], None, None, &context, |explanation| {
        let missing = ["aws:ResourceTag/Team", "aws:userid", "aws:username"];
        assert_eq!(explanation.missing_context_keys, missing);
    });
}

#[test]
fn keys_that_a_policy_depends_on() {
    let statements = vec![
        json!({
            "Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/${aws:username, 'x'}${*}",
            "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:iam::${aws:PrincipalAccount}:role/*" }, "Null": { "k": true } }
        }),
        json!({ "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": { "Null": { "K": true } } }),
    ];
    let policy = compile(&document(statements), PolicyKind::Managed);
    let keys = ["aws:PrincipalAccount", "aws:SourceArn", "aws:username", "k"];
    assert_eq!(policy.context_keys(), keys);
    // The old version has no variables.
    let text = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/${aws:username}"}}"#;
    assert_eq!(
        Policy::compile(text, PolicyKind::Inline).unwrap().context_keys(),
        Vec::<&str>::new()
    );
}

#[test]
fn white_space_does_not_count() {
    assert_eq!(counted_characters("{ \"a\" :\t\"b é\"\r\n}"), 10);
}
