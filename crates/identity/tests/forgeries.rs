//! Signed requests with something changed: none may pass.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod forgery;

use forgery::{CLASSES, NOW_MS, Request, forged, good, means_the_same, signer};
use outport_identity::SignatureError;
use outport_identity::sigv4::{SKEW_MAX_MS, Signer, sha256_hex};

#[test]
fn the_unchanged_requests_pass() {
    assert_eq!(Request::signed(&signer()).verify_at(NOW_MS), Ok(()));
    assert_eq!(Request::presigned(&signer(), 60).verify_at(NOW_MS), Ok(()));
}

/// Every byte of every part, replaced by one byte of each class; and removed; and doubled.
#[test]
fn no_request_with_a_changed_byte_passes() {
    let mut tried = 0;
    let mut try_bytes = |request: &Request, bytes: &[u8], put: &dyn Fn(&mut Request, Vec<u8>)| {
        for at in 0..bytes.len() {
            let mut variants = vec![[&bytes[..at], &bytes[at + 1..]].concat()];
            variants.push([&bytes[..=at], &bytes[at..]].concat());
            for class in CLASSES {
                let mut variant = bytes.to_vec();
                variant[at] = class;
                variants.push(variant);
            }
            for variant in variants.into_iter().filter(|variant| variant != bytes) {
                let mut changed = request.clone();
                put(&mut changed, variant);
                tried += 1;
                if changed.verify_at(NOW_MS).is_ok() {
                    assert!(means_the_same(request, &changed), "passed: {changed:?}");
                }
            }
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for request in [Request::signed(&signer()), Request::presigned(&signer(), 60)] {
        let whole = request.clone();
        try_bytes(&whole, whole.method.as_bytes(), &|changed, bytes| changed.method = text(bytes));
        try_bytes(&whole, whole.path.as_bytes(), &|changed, bytes| changed.path = text(bytes));
        try_bytes(&whole, whole.query.as_bytes(), &|changed, bytes| changed.query = text(bytes));
        try_bytes(&whole, &whole.body, &|changed, bytes| changed.body = bytes);
        for at in 0..whole.headers.len() {
            try_bytes(&whole, &whole.headers[at].1, &|changed, bytes| {
                changed.headers[at].1 = bytes;
            });
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn no_request_out_of_its_time_passes() {
    fn check(request: &Request, offset_ms: i64, expected: &str) {
        let outcome = match request.verify_at(NOW_MS + offset_ms) {
            Ok(()) => "passes",
            Err(SignatureError::Expired { .. }) => "expired",
            Err(SignatureError::NotYetCurrent { .. }) => "not yet",
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(outcome, expected, "{offset_ms}");
    }
    let signed = Request::signed(&signer());
    for (offset_ms, expected) in [
        (SKEW_MAX_MS, "passes"),
        (SKEW_MAX_MS + 1000, "expired"),
        (-SKEW_MAX_MS, "passes"),
        (-SKEW_MAX_MS - 1000, "not yet"),
        (i64::MAX - NOW_MS, "expired"),
        (-NOW_MS, "not yet"),
    ] {
        check(&signed, offset_ms, expected);
    }
    let presigned = Request::presigned(&signer(), 604_800);
    check(&presigned, 604_800_000, "passes");
    check(&presigned, 604_801_000, "expired");
    check(&Request::presigned(&signer(), 1), 2_000, "expired");
    for expires_seconds in [0, 604_801] {
        let request = Request::presigned(&signer(), expires_seconds);
        assert_eq!(request.verify_at(NOW_MS), Err(SignatureError::ExpiresOutOfRange));
    }
}

#[test]
fn no_other_scope_passes() {
    fn check(change: impl FnOnce(&mut Signer), expected: &str) {
        let mut other = signer();
        change(&mut other);
        let outcome = Request::signed(&other).verify_at(NOW_MS);
        assert_eq!(outcome, Err(SignatureError::Scope(expected.to_owned())));
    }
    check(
        |signer| signer.region = "eu-west-1".into(),
        "Credential should be scoped to a valid region, not 'eu-west-1'. This Outport serves us-east-1.",
    );
    check(
        |signer| signer.service = "iam".into(),
        "Credential should be scoped to correct service: 'ecs'.",
    );

    let mut request = Request::signed(&signer());
    request.edit_authorization("20150830/us-east-1/ecs/aws4_request", "a/b/c/d");
    assert_eq!(
        request.verify_at(NOW_MS),
        Err(SignatureError::Scope(
            "Credential should be scoped to a valid region, not 'b'. This Outport serves \
             us-east-1. Credential should be scoped to correct service: 'ecs'. Credential should be scoped with a valid terminator: \
             'aws4_request', not 'd'. Date in Credential scope does not match YYYYMMDD from \
             ISO-8601 version of date from HTTP: 'a' != '20150830', from '20150830T123600Z'."
                .to_owned()
        ))
    );
}

#[test]
fn no_header_that_matters_may_be_added_or_left_unsigned() {
    fn check(change: impl FnOnce(&mut Request)) -> SignatureError {
        let mut request = Request::signed(&signer());
        change(&mut request);
        request.verify_at(NOW_MS).expect_err("a forgery passed")
    }
    let add = |name: &str, value: &str| {
        let header = (name.to_owned(), value.as_bytes().to_vec());
        check(|request| request.headers.push(header))
    };
    assert_eq!(add("X-Amz-Meta", "x"), SignatureError::HeaderNotSigned("x-amz-meta".to_owned()));
    assert_eq!(add("Host", "127.0.0.1:4566"), SignatureError::HeaderMismatch("host".to_owned()));
    assert_eq!(add("X-Amz-Target", "Other.Operation"), SignatureError::Mismatch);
    assert_eq!(add("Content-Type", "text/plain"), SignatureError::Mismatch);
    assert!(matches!(add("X-Amz-Date", "20150830T123600Z"), SignatureError::Incomplete(_)));
    assert!(matches!(add("Authorization", "Basic QQ=="), SignatureError::Incomplete(_)));
    assert_eq!(add("X-Amz-Security-Token", "other"), SignatureError::UnknownAccessKey);
    assert!(matches!(
        add("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        SignatureError::HeaderNotSigned(_)
    ));

    let drop =
        |name: &'static str| check(|request| request.headers.retain(|(each, _)| each != name));
    for name in ["host", "content-type", "x-amz-target"] {
        assert_eq!(drop(name), SignatureError::HeaderMismatch(name.to_owned()));
    }
    assert!(matches!(drop("x-amz-date"), SignatureError::Incomplete(_)));
    assert_eq!(drop("authorization"), SignatureError::MissingAuthenticationToken);

    let sign_less = |list: &'static str| {
        check(|request| {
            let all = "SignedHeaders=content-type;host;x-amz-date;x-amz-target";
            request.edit_authorization(all, &format!("SignedHeaders={list}"));
        })
    };
    for (list, name) in [
        ("content-type;x-amz-date;x-amz-target", "host"),
        ("content-type;host;x-amz-target", "x-amz-date"),
        ("host;x-amz-date", "x-amz-target"),
    ] {
        assert_eq!(sign_less(list), SignatureError::HeaderNotSigned(name.to_owned()));
    }
    assert_eq!(sign_less("host;x-amz-date;x-amz-target"), SignatureError::Mismatch);
    assert!(matches!(
        sign_less("host;host;x-amz-date;x-amz-target"),
        SignatureError::Incomplete(_)
    ));
}

#[test]
fn a_body_hash_must_be_the_hash_of_the_body() {
    fn check(claimed: &str) -> Result<(), SignatureError> {
        let mut request = Request::plain();
        request.headers.push(("x-amz-content-sha256".to_owned(), claimed.as_bytes().to_vec()));
        let added = request.with_head(|head| signer().sign(head, &request.body, NOW_MS)).unwrap();
        for (name, value) in added {
            request.headers.push((name.to_owned(), value.into_bytes()));
        }
        request.verify_at(NOW_MS)
    }
    assert_eq!(check(&sha256_hex(&Request::plain().body)), Ok(()));
    assert_eq!(check(&sha256_hex(b"other")), Err(SignatureError::ContentHashMismatch));
    assert_eq!(check(""), Err(SignatureError::ContentHashMismatch));
    for kind in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
        assert_eq!(check(kind), Err(SignatureError::PayloadUnsupported(kind.to_owned())));
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    fn check(authorization: &str, expected: &str) {
        let mut request = Request::signed(&signer());
        *request.header_mut("authorization") = authorization.as_bytes().to_vec();
        match request.verify_at(NOW_MS) {
            Err(SignatureError::Incomplete(text)) => {
                assert!(text.starts_with(expected), "{text}");
                // Nothing that is shown repeats the header.
                assert!(!text.contains("f00f"), "{text}");
            }
            other => panic!("{authorization}: {other:?}"),
        }
    }
    check(
        "AWS4-HMAC-SHA256",
        "Authorization header requires 'Credential' parameter. Authorization header requires \
         'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. (Hashed",
    );
    check("AWS4-HMAC-SHA256 Credential", "Invalid key=value pair (missing equal-sign)");
    check(
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=f00f",
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got 'a/b'",
    );
    check(
        "AWS4-HMAC-SHA512 Credential=a/b/c/d/e,SignedHeaders=host,Signature=f00f",
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256",
    );
    check(
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host,Signature=f00f,Signature=a",
        "Authorization header has a parameter twice.",
    );
}

#[test]
fn both_forms_at_once_are_refused() {
    let mut request = Request::signed(&signer());
    request.query = Request::presigned(&signer(), 60).query;
    assert_eq!(request.verify_at(NOW_MS), Err(SignatureError::TwoForms));
}

/// The campaign of the same name goes on for minutes: `cargo xtask campaign signatures`.
#[test]
fn no_request_with_random_changes_passes() {
    let good = good();
    assert!(good.iter().all(|request| request.verify_at(NOW_MS).is_ok()));
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap() % end
    };
    let mut tried = 0;
    for _ in 0..30_000 {
        if let Some(request) = forged(&good, &mut below) {
            tried += 1;
            assert!(request.verify_at(NOW_MS).is_err(), "passed: {request:?}");
        }
    }
    assert!(tried > 25_000, "{tried}");
}
