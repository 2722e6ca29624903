use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The pattern matches each of `yes` and none of `no`.
fn check(pattern: Value, yes: &[Value], no: &[Value]) {
    let compiled = Pattern::compile(&pattern.to_string());
    let compiled = compiled.unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
    for event in yes {
        assert!(compiled.matches(event), "{pattern} is to match {event}");
    }
    for event in no {
        assert!(!compiled.matches(event), "{pattern} is not to match {event}");
    }
}

/// What the field `a` may be.
fn check_field(values: Value, yes: &[Value], no: &[Value]) {
    let events =
        |values: &[Value]| values.iter().map(|value| json!({"a": value})).collect::<Vec<_>>();
    check(json!({"a": values}), &events(yes), &events(no));
}

fn refused(pattern: &str, reason: &str) {
    let fault = Pattern::compile(pattern).expect_err(pattern);
    assert_eq!(
        fault.to_string(),
        format!("Event pattern is not valid. Reason: {reason}"),
        "{pattern}"
    );
}

#[test]
fn fields_are_an_and_and_lists_are_an_or() {
    let pattern = json!({"source": ["aws.ecs", "aws.ec2"], "detail": {"lastStatus": ["STOPPED"], "group": ["service:web"]}});
    let event = |source: &str, status: &str| json!({"source": source, "detail": {"lastStatus": status, "group": "service:web"}});
    check(
        pattern,
        &[event("aws.ecs", "STOPPED"), event("aws.ec2", "STOPPED")],
        &[
            event("aws.ecs", "RUNNING"),
            event("aws.s3", "STOPPED"),
            json!({"source": "aws.ecs"}),
            json!({"source": "aws.ecs", "detail": "STOPPED"}),
            json!("aws.ecs"),
        ],
    );
}

#[test]
fn a_value_is_equal_by_its_kind() {
    check_field(json!(["x"]), &[json!("x")], &[json!("X"), json!("xx"), json!(""), json!(null)]);
    check_field(json!([5]), &[json!(5), json!(5.0), json!(50e-1)], &[json!("5"), json!(6)]);
    check_field(
        json!([123_456_789_012_345_678_u64]),
        &[json!(123_456_789_012_345_678_u64)],
        &[json!(123_456_789_012_345_679_u64)],
    );
    check_field(json!([true]), &[json!(true)], &[json!(false), json!("true")]);
    check_field(json!([null]), &[json!(null)], &[json!("null"), json!(false)]);
    check_field(json!([""]), &[json!("")], &[json!(null)]);
    check_field(json!([{"exactly": "x"}]), &[json!("x")], &[json!("y")]);
    // An address, however it is written.
    check_field(json!(["::1"]), &[json!("::1"), json!("0:0:0:0:0:0:0:1")], &[json!("::2")]);
}

#[test]
fn one_member_of_a_list_is_enough() {
    check_field(
        json!(["x", "y"]),
        &[json!(["z", "y"]), json!([["x"]])],
        &[json!(["z"]), json!([]), json!([{"x": "x"}])],
    );
}

#[test]
fn fields_within_a_list_are_of_one_of_its_objects() {
    check(
        json!({"detail": {"containers": {"name": ["app"], "exitCode": [1]}}}),
        &[
            json!({"detail": {"containers": [{"name": "app", "exitCode": 1}, {"name": "log", "exitCode": 0}]}}),
        ],
        &[
            json!({"detail": {"containers": [{"name": "app", "exitCode": 0}, {"name": "log", "exitCode": 1}]}}),
            json!({"detail": {"containers": []}}),
        ],
    );
}

#[test]
fn texts_by_a_part() {
    check_field(
        json!([{"prefix": "ab"}]),
        &[json!("ab"), json!("abc")],
        &[json!("a"), json!("AB"), json!(5)],
    );
    check_field(json!([{"suffix": ".png"}]), &[json!("x.png")], &[json!("x.PNG"), json!("png")]);
    check_field(
        json!([{"prefix": {"equals-ignore-case": "Ab"}}]),
        &[json!("aBc")],
        &[json!("xab")],
    );
    check_field(
        json!([{"suffix": {"equals-ignore-case": ".PNG"}}]),
        &[json!("x.png")],
        &[json!("x.gif")],
    );
    check_field(
        json!([{"equals-ignore-case": "Ab"}]),
        &[json!("AB"), json!("ab")],
        &[json!("abc")],
    );
    check_field(json!([{"prefix": ""}]), &[json!(""), json!("x")], &[json!(1)]);
}

