//! What requests mean.

use outport_aws_wire::{Exchange, Protocol, Request, Shape, WireError, from_json, limits, to_json};

use crate::sample::{SERVICE, Sample};

pub fn read<T: Shape + Default>(protocol: Protocol, body: &[u8]) -> Result<T, WireError> {
    let request = Request { service: &SERVICE, protocol, operation: "Call", body, request_id: "r" };
    Exchange::new(request)?.read()
}

/// The body means the same as this JSON, or is refused with a message that holds this text after `!`.
fn check(protocol: Protocol, body: impl AsRef<[u8]>, expected: &str) {
    let body = body.as_ref();
    let shown = String::from_utf8_lossy(body);
    match (read::<Sample>(protocol, body), expected.strip_prefix('!')) {
        (Ok(sample), None) => {
            let expected: Sample = from_json(expected).unwrap();
            assert_eq!(to_json(&sample), to_json(&expected), "{protocol:?} {shown:.300}");
        }
        (Err(error), Some(words)) => {
            assert!(error.message.contains(words), "{protocol:?} {shown:.300}: {}", error.message);
        }
        (Ok(sample), Some(_)) => panic!("{protocol:?} {shown:.300} gave {sample:?}"),
        (Err(error), None) => panic!("{protocol:?} {shown:.300} failed: {}", error.message),
    }
}

