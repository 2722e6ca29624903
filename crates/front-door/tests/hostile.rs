//! Random and mutated requests: the front door neither panics nor lets one in, and every answer is
//! an error that the caller's protocol can read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::atomic::Ordering;

use outport_front_door::FrontDoor;
use support::{Answer, Chance, Sent, door};

/// Good requests to start from, by their number.
fn good(number: usize) -> Sent {
    const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
    match number % 7 {
        0 => Sent::ecs("ListClusters", r#"{"maxResults":5,"nextToken":"token"}"#).signed("ecs"),
        1 => Sent::form(IDENTITY).signed("sts"),
        2 => Sent::form("Action=DescribeVpcs&Version=2016-11-15&VpcId.1=a").signed("ec2"),
        3 => Sent::cbor("ListClusters", &[0xa1, 0x61, b'a', 0x81, 0x01]).signed("monitoring"),
        4 => Sent::new("GET", &format!("/?{IDENTITY}")).presigned("sts", 600),
        5 => Sent::form("Action=ListClusters&Version=2010-08-01").signed("monitoring"),
        _ => Sent::ecs("ListClusters", r#"{"maxResults":1}"#)
            .header("content-encoding", "identity")
            .signed("ecs"),
    }
}

const NAMES: [&str; 12] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "smithy-protocol",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
    "x-amz-anything",
];

const VALUES: [&str; 14] = [
    "",
    "gzip",
    "100-continue",
    "rpc-v2-cbor",
    "UNSIGNED-PAYLOAD",
    "application/cbor",
    "application/x-amz-json-1.0",
    "application/x-amz-json-1.1; charset=utf-8",
    "application/x-www-form-urlencoded",
    "AmazonEC2ContainerServiceV20141113.ListClusters",
    "20260921T131320Z",
    "AWS4-HMAC-SHA256 Credential=test/20260921/us-east-1/ecs/aws4_request,SignedHeaders=host,Signature=0",
    "\u{e9}\u{1F980}",
    "..........,,,,====////%%%%",
];

const TARGETS: [&str; 9] = [
    "/",
    "//",
    "/%",
    "/service/GraniteServiceVersion20100801/operation/ListClusters",
    "/service//operation/",
    "/?Action=GetCallerIdentity&Version=2011-06-15",
    "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=%zz",
    "/?X-Amz-Algorithm=a&X-Amz-Credential=b/c/d/e/f&X-Amz-Signature=g&X-Amz-Date=20260921T131320Z&X-Amz-SignedHeaders=host",
    "*",
];

fn mutate_bytes(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(bytes.len());
    match chance.below(5) {
        0 if !bytes.is_empty() => bytes[at] = chance.byte(),
        1 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
        2 if !bytes.is_empty() => {
            bytes.remove(at);
        }
        3 => bytes.truncate(at),
        _ => bytes.insert(at, chance.byte()),
    }
}

fn mutate_text(text: &mut String, chance: &mut Chance) {
    let mut bytes = std::mem::take(text).into_bytes();
    mutate_bytes(&mut bytes, chance);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

fn mutate(sent: &mut Sent, chance: &mut Chance) {
    let at = chance.below(sent.headers.len());
    match chance.below(11) {
        0 => mutate_bytes(&mut sent.body, chance),
        1 => mutate_text(&mut sent.path, chance),
        2 => mutate_text(&mut sent.query, chance),
        3 => mutate_text(&mut sent.method, chance),
        4 if !sent.headers.is_empty() => mutate_bytes(&mut sent.headers[at].1, chance),
        5 if !sent.headers.is_empty() => {
            sent.headers.remove(at);
        }
        6 if !sent.headers.is_empty() => {
            let twice = sent.headers[at].clone();
            sent.headers.push(twice);
        }
        7 => {
            let value = chance.pick(&VALUES).as_bytes().to_vec();
            sent.headers.push((chance.pick(&NAMES).to_owned(), value));
        }
        8 => {
            let target = Sent::new("GET", chance.pick(&TARGETS));
            (sent.path, sent.query) = (target.path, target.query);
        }
        9 => sent.method = chance.pick(&["GET", "POST", "PUT", "HEAD", "OPTIONS", "X"]).to_owned(),
        _ => sent.body = (0..chance.below(200)).map(|_| chance.byte()).collect(),
    }
}

/// A request without any sense.
fn random(chance: &mut Chance) -> Sent {
    let mut sent = Sent::new(chance.pick(&["GET", "POST", "PUT"]), chance.pick(&TARGETS));
    for _ in 0..chance.below(6) {
        let value = chance.pick(&VALUES).as_bytes().to_vec();
        sent.headers.push((chance.pick(&NAMES).to_owned(), value));
    }
    sent.body = (0..chance.below(300)).map(|_| chance.byte()).collect();
    sent
}

/// Sends a request, if it is one, and checks the answer.
async fn check(door: &FrontDoor, sent: &Sent) -> Option<Answer> {
    let request = sent.to_http()?;
    let answer = Answer::read(door.answer(request, support::peer()).await).await;
    assert!((200..600).contains(&answer.status), "{sent:?}");
    assert_ne!(answer.status, 500, "{sent:?}\n{}", answer.text());
    assert!(answer.headers.contains_key("x-amzn-requestid"), "{sent:?}");
    if sent.method != "HEAD" {
        let code = answer.code();
        assert_eq!(code.is_some(), answer.status >= 400, "{sent:?}\n{}", answer.text());
        if answer.status >= 400 {
            answer.message();
        }
    }
    let is_speaker = |name: &str, value: &str| {
        let first = sent.headers.iter().find(|(each, _)| each == name);
        first.is_some_and(|(_, found)| found == value.as_bytes())
    };
    if is_speaker("smithy-protocol", "rpc-v2-cbor") {
        assert_eq!(answer.content_type, "application/cbor", "{sent:?}");
    } else if is_speaker("content-type", "application/x-amz-json-1.1") {
        assert_eq!(answer.content_type, "application/x-amz-json-1.1", "{sent:?}");
    }
    Some(answer)
}

#[tokio::test]
async fn random_requests() {
    let (door, calls) = door();
    let mut answered = 0;
    for seed in 0..6_000 {
        let sent = random(&mut Chance::of(seed));
        if let Some(answer) = check(&door, &sent).await {
            assert!(answer.status >= 400, "{sent:?}");
            answered += 1;
        }
    }
    assert!(answered > 4_500, "{answered}");
    assert_eq!(calls.load(Ordering::SeqCst), 0, "a service was asked by a stranger");
}

#[tokio::test]
async fn mutated_requests() {
    let (door, _) = door();
    let (mut answered, mut passed) = (0, 0);
    for seed in 0..8_000_u64 {
        let mut chance = Chance::of(seed);
        let original = good(usize::try_from(seed).unwrap());
        let mut sent = original.clone();
        for _ in 0..=chance.below(3) {
            mutate(&mut sent, &mut chance);
        }
        let Some(answer) = check(&door, &sent).await else { continue };
        answered += 1;
        if answer.status < 400 {
            passed += 1;
            assert_eq!(sent.body, original.body, "{sent:?}");
            assert_eq!(sent.method, original.method, "{sent:?}");
        }
    }
    assert!(answered > 5_000, "{answered}");
    // Only a change of what nobody reads passes, such as an added header that need not be signed.
    assert!(passed < answered / 10, "{passed} of {answered}");
}

/// Bodies that are signed by the key's owner, and hostile all the same.
#[tokio::test]
async fn signed_requests_with_mutated_bodies() {
    let (door, _) = door();
    let json = r#"{"nextToken":"a","maxResults":5,"include":[{"a":[1,2.5e3,null,true]},"\u00e9"]}"#;
    let form =
        "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=a&Filter.1.Value.1=b&VpcId.2=c";
    let cbor = [
        0xbf, 0x61, b'a', 0x9f, 0x01, 0xf9, 0x3c, 0x00, 0xff, 0x61, b'b', 0xc1, 0xfb, 0x41, 0xd9,
        0x2b, 0x18, 0x29, 0x00, 0x00, 0x00, 0x61, b'c', 0x5f, 0x41, 0x00, 0xff, 0xff,
    ];
    for seed in 0..6_000_u64 {
        let mut chance = Chance::of(seed);
        let (mut body, kind) = match seed % 3 {
            0 => (json.as_bytes().to_vec(), 0),
            1 => (form.as_bytes().to_vec(), 1),
            _ => (cbor.to_vec(), 2),
        };
        for _ in 0..=chance.below(6) {
            mutate_bytes(&mut body, &mut chance);
        }
        let sent = match kind {
            0 => Sent::ecs("ListClusters", "").body(&body).signed("ecs"),
            1 => Sent::form("").body(&body).signed("ec2"),
            _ => Sent::cbor("ListClusters", &body).signed("monitoring"),
        };
        check(&door, &sent).await.expect("the request is HTTP");
    }
}
