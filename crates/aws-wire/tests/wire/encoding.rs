//! What answers look like.

use outport_aws_wire::{AuditWriter, Place, Protocol, Reply, Request, Timestamp, write_structure};

use crate::sample::{SERVICE, Sample, full};

fn reply(protocol: Protocol, output: &Sample) -> Reply {
    Request { service: &SERVICE, protocol, operation: "Call", body: b"", request_id: "id-1" }
        .success(output)
}

fn check(protocol: Protocol, output: &Sample, content_type: &str, body: &str) {
    let reply = reply(protocol, output);
    assert_eq!(reply.status, 200);
    assert_eq!(String::from_utf8(reply.body).unwrap(), body);
    assert_eq!(reply.headers[0], ("content-type", content_type.to_owned()));
    assert_eq!(reply.headers[1], ("x-amzn-RequestId", "id-1".to_owned()));
}

#[test]
fn json_is_written_as_aws_writes_it() {
    check(
        Protocol::Json11,
        &full(),
        "application/x-amz-json-1.1",
        "{\"name\":\"näme \\\"\\\\\\u0001\\r\\n\\t\u{2028}\",\"count\":-5,\"big\":-9223372036854775808,\"ratio\":0.1,\
         \"flag\":false,\"at\":1767323045.678,\"bytes\":\"AP8H\",\"colour\":\"deep-blue\",\"size\":\"m\",\
         \"names\":[\"b\",\"\",\"a\"],\"tags\":{\"a&b\":\"<c>\",\"empty\":\"\"},\"children\":[{},{\"count\":1}],\
         \"child\":{\"names\":[]},\"secret\":\"hunter2\"}",
    );
    let numbers = Sample {
        ratio: Some(2.0),
        at: Some(Timestamp::from_millis(1_700_000_000_000)),
        ..Sample::default()
    };
    check(
        Protocol::Json10,
        &numbers,
        "application/x-amz-json-1.0",
        "{\"ratio\":2.0,\"at\":1700000000}",
    );
}

#[test]
fn query_xml_is_written_as_aws_writes_it() {
    check(
        Protocol::Query,
        &full(),
        "text/xml",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CallResponse xmlns=\"https://example.com/\"><CallResult>\
         <name>näme &quot;\\\u{fffd}&#xD;\n\t&#x2028;</name><count>-5</count><big>-9223372036854775808</big>\
         <ratio>0.1</ratio><flag>false</flag><at>2026-01-02T03:04:05.678Z</at><bytes>AP8H</bytes>\
         <colour>deep-blue</colour><size>m</size><names><member>b</member><member></member><member>a</member></names>\
         <tags><entry><key>a&amp;b</key><value>&lt;c&gt;</value></entry><entry><key>empty</key><value></value></entry>\
         </tags><children><member></member><member><count>1</count></member></children><child><names></names></child>\
         <secret>hunter2</secret></CallResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata>\
         </CallResponse>",
    );
}

#[test]
fn ec2_xml_is_written_as_aws_writes_it() {
    let output =
        Sample { flag: Some(true), names: Some(vec!["x".to_owned()]), ..Sample::default() };
    check(
        Protocol::Ec2,
        &output,
        "text/xml;charset=UTF-8",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CallResponse xmlns=\"https://example.com/\">\
         <requestId>id-1</requestId><flag>true</flag><names><member>x</member></names></CallResponse>",
    );
}

#[test]
fn cbor_is_written_as_aws_writes_it() {
    let output = Sample {
        count: Some(-1),
        ratio: Some(1.0),
        at: Some(Timestamp::from_millis(1500)),
        names: Some(Vec::new()),
        ..Sample::default()
    };
    let reply = reply(Protocol::Cbor, &output);
    let expected = [
        &[0xbf, 0x65][..],
        b"count",
        &[0x20, 0x65],
        b"ratio",
        &[0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x62],
        b"at",
        &[0xc1, 0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0x65],
        b"names",
        &[0x9f, 0xff, 0xff],
    ]
    .concat();
    assert_eq!(reply.body, expected);
    assert!(reply.headers.contains(&("smithy-protocol", "rpc-v2-cbor".to_owned())));
}

#[test]
fn debug_hides_what_is_sensitive() {
    let sample = Sample {
        names: Some(vec!["x".to_owned()]),
        child: Some(Box::new(Sample { secret: Some("hunter2".to_owned()), ..Sample::default() })),
        ..Sample::default()
    };
    assert_eq!(
        format!("{sample:?}"),
        "Sample { names: [\"x\"], child: { secret: \"[sensitive]\" } }"
    );
    assert_eq!(format!("{:?}", Sample::default()), "Sample { }");
}

#[test]
fn an_audit_trail_keeps_all_but_what_is_sensitive() {
    let secret = || Sample { secret: Some("hunter2".to_owned()), ..Sample::default() };
    let sample = Sample {
        names: Some(vec!["x\"".to_owned()]),
        tags: Some([("Key".to_owned(), "v".to_owned())].into()),
        at: Some(Timestamp::from_millis(1_500)),
        children: Some(vec![secret(), Sample::default()]),
        child: Some(Box::new(secret())),
        count: Some(3),
        ..Sample::default()
    };
    let mut writer = AuditWriter::default();
    write_structure(&sample, Place::Root, &mut writer);
    assert_eq!(
        writer.into_text(),
        r#"{"count":3,"at":"1970-01-01T00:00:01.500Z","names":["x\""],"tags":{"Key":"v"},"children":[{"secret":"HIDDEN_DUE_TO_SECURITY_REASONS"},{}],"child":{"secret":"HIDDEN_DUE_TO_SECURITY_REASONS"}}"#
    );
}