#[test]
fn json_is_read_as_aws_reads_it() {
    let json = |body: &str, expected: &str| check(Protocol::Json11, body, expected);
    json("", "{}");
    json(" \n", "{}");
    json("{}", "{}");
    json(r#"{"unknown":{"deep":[1,null]},"flag":true}"#, r#"{"flag":true}"#);
    json(r#"{"name":null,"names":null}"#, "{}");
    json(r#"{"count":2.0,"big":3e2,"ratio":4}"#, r#"{"count":2,"big":300,"ratio":4.0}"#);
    json(r#"{"ratio":"-Infinity"}"#, r#"{"ratio":"-Infinity"}"#);
    json(r#"{"at":1767323045.678}"#, r#"{"at":1767323045.678}"#);
    json(r#"{"at":"2026-01-02T03:04:05.678Z"}"#, r#"{"at":1767323045.678}"#);
    json(
        r#"{"names":["ab",null,"cd"],"tags":{"ab":null,"cd":"x"}}"#,
        r#"{"names":["ab","cd"],"tags":{"cd":"x"}}"#,
    );
    json(r#"{"names":[],"tags":{}}"#, r#"{"names":[],"tags":{}}"#);
    json(r#"{"bytes":"AP8H"}"#, r#"{"bytes":"AP8H"}"#);
    json(r#"{"flag":true,"flag":false}"#, r#"{"flag":false}"#);
    json(r#"{"child":{"__type":"x","flag":true}}"#, r#"{"child":{"flag":true}}"#);
    json(
        r#"{"document":{"a":[1,2.5,"x",null,{"b":true}]}}"#,
        r#"{"document":{"a":[1,2.5,"x",null,{"b":true}]}}"#,
    );
    json(r#"{"name":"b\u0061"}"#, r#"{"name":"ba"}"#);
}

#[test]
fn wrong_json_is_refused() {
    let json = |body: &str, words: &str| check(Protocol::Json10, body, words);
    json("[]", "!must be a JSON object");
    json("null", "!must be a JSON object");
    json("{", "!not valid JSON");
    json("{} {}", "!not valid JSON");
    json(r#"{"name":1}"#, "!NUMBER_VALUE can not be converted to a string at 'name'");
    json(r#"{"count":"1"}"#, "!STRING_VALUE can not be converted to an integer at 'count'");
    json(r#"{"count":1.5}"#, "!DECIMAL_VALUE can not be converted to an integer");
    json(r#"{"count":3000000000}"#, "!32 bits");
    json(r#"{"big":1e300}"#, "!DECIMAL_VALUE");
    json(r#"{"big":18446744073709551615}"#, "!DECIMAL_VALUE");
    json(r#"{"flag":"true"}"#, "!STRING_VALUE");
    json(r#"{"ratio":"1"}"#, "!STRING_VALUE");
    json(r#"{"names":"ab"}"#, "!a list at 'names'");
    json(r#"{"children":[{"flag":true},{"flag":1}]}"#, "!at 'children.2.member.flag'");
    json(r#"{"tags":{"k":1}}"#, "!at 'tags.k.member'");
    json(r#"{"child":[]}"#, "!Start of list found where a structure was expected");
    json(r#"{"bytes":"*"}"#, "!Invalid base64");
    json(r#"{"at":"soon"}"#, "!a timestamp");
    json(r#"{"at":1e300}"#, "!a timestamp");
    check(Protocol::Json11, b"{\"name\":\"\xff\"}", "!UTF-8");
}

#[test]
fn json_has_limits() {
    let deep = format!("{}{}", "{\"child\":".repeat(limits::NESTING_MAX), "{}");
    check(Protocol::Json11, deep, "!nested too deeply");
    let wide = format!("{{\"unknown\":[{}1]}}", "1,".repeat(limits::VALUES_MAX));
    check(Protocol::Json11, wide, "!too many values");
}

#[test]
fn query_forms_are_read_as_aws_reads_them() {
    let form = |body: &str, expected: &str| check(Protocol::Query, body, expected);
    form("Action=Call&Version=2026-01-01", "{}");
    form("", "{}");
    form("name=a%62+&name=abc", r#"{"name":"abc"}"#);
    form("count=7&big=-9&ratio=NaN&flag=true", r#"{"count":7,"big":-9,"ratio":"NaN","flag":true}"#);
    form("names=", r#"{"names":[]}"#);
    form("names.member.3=cc&names.member.1=aa&names.member.10=dd", r#"{"names":["aa","cc","dd"]}"#);
    form("names=&names.member.1=aa", r#"{"names":["aa"]}"#);
    form(
        "tags.entry.1.key=ab&tags.entry.1.value=x%26&tags.entry.2.key=cd&tags.entry.2.value=",
        r#"{"tags":{"ab":"x&","cd":""}}"#,
    );
    form(
        "children.member.2.flag=true&children.member.1.count=1",
        r#"{"children":[{"count":1},{"flag":true}]}"#,
    );
    form("child.child.flag=false", r#"{"child":{"child":{"flag":false}}}"#);
    form("child=", r#"{"child":{}}"#);
    form("at=2026-01-02T03%3A04%3A05Z", r#"{"at":1767323045}"#);
    form("bytes=AP8H\n", r#"{"bytes":"AP8H"}"#);
}

#[test]
fn ec2_forms_are_read_as_aws_reads_them() {
    let form = |body: &str, expected: &str| check(Protocol::Ec2, body, expected);
    form("Names.2=bb&Names.1=aa&Flag=true", r#"{"names":["aa","bb"],"flag":true}"#);
    form(
        "Children.1.Count=1&Children.1.Names.1=xx",
        r#"{"children":[{"count":1,"names":["xx"]}]}"#,
    );
    form("names.1=aa", "{}");
}

#[test]
fn wrong_forms_are_refused() {
    let form = |body: &str, words: &str| check(Protocol::Query, body, words);
    form("count=x", "!STRING_VALUE can not be converted to an integer at 'count'");
    form("flag=yes", "!a boolean");
    form("name=%zz", "!percent-encoded");
    form("name=%f", "!percent-encoded");
    form("name=%ff", "!UTF-8");
    form("names.member.x=1", "!'x' is not a list index");
    form("names.member.99999999999=1", "!is not a list index");
    form("name.a=1", "!found where a string was expected at 'name'");
    form("tags.entry.1.value=1", "!Map entry without a key");
    form(&format!("{}=1", "a.".repeat(limits::NESTING_MAX + 1)), "!nested too deeply");
    form(&"a=1&".repeat(limits::FORM_PARAMETERS_MAX + 1), "!Too many parameters");
    form(&format!("{}=1", "a".repeat(limits::FORM_NAME_BYTES_MAX + 1)), "!too long");
}

/// Bytes from hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn cbor_is_read_in_all_its_forms() {
    let cbor = |digits: &str, expected: &str| check(Protocol::Cbor, hex(digits), expected);
    let at = "626174";
    cbor("", "{}");
    cbor("a0", "{}");
    cbor("bfff", "{}");
    cbor("a1 65636f756e74 07", r#"{"count":7}"#);
    cbor("a1 65636f756e74 f94500", r#"{"count":5}"#); // half float 5.0
    cbor("a1 65636f756e74 fa40a00000", r#"{"count":5}"#);
    cbor("a1 65726174696f 07", r#"{"ratio":7.0}"#);
    cbor("a1 65726174696f f97e00", r#"{"ratio":"NaN"}"#);
    cbor("a1 65726174696f f97c00", r#"{"ratio":"Infinity"}"#);
    cbor("a1 65726174696f f90001", r#"{"ratio":5.960464477539063e-8}"#);
    cbor("a1 63626967 3b7fffffffffffffff", r#"{"big":-9223372036854775808}"#);
    cbor("a1 64666c6167 f7", "{}"); // undefined
    cbor("a1 64666c6167 f6", "{}");
    cbor(&format!("a1 {at} c1 1a69573465"), r#"{"at":1767322725}"#);
    cbor(&format!("a1 {at} c1 fb41da55cd19600000"), r#"{"at":1767322725.5}"#);
    cbor("a1 656e616d6573 9f 62 6162 7f 61 63 61 64 ff ff", r#"{"names":["ab","cd"]}"#);
    cbor("a1 656279746573 5f 41 00 42 ff07 ff", r#"{"bytes":"AP8H"}"#);
    cbor("bf 6474616773 bf 62 6162 61 78 ff ff", r#"{"tags":{"ab":"x"}}"#);
}

#[test]
fn wrong_cbor_is_refused() {
    let cbor = |digits: &str, words: &str| check(Protocol::Cbor, hex(digits), words);
    cbor("00", "!not a map");
    cbor("a0 00", "!bytes after the end");
    cbor("a1", "!ends too early");
    cbor("bf", "!ends too early");
    cbor("a1 00 00", "!key that is no string");
    cbor("bb ffffffffffffffff", "!ends too early");
    cbor("a1 656e616d6573 9b ffffffffffffffff", "!ends too early");
    cbor("a1 656e616d6573 7b ffffffffffffffff", "!ends too early");
    cbor("a1 646e616d65 61 ff", "!UTF-8");
    cbor("a1 646e616d65 7f 01 ff", "!part that is none");
    cbor("a1 646e616d65 1c", "!reserved length");
    cbor("a1 646e616d65 ff", "!unexpected break");
    cbor("a1 646e616d65 f8 20", "!unknown simple value");
    cbor("a1 626174 c1 61 78", "!no number of seconds");
    cbor("a1 656279746573 64 41503848", "!a blob");
    cbor(&format!("a1 61 78 {} 00", "81".repeat(limits::NESTING_MAX + 1)), "!nested too deeply");
    cbor(&format!("a1 61 78 {} 00", "c2".repeat(limits::NESTING_MAX + 1)), "!nested too deeply");
}
