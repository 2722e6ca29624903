use serde_json::json;

use super::*;

const RULE: RuleFacts<'_> = RuleFacts {
    arn: "arn:aws:events:us-east-1:123456789012:rule/example",
    name: "example",
    ingestion_time: "2026-12-01T14:00:00Z",
};

fn event() -> Value {
    json!({
        "id": "i-1", "detail-type": "EC2 \"state\"", "resources": ["r"], "detail": {"instance-id": "i-0", "state": "RUNNING", "n": 5}
    })
}

fn paths() -> BTreeMap<String, String> {
    let path = |(name, path): (&str, &str)| (name.to_owned(), path.to_owned());
    BTreeMap::from(
        [
            ("instance", "$.detail.instance-id"),
            ("status", "$.detail.state"),
            ("kind", "$.detail-type"),
            ("n", "$.detail.n"),
            ("all", "$.detail"),
            ("none", "$.nothing"),
        ]
        .map(path),
    )
}

fn check(template: &str, expected: &str) {
    assert_eq!(check_template(&paths(), template), Ok(()), "{template}");
    assert_eq!(by_template(&event(), &paths(), template, RULE), expected, "{template}");
}

#[test]
fn a_template_has_parts_of_the_event() {
    check("\"instance <instance> is in <status>\"", "\"instance i-0 is in RUNNING\"");
    check(r#"{"instance": <instance>, "n": <n>}"#, r#"{"instance": "i-0", "n": 5}"#);
    check(r#"{"instance": "<instance>-x"}"#, r#"{"instance": "i-0-x"}"#);
    check(r#"{"all": <all>}"#, r#"{"all": {"instance-id":"i-0","state":"RUNNING","n":5}}"#);
    check(r#""n is <n>""#, r#""n is 5""#);
    // What was JSON stays JSON.
    check(r#"{"k": "<kind>"}"#, r#"{"k": "EC2 \"state\""}"#);
    check(r#"{"k": <kind>}"#, r#"{"k": "EC2 \"state\""}"#);
    check(r#"{"a": "\"<n>\"", "b": <n>}"#, r#"{"a": "\"5\"", "b": 5}"#);
    check(r#"{"a": <none>, "b": "<none>"}"#, r#"{"a": null, "b": ""}"#);
    check("<<n>> <not a name> 1 < 2", "<5> <not a name> 1 < 2");
    check(
        r#"{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>", "at": <aws.events.event.ingestion-time>}"#,
        r#"{"arn": "arn:aws:events:us-east-1:123456789012:rule/example", "name": "example", "at": "2026-12-01T14:00:00Z"}"#,
    );
    assert_eq!(
        by_template(&event(), &paths(), "<aws.events.event.json>", RULE),
        event().to_string()
    );
}

#[test]
fn what_cannot_be_made_is_refused_before() {
    let refused = |paths: &BTreeMap<String, String>, template: &str| {
        check_template(paths, template).unwrap_err()
    };
    assert_eq!(refused(&paths(), "<x>"), InputFault::Variable("x".into()));
    let bad = |name: &str, path: &str| BTreeMap::from([(name.to_owned(), path.to_owned())]);
    assert_eq!(refused(&bad("a", "detail"), "<a>"), InputFault::Path(Some("a".into())));
    assert_eq!(refused(&bad("aws.a", "$.a"), "x"), InputFault::Name("aws.a".into()));
}

#[test]
fn a_path_takes_a_part() {
    assert_eq!(by_path(&event(), "$.detail.n"), "5");
    assert_eq!(by_path(&event(), "$.resources"), "[\"r\"]");
    assert_eq!(by_path(&event(), "$.none"), "null");
}
