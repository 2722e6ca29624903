//! Constraints of the model, in AWS's words.

use outport_aws_wire::Protocol;

use crate::decoding::read;
use crate::sample::Demand;

/// The message for this input; empty when it is accepted.
fn check(body: &str, expected: &str) {
    let message =
        read::<Demand>(Protocol::Json11, body.as_bytes()).err().map(|error| error.message);
    assert_eq!(message.unwrap_or_default(), expected, "{body:.200}");
}

#[test]
fn violations_name_the_place_and_the_constraint() {
    check(r#"{"Name":"ab"}"#, "");
    check(
        "{}",
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null",
    );
    check(
        r#"{"Name":null,"sample":{"count":11}}"#,
        "2 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; \
         Value '11' at 'sample.count' failed to satisfy constraint: Member must have value less than or equal to 10",
    );
    check(
        r#"{"Name":""}"#,
        "2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [a-z]+; Value '' at 'name' failed to satisfy constraint: Member must have length \
         greater than or equal to 2",
    );
    check(
        r#"{"Name":"ab","sample":{"colour":"GREEN","size":"xl","count":0}}"#,
        "3 validation errors detected: Value '0' at 'sample.count' failed to satisfy constraint: Member must have \
         value greater than or equal to 1; Value 'GREEN' at 'sample.colour' failed to satisfy constraint: Member must \
         satisfy enum value set: [RED, deep-blue]; Value 'xl' at 'sample.size' failed to satisfy constraint: Member \
         must satisfy enum value set: [s, m]",
    );
    check(
        r#"{"Name":"ab","sample":{"children":[{},{"names":["ab","cd","ef","gh"]}]}}"#,
        "1 validation error detected: Value '[ab, cd, ef, gh]' at 'sample.children.2.member.names' failed to satisfy \
         constraint: Member must have length less than or equal to 3",
    );
    check(
        r#"{"Name":"ab","sample":{"tags":{"AB":"x"},"names":["toolong"]}}"#,
        "2 validation errors detected: Value '[toolong]' at 'sample.names' failed to satisfy constraint: Member must \
         satisfy constraint: [Member must have length less than or equal to 5, Member must have length greater than or \
         equal to 2, Member must satisfy regular expression pattern: [a-z]+]; Value '{AB=x}' at 'sample.tags' failed to \
         satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 5, Member \
         must have length greater than or equal to 2, Member must satisfy regular expression pattern: [a-z]+]",
    );
}

/// A list of structures that is too long is printed as AWS's servers print structures.
#[test]
fn structures_are_printed_with_every_member() {
    let children = [r#"{"name":"ab","secret":"s","names":["cd"]}"#; 3].join(",");
    check(
        &format!(r#"{{"Name":"ab","few":[{children}]}}"#),
        &format!(
            "1 validation error detected: Value '[{0}, {0}, {0}]' at 'few' failed to satisfy constraint: Member must have \
             length less than or equal to 2",
            "Sample(name=ab, count=null, big=null, ratio=null, flag=null, at=null, bytes=null, colour=null, size=null, \
             names=[cd], tags=null, children=null, child=null, secret=***Sensitive Data Redacted***, document=null)"
        ),
    );
}

#[test]
fn a_pattern_matches_the_whole_string() {
    check(
        "{\"Name\":\"ab\\n\"}",
        "1 validation error detected: Value 'ab\n' at 'name' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [a-z]+",
    );
}

/// AWS shows the whole value; what nobody means is cut.
#[test]
fn a_value_is_whole_and_violations_are_limited() {
    let message = |length: usize| {
        let body = format!("{{\"Name\":\"{}\"}}", "X".repeat(length));
        read::<Demand>(Protocol::Json11, body.as_bytes()).unwrap_err().message
    };
    let whole = message(10_000);
    assert!(whole.contains(&format!("Value '{}' at 'name'", "X".repeat(10_000))));
    let cut = message(1_000_000);
    assert!(cut.contains("XXX...' at 'name'") && cut.len() < 40_000, "{}", cut.len());
    let many = format!(
        "{{\"Name\":\"ab\",\"sample\":{{\"children\":[{}{{}}]}}}}",
        "{\"count\":0},".repeat(5_000)
    );
    let error = read::<Demand>(Protocol::Json11, many.as_bytes()).unwrap_err();
    assert!(error.message.starts_with("20 validation errors detected: "), "{:.80}", error.message);
}