#[test]
fn texts_by_a_wildcard() {
    check_field(
        json!([{"wildcard": "arn:*:task/*/x"}]),
        &[json!("arn:aws:task/default/x")],
        &[json!("arn:aws:task/x"), json!("arn::task//y")],
    );
    check_field(json!([{"wildcard": "*"}]), &[json!(""), json!("x")], &[json!(1)]);
    check_field(
        json!([{"wildcard": "a*b*a"}]),
        &[json!("aba"), json!("abbba")],
        &[json!("ab"), json!("aa"), json!("abab")],
    );
    check_field(json!([{"wildcard": "a*a"}]), &[json!("aa")], &[json!("a")]);
    check_field(json!([{"wildcard": "x"}]), &[json!("x")], &[json!("xx")]);
    check_field(json!([{"wildcard": "a\\*b\\\\*"}]), &[json!("a*b\\c")], &[json!("axb\\c")]);
    refused(r#"{"a": [{"wildcard": "x**"}]}"#, "Consecutive wildcard characters at pos 2");
    refused(r#"{"a": [{"wildcard": "x\\n"}]}"#, "Invalid escape character at pos 2");
    refused(r#"{"a": [{"wildcard": 5}]}"#, "wildcard match pattern must be a string");
}

#[test]
fn anything_but_these() {
    check_field(
        json!([{"anything-but": "x"}]),
        &[json!("y"), json!(1), json!(null)],
        &[json!("x")],
    );
    check_field(
        json!([{"anything-but": ["x", "y"]}]),
        &[json!("z"), json!(["x", "z"])],
        &[json!("x"), json!(["x", "y"])],
    );
    check_field(json!([{"anything-but": 5}]), &[json!(6), json!("5")], &[json!(5), json!(5.0)]);
    check_field(json!([{"anything-but": [5, 6]}]), &[json!(7)], &[json!(6)]);
    check_field(json!([{"anything-but": {"prefix": "a"}}]), &[json!("b")], &[json!("ab")]);
    check_field(
        json!([{"anything-but": {"prefix": ["a", "b"]}}]),
        &[json!("c")],
        &[json!("ab"), json!("b")],
    );
    check_field(json!([{"anything-but": {"suffix": ["a", "b"]}}]), &[json!("c")], &[json!("xa")]);
    check_field(
        json!([{"anything-but": {"wildcard": "*/lib/*"}}]),
        &[json!("/bin/x")],
        &[json!("/lib/x")],
    );
    check_field(
        json!([{"anything-but": {"wildcard": ["a*", "*z"]}}]),
        &[json!("b")],
        &[json!("az"), json!("zz")],
    );
    check_field(
        json!([{"anything-but": {"equals-ignore-case": ["A", "B"]}}]),
        &[json!("c")],
        &[json!("a"), json!("B")],
    );
    check_field(
        json!([{"anything-but": {"prefix": {"equals-ignore-case": "A"}}}]),
        &[json!("b")],
        &[json!("ab")],
    );
    // A field that is not there is not anything.
    check(
        json!({"a": [{"anything-but": "x"}]}),
        &[],
        &[json!({}), json!({"a": []}), json!({"a": {"b": 1}})],
    );
    let mixed = "Inside anything but list, either all values are number or string, mixed type is not supported";
    refused(r#"{"a": [{"anything-but": ["x", 1]}]}"#, mixed);
    refused(r#"{"a": [{"anything-but": []}]}"#, mixed);
    refused(
        r#"{"a": [{"anything-but": [null]}]}"#,
        "Inside anything but list, start|null|boolean is not supported.",
    );
    refused(
        r#"{"a": [{"anything-but": true}]}"#,
        "Value of anything-but must be an array or single string/number value.",
    );
    refused(
        r#"{"a": [{"anything-but": {"numeric": [">", 1]}}]}"#,
        "Unsupported anything-but pattern: numeric",
    );
    refused(r#"{"a": [{"anything-but": {"prefix": ""}}]}"#, "Null prefix/suffix not allowed");
    refused(r#"{"a": [{"anything-but": {}}]}"#, "Anything-But expression name not found");
}

#[test]
fn numbers_by_their_range() {
    check_field(
        json!([{"numeric": ["=", 300]}]),
        &[json!(300), json!(3.0e2)],
        &[json!("300"), json!(301)],
    );
    check_field(
        json!([{"numeric": [">", 0, "<=", 5]}]),
        &[json!(0.1), json!(5)],
        &[json!(0), json!(5.1), json!("3")],
    );
    check_field(json!([{"numeric": [">=", 1]}]), &[json!(1), json!(1e9)], &[json!(0.5)]);
    check_field(json!([{"numeric": ["<", 1]}]), &[json!(-1)], &[json!(1)]);
    check_field(json!([{"numeric": ["<=", 1]}]), &[json!(1)], &[json!(2)]);
    let numeric = |terms: &str, reason: &str| {
        refused(&format!(r#"{{"a": [{{"numeric": {terms}}}]}}"#), reason)
    };
    numeric("5", "Value of numeric must be an array.");
    numeric("[5]", "Invalid member in numeric match: 5");
    numeric("[\"=\", \"5\"]", "Value of equals must be numeric");
    numeric("[\">\"]", "Value of > must be numeric");
    numeric("[\"!\", 5]", "Unrecognized numeric range operator: !");
    numeric("[\"=\", 5, 6]", "Too many elements in numeric expression");
    numeric("[\">\", 5, \">\", 6]", "Bad numeric range operator: >");
    numeric("[\">\", 5, 6]", "Bad value in numeric range: 6");
    numeric("[\">\", 5, \"<\", 6, 7]", "Too many terms in numeric range expression");
    numeric("[\">\", 6, \"<\", 5]", "Bottom must be less than top");
    numeric("[\">\", 1e10]", "Value must be between -5.0E9 and 5.0E9, inclusive");
}

#[test]
fn addresses_by_their_network() {
    check_field(
        json!([{"cidr": "10.0.0.0/24"}]),
        &[json!("10.0.0.0"), json!("10.0.0.255")],
        &[json!("10.0.1.0"), json!("x"), json!("::1")],
    );
    check_field(json!([{"cidr": "0.0.0.0/0"}]), &[json!("255.1.2.3")], &[json!("::1")]);
    check_field(json!([{"cidr": "10.0.0.1/32"}]), &[json!("10.0.0.1")], &[json!("10.0.0.2")]);
    check_field(
        json!([{"cidr": "2001:db8::/32"}]),
        &[json!("2001:db8:1::")],
        &[json!("2001:db9::"), json!("10.0.0.1")],
    );
    check_field(json!([{"cidr": "::/0"}]), &[json!("::1")], &[json!("10.0.0.1")]);
    let cidr =
        |text: &str, reason: &str| refused(&format!(r#"{{"a": [{{"cidr": "{text}"}}]}}"#), reason);
    cidr("10.0.0.0", "Malformed CIDR, one '/' required");
    cidr("10.0.0.0/1/2", "Malformed CIDR, one '/' required");
    cidr("10.0.0.0/x", "Malformed CIDR, mask bits must be an integer");
    cidr("10.0.0.0/-1", "Malformed CIDR, mask bits must not be negative");
    cidr("10.0.0.0/33", "IPv4 mask bits must be <= 32");
    cidr("::/129", "IPv6 mask bits must be <= 128");
}

#[test]
fn a_field_is_there_or_not() {
    check(
        json!({"a": {"b": [{"exists": true}]}}),
        &[json!({"a": {"b": null}}), json!({"a": {"b": ""}})],
        &[json!({"a": {}}), json!({}), json!({"a": {"b": {"c": 1}}})],
    );
    check(
        json!({"a": {"b": [{"exists": false}]}}),
        &[json!({"a": {}}), json!({}), json!({"a": 1}), json!({"a": {"b": {"c": 1}}})],
        &[json!({"a": {"b": 1}})],
    );
    check(
        json!({"a": [{"exists": false}, "x"]}),
        &[json!({}), json!({"a": "x"})],
        &[json!({"a": "y"})],
    );
    refused(r#"{"a": [{"exists": "yes"}]}"#, "exists match pattern must be either true or false.");
}

#[test]
fn or_is_of_objects() {
    let pattern = json!({"source": ["s"], "$or": [{"a": [1]}, {"b": [2], "c": [3]}, {"d": {"$or": [{"e": [4]}, {"f": [5]}]}}]});
    check(
        pattern,
        &[
            json!({"source": "s", "a": 1}),
            json!({"source": "s", "b": 2, "c": 3}),
            json!({"source": "s", "d": {"f": 5}}),
        ],
        &[
            json!({"a": 1}),
            json!({"source": "s", "b": 2}),
            json!({"source": "s", "d": {}}),
            json!({"source": "s"}),
        ],
    );
    // With one branch, or with what means something within a list, it is a field of that name.
    refused(r#"{"$or": [{"a": [1]}]}"#, "Unrecognized match type a");
    check(
        json!({"$or": [{"prefix": "a"}, {"prefix": "b"}]}),
        &[json!({"$or": "bc"})],
        &[json!({"$or": "c"})],
    );
    let branches: Vec<Value> = (0..11).map(|n| json!({"a": [n]})).collect();
    let nested = json!({"$or": branches, "x": {"$or": branches, "y": {"$or": branches}}});
    refused(&nested.to_string(), "Rule is too complex: its $or make more than 1000 combinations");
}

#[test]
fn what_is_no_pattern_is_refused() {
    refused("[]", "Filter is not an object");
    refused("\"x\"", "Filter is not an object");
    refused("{}", "Empty objects are not allowed");
    refused(r#"{"a": {}}"#, "Empty objects are not allowed");
    refused(r#"{"a": []}"#, "Empty arrays are not allowed");
    refused(r#"{"a": "x"}"#, "\"a\" must be an object or an array");
    refused(r#"{"a": null}"#, "\"a\" must be an object or an array");
    refused(r#"{"a": [[1]]}"#, "Match value must be String, number, true, false, or null");
    refused(r#"{"a": [{}]}"#, "Match expression name not found");
    refused(r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#, ONE_KEY);
    refused(r#"{"a": [{"like": "x"}]}"#, "Unrecognized match type like");
    refused(r#"{"a": [{"prefix": 1}]}"#, "prefix match pattern must be a string");
    refused(r#"{"a": [{"suffix": {"wildcard": "x"}}]}"#, "Unsupported suffix pattern: wildcard");
    refused(
        r#"{"a": [{"equals-ignore-case": null}]}"#,
        "equals-ignore-case match pattern must be a string",
    );
    for text in ["", "{", "{\"a\": [1]} x", &"[".repeat(4_000)] {
        assert!(Pattern::compile(text).is_err(), "{text}");
    }
}

const ONE_KEY: &str = "Only one key allowed in match expression";

#[test]
fn what_may_match_is_known_before_there_is_an_event() {
    let known = [("source", "aws.ecs"), ("detail-type", "ECS Task State Change")];
    let check = |pattern: Value, expected| {
        assert_eq!(
            Pattern::compile(&pattern.to_string()).unwrap().may_match(&known),
            expected,
            "{pattern}"
        );
    };
    check(json!({"source": ["aws.ecs"]}), true);
    check(
        json!({"source": [{"prefix": "aws."}], "detail-type": [{"wildcard": "ECS * State Change"}]}),
        true,
    );
    check(json!({"source": ["aws.s3"]}), false);
    check(json!({"source": [{"exists": false}]}), false);
    check(json!({"source": {"x": ["y"]}}), false);
    check(json!({"detail": {"x": ["y"]}}), true);
    check(json!({"$or": [{"source": ["x"]}, {"detail": {"x": [1]}}]}), true);
}

fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9..9_i64).prop_map(Value::from),
        "[ab*.]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The pattern that asks for just what is there.
fn asking_for(event: &Value) -> Value {
    match event {
        Value::Object(fields) if fields.is_empty() => json!([{"exists": false}]),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), asking_for(value))).collect()
        }
        leaf => json!([leaf]),
    }
}

fn without_lists(event: Value) -> Value {
    match event {
        Value::Array(_) => json!("list"),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, without_lists(value))).collect()
        }
        leaf => leaf,
    }
}

proptest! {
    #[test]
    fn an_event_is_matched_by_what_asks_for_it(event in event()) {
        let event = json!({"x": without_lists(event)});
        let pattern = asking_for(&event).to_string();
        prop_assert!(Pattern::compile(&pattern).unwrap().matches(&event), "{} {}", pattern, event);
    }

    /// A value is one of them, or one is anything but them; never both, of one value.
    #[test]
    fn anything_but_is_the_opposite(values in prop::collection::vec("[ab]{0,2}", 1..4), text in "[ab]{0,2}") {
        let event = json!({"a": text});
        let matches = |pattern: Value| Pattern::compile(&pattern.to_string()).unwrap().matches(&event);
        let plain = matches(json!({"a": values}));
        prop_assert_ne!(plain, matches(json!({"a": [{"anything-but": values}]})));
    }

    /// As a walk over all ways to split says it.
    #[test]
    fn a_wildcard_is_any_characters(pattern in "[ab]{0,2}([*][ab]{1,2}){0,3}[*]?", text in "[ab]{0,8}") {
        fn walk(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, left) => left.is_none(),
                (Some((b'*', rest)), _) => (0..=text.len()).any(|at| walk(rest, &text[at..])),
                (Some((one, rest)), Some((other, left))) => one == other && walk(rest, left),
                (Some(_), None) => false,
            }
        }
        let compiled = Pattern::compile(&json!({"a": [{"wildcard": pattern}]}).to_string()).unwrap();
        prop_assert_eq!(compiled.matches(&json!({"a": text})), walk(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}\",:a$or0-9 .*\\\\]{0,40}", event in event()) {
        if let Ok(pattern) = Pattern::compile(&text) {
            pattern.matches(&event);
            pattern.may_match(&[("a", "x")]);
        }
    }

    /// What is ruled out before does not match after.
    #[test]
    fn what_may_not_match_does_not(event in event(), asked in event(), source in "[ab]") {
        let event = json!({"source": source, "detail": event});
        let pattern = json!({"source": ["a"], "detail": {"x": [{"exists": false}]}, "$or": [{"detail": asking_for(&json!({"x": without_lists(asked)}))}, {"source": ["a"]}]});
        let pattern = Pattern::compile(&pattern.to_string()).unwrap();
        prop_assert!(pattern.may_match(&[("source", &source)]) || !pattern.matches(&event));
    }
}
