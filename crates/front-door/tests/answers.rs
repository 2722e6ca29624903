//! What each kind of request is answered, in each protocol.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use outport_front_door::Limits;
use support::{Answer, NOW_MS, Sent, builder, builder_and_behind, door, peer, signer};

/// Expects a status and an error code; `""` stands for a good answer.
async fn check(sent: Sent, status: u16, code: &str) -> Answer {
    let (door, calls) = door();
    let answer = sent.answer(&door).await;
    let found = answer.code().unwrap_or_default();
    assert_eq!((answer.status, found.as_str()), (status, code), "{sent:?}\n{}", answer.text());
    assert!(answer.headers.contains_key("x-amzn-requestid"));
    if (400..500).contains(&status) && code != "AccessDeniedException" {
        assert_eq!(calls.load(Ordering::SeqCst), 0, "the service was asked");
    }
    answer
}

const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn good_requests_of_every_protocol() {
    let answer = check(Sent::ecs("ListClusters", "{}").signed("ecs"), 200, "").await;
    assert_eq!(answer.content_type, "application/x-amz-json-1.1");
    assert_eq!(answer.text(), r#"{"clusterArns":["arn:aws:iam::000000000000:root"]}"#);

    let answer = check(Sent::form(IDENTITY).signed("sts"), 200, "").await;
    assert_eq!(answer.content_type, "text/xml");
    assert!(answer.text().contains("<Arn>arn:aws:iam::000000000000:root</Arn>"));

    let vpcs = "Action=DescribeVpcs&Version=2016-11-15";
    let answer = check(Sent::form(vpcs).signed("ec2"), 200, "").await;
    assert_eq!(answer.content_type, "text/xml;charset=UTF-8");

    let answer = check(Sent::cbor("ListClusters", &[0xa0]).signed("monitoring"), 200, "").await;
    assert_eq!(answer.content_type, "application/cbor");
    assert_eq!(answer.headers["smithy-protocol"], "rpc-v2-cbor");

    let json_1_0 = Sent::new("POST", "/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "GraniteServiceVersion20100801.ListClusters")
        .body(b"");
    let answer = check(json_1_0.signed("monitoring"), 200, "").await;
    assert_eq!(answer.content_type, "application/x-amz-json-1.0");

    let query = Sent::form("Action=ListClusters&Version=2010-08-01");
    check(query.signed("monitoring"), 200, "").await;
}

#[tokio::test]
async fn good_requests_in_other_clothes() {
    let get = format!("/?{IDENTITY}");
    check(Sent::new("GET", &get).signed("sts"), 200, "").await;
    check(Sent::new("GET", &get).presigned("sts", 60), 200, "").await;
    check(Sent::new("POST", &get).presigned("sts", 60), 200, "").await;
    check(Sent::form(IDENTITY).presigned("sts", 604_800), 200, "").await;
    // An older EC2 client.
    let older = "Action=DescribeVpcs&Version=2013-10-15";
    check(Sent::form(older).signed("ec2"), 200, "").await;
    // The global endpoint's region for a service that is the same everywhere.
    let sent = Sent::ecs("ListClusters", "{}").header("x-amz-user-agent", "browser");
    check(sent.signed("ecs"), 200, "").await;
}

#[tokio::test]
async fn who_did_not_sign() {
    let code = "MissingAuthenticationTokenException";
    check(Sent::ecs("ListClusters", "{}"), 400, code).await;
    check(Sent::cbor("ListClusters", &[0xa0]), 400, code).await;
    let answer = check(Sent::form(IDENTITY), 403, "MissingAuthenticationToken").await;
    assert_eq!(answer.message(), "Request is missing Authentication Token");
    check(Sent::new("GET", &format!("/?{IDENTITY}")), 403, "MissingAuthenticationToken").await;
    let vpcs = "Action=DescribeVpcs&Version=2016-11-15";
    let answer = check(Sent::form(vpcs), 400, "MissingParameter").await;
    assert_eq!(answer.message(), "The request must contain the parameter AWSAccessKeyId");
    check(Sent::form("Action=Nothing"), 403, "MissingAuthenticationToken").await;
    check(Sent::new("GET", "/"), 403, "MissingAuthenticationToken").await;
    check(Sent::new("PUT", "/bucket/key").body(b"x"), 403, "MissingAuthenticationToken").await;
    let basic = Sent::ecs("ListClusters", "{}").header("authorization", "Basic dGVzdDp0ZXN0");
    check(basic, 400, code).await;
    let not_built = "Action=AssumeRoleWithSAML&Version=2011-06-15";
    check(Sent::form(not_built), 501, "NotImplemented").await;
}

/// In the body or in the query, by nobody.
#[tokio::test]
async fn what_aws_takes_unsigned_is_performed_as_nobodys() {
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
        &RoleArn=arn:aws:iam::000000000000:role/app&RoleSessionName=s&WebIdentityToken=abcd";
    for sent in [Sent::form(form), Sent::new("GET", &format!("/?{form}"))] {
        let (door, calls) = door();
        let answer = sent.answer(&door).await;
        assert_eq!((answer.status, calls.load(Ordering::SeqCst)), (200, 1));
        assert!(answer.text().contains("<Provider>anonymous</Provider>"), "{}", answer.text());
    }
}

#[tokio::test]
async fn who_signed_wrongly() {
    let list = || Sent::ecs("ListClusters", "{}");

    let mut stranger = signer("ecs");
    stranger.access_key_id = outport_identity::AccessKeyId::new("AKIASTRANGER");
    let answer =
        check(list().signed_by(&stranger, NOW_MS), 400, "UnrecognizedClientException").await;
    assert_eq!(answer.message(), "The security token included in the request is invalid.");

    let mut forger = signer("ecs");
    forger.secret_access_key = outport_identity::SecretAccessKey::new("guess");
    let answer = check(list().signed_by(&forger, NOW_MS), 400, "InvalidSignatureException").await;
    assert!(answer.message().starts_with("The request signature we calculated does not match"));

    let mut session = signer("ecs");
    session.session_token = Some("token".to_owned());
    check(list().signed_by(&session, NOW_MS), 400, "UnrecognizedClientException").await;

    let late = NOW_MS + 16 * 60 * 1000;
    let answer = check(list().signed_by(&signer("ecs"), late), 400, "InvalidSignatureException");
    assert!(answer.await.message().starts_with("Signature not yet current: "));

    // Scope and target disagree.
    let answer = check(list().signed("iam"), 400, "InvalidSignatureException").await;
    assert_eq!(answer.message(), "Credential should be scoped to correct service: 'ecs'.");
    let mut elsewhere = signer("ecs");
    elsewhere.region = "eu-west-1".to_owned();
    let answer =
        check(list().signed_by(&elsewhere, NOW_MS), 400, "InvalidSignatureException").await;
    assert_eq!(
        answer.message(),
        "Credential should be scoped to a valid region, not 'eu-west-1'. This Outport serves us-east-1."
    );

    let mut sent = list().signed("ecs");
    sent.body = br#"{"maxResults":1}"#.to_vec();
    check(sent, 400, "InvalidSignatureException").await;

    let both = Sent::form(IDENTITY).presigned("sts", 60).signed("sts");
    check(both, 403, "SignatureDoesNotMatch").await;
    let cut = list().header("authorization", "AWS4-HMAC-SHA256 Credential=a");
    check(cut, 400, "IncompleteSignatureException").await;

    let mut forger = signer("sts");
    forger.secret_access_key = outport_identity::SecretAccessKey::new("guess");
    check(Sent::form(IDENTITY).signed_by(&forger, NOW_MS), 403, "SignatureDoesNotMatch").await;
    forger.service = "ec2".to_owned();
    let vpcs = "Action=DescribeVpcs&Version=2016-11-15";
    check(Sent::form(vpcs).signed_by(&forger, NOW_MS), 401, "AuthFailure").await;
    forger.service = "monitoring".to_owned();
    let cbor = Sent::cbor("ListClusters", &[0xa0]).signed_by(&forger, NOW_MS);
    check(cbor, 400, "InvalidSignatureException").await;
}

#[tokio::test]
async fn what_is_not_there() {
    check(Sent::ecs("MakeCoffee", "{}").signed("ecs"), 400, "UnknownOperationException").await;
    check(Sent::ecs("", "{}").signed("ecs"), 400, "UnknownOperationException").await;
    check(Sent::ecs("CreateTaskSet", "{}").signed("ecs"), 501, "NotImplemented").await;
    let coffee = "Action=MakeCoffee&Version=2011-06-15";
    check(Sent::form(coffee).signed("sts"), 400, "InvalidAction").await;
    let unversioned = "Action=GetCallerIdentity";
    let answer = check(Sent::form(unversioned).signed("sts"), 400, "InvalidAction").await;
    assert!(answer.message().contains("NO_VERSION_SPECIFIED"));
    check(Sent::form("Version=2011-06-15").signed("sts"), 400, "MissingAction").await;

    let other = Sent::new("POST", "/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.ListTables")
        .body(b"{}");
    // The name in the signature's scope says more than the prefix on the wire.
    let answer = check(other.clone().signed("dynamodb"), 501, "NotImplemented").await;
    assert!(answer.message().contains("'dynamodb'"));
    let answer = check(other, 501, "NotImplemented").await;
    assert!(answer.message().contains("'DynamoDB_20120810'"));
    let scaling = Sent::new("POST", "/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "AnyScaleFrontendService.DescribeScalableTargets")
        .body(b"{}");
    let answer = check(scaling.signed("application-autoscaling"), 501, "NotImplemented").await;
    assert!(answer.message().contains("'application-autoscaling'"));
    let mut cbor = Sent::cbor("ListKeys", &[0xa0]);
    cbor.path = "/service/TrentService/operation/ListKeys".to_owned();
    let answer = check(cbor.signed("kms"), 501, "NotImplemented").await;
    assert!(answer.message().contains("'kms'"));
    check(Sent::new("GET", "/bucket").signed("s3"), 501, "NotImplemented").await;
    let lambda = Sent::new("GET", "/2015-03-31/functions/").signed("lambda");
    let answer = check(lambda, 501, "NotImplemented").await;
    assert_eq!(answer.headers["x-amzn-errortype"], "NotImplemented");
    let sns = Sent::form("Action=ListTopics&Version=2010-03-31").signed("sns");
    assert_eq!(check(sns, 501, "NotImplemented").await.content_type, "text/xml");
    let cbor = Sent::cbor("MakeCoffee", &[0xa0]).signed("monitoring");
    check(cbor, 400, "UnknownOperationException").await;
}

#[tokio::test]
async fn signs_that_disagree() {
    let cbor = Sent::cbor("ListClusters", &[0xa0]);
    let both = cbor.clone().header("x-amz-target", "GraniteServiceVersion20100801.ListClusters");
    check(both.signed("monitoring"), 400, "SerializationException").await;
    let mut elsewhere = cbor.clone();
    elsewhere.path = "/".to_owned();
    check(elsewhere.signed("monitoring"), 400, "UnknownOperationException").await;
    let twice = Sent::ecs("ListClusters", "{}").header("X-Amz-Target", "Other.ListClusters");
    check(twice.signed("ecs"), 400, "SerializationException").await;
    let twice = Sent::form("Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15");
    check(twice.signed("sts"), 400, "MalformedInput").await;
    let mut both = Sent::form(IDENTITY);
    both.query = "Action=GetCallerIdentity".to_owned();
    check(both.signed("sts"), 400, "MalformedInput").await;
    let get = Sent::new("GET", "/").body(IDENTITY.as_bytes());
    check(get.signed("sts"), 400, "MalformedInput").await;
    let mut get = Sent::ecs("ListClusters", "{}");
    get.method = "GET".to_owned();
    check(get.signed("ecs"), 400, "UnknownOperationException").await;
    check(Sent::new("POST", "/").signed("ecs"), 400, "UnknownOperationException").await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    for body in ["{", "[]", "\"text\"", "{\"a\":}", "\u{feff}{}", "{\"maxResults\":\"x\"}"] {
        let answer = check_any(Sent::ecs("ListClusters", body).signed("ecs")).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.code().unwrap(), "SerializationException", "{body}");
    }
    let cbor = Sent::cbor("ListClusters", &[0x9f]).signed("monitoring");
    check(cbor, 400, "SerializationException").await;
    let deep = "[".repeat(100_000);
    assert_eq!(check_any(Sent::ecs("ListClusters", &deep).signed("ecs")).await.status, 400);
    let big = format!("{{\"nextToken\":\"{}\"}}", "x".repeat(1024 * 1024));
    check(Sent::ecs("ListClusters", &big).signed("ecs"), 413, "RequestEntityTooLargeException")
        .await;
    let big = format!("{IDENTITY}&x={}", "x".repeat(1024 * 1024));
    check(Sent::form(&big).signed("sts"), 413, "RequestEntityTooLarge").await;
    check(Sent::form(&big), 413, "RequestEntityTooLarge").await;
}

async fn check_any(sent: Sent) -> Answer {
    let (door, _) = door();
    sent.answer(&door).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_bodies() {
    let sent = |body: &[u8], encoding: &str| {
        Sent::ecs("ListClusters", "").body(body).header("content-encoding", encoding).signed("ecs")
    };
    let answer = check(sent(&gzip(br#"{"nextToken":"a"}"#), "gzip"), 200, "").await;
    assert!(answer.text().contains(r#""nextToken":"a""#));
    check(sent(b"{}", "identity"), 200, "").await;
    check(sent(b"{}", "gzip"), 400, "SerializationException").await;
    check(sent(b"{}", "br"), 400, "SerializationException").await;
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    check(sent(&bomb, "gzip"), 413, "RequestEntityTooLargeException").await;
}

#[tokio::test]
async fn faults_say_nothing_of_the_inside() {
    for (operation, code, status) in [
        ("DescribeClusters", "InternalFailure", 500),
        ("DeleteCluster", "InternalFailure", 500),
        ("StopTask", "InternalFailure", 500),
    ] {
        let answer = check(Sent::ecs(operation, "{}").signed("ecs"), status, code).await;
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    let answer =
        check(Sent::ecs("CreateCluster", "{}").signed("ecs"), 400, "AccessDeniedException").await;
    assert_eq!(
        answer.message(),
        "User: arn:aws:iam::000000000000:root is not authorized to perform: ecs:CreateCluster on \
         resource: arn:aws:ecs:us-east-1:999999999999:cluster/other because no resource-based \
         policy allows the ecs:CreateCluster action"
    );
}

#[tokio::test]
async fn reserved_paths_are_their_own_affair() {
    let router = axum::Router::new()
        .route("/", axum::routing::get(async || "greeting"))
        .route("/v2/", axum::routing::get(async || "registry"))
        .route("/_outport/health", axum::routing::get(async || "ready"))
        .route("/_outport/panic", axum::routing::get(async || -> &'static str { panic!("x") }));
    let (builder, _) = builder();
    let door = builder.reserved(router).build().unwrap();
    let get = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let response = door.answer(request.body("".into()).unwrap(), peer()).await;
        let status = response.status().as_u16();
        let length = response.headers().get("content-length").cloned();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), length)
    };
    assert_eq!(get("GET", "/v2/").await.1, "registry");
    assert_eq!(get("GET", "/_outport/health").await.1, "ready");
    let (status, body, length) = get("HEAD", "/_outport/health").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert_eq!(length.unwrap(), "5");
    assert_eq!(get("GET", "/v2/none").await.0, 404);
    assert_eq!(get("GET", "/_outport/panic").await.0, 500);
    assert_eq!(get("GET", "/v2x").await.0, 403);
}

/// A browser or curl. Clients of AWS that forgot to sign are told so.
#[tokio::test]
async fn who_only_looks_is_greeted() {
    let router = axum::Router::new().route("/", axum::routing::get(async || "greeting"));
    let (builder, _) = builder();
    let door = builder.reserved(router).build().unwrap();
    let status = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        door.answer(request.body("".into()).unwrap(), peer()).await.status().as_u16()
    };
    let curl = ("accept", "*/*");
    assert_eq!(status("GET", "/", &[curl]).await, 200);
    assert_eq!(status("HEAD", "/", &[("accept", "text/html,application/xml;q=0.9")]).await, 200);
    assert_eq!(status("GET", "/", &[]).await, 403);
    assert_eq!(status("GET", "/", &[("accept", "application/json")]).await, 403);
    assert_eq!(status("POST", "/", &[curl]).await, 403);
    let query = "/?Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!(status("GET", query, &[curl]).await, 403);
    let signed = [curl, ("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    assert_eq!(status("GET", "/", &signed).await, 400);
}

#[tokio::test]
async fn metrics_and_a_head_request() {
    let (builder, _) = builder();
    let (metrics, _recording) = support::recording::record();
    let door = builder.build().unwrap();
    Sent::ecs("ListClusters", "{}").signed("ecs").answer(&door).await;
    Sent::ecs("MakeCoffee", "{}").signed("ecs").answer(&door).await;
    let head = Sent::new("HEAD", &format!("/?{IDENTITY}")).signed("sts").answer(&door).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let text = metrics.render();
    for line in [
        r#"outport_requests_total{service="ecs",operation="",code="UnknownOperationException"} 1"#,
        r#"outport_requests_total{service="ecs",operation="ListClusters",code="200"} 1"#,
        r#"outport_requests_total{service="sts",operation="GetCallerIdentity",code="200"} 1"#,
        "outport_requests_in_flight 0",
    ] {
        assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn what_is_logged_for_an_operation_has_the_ids_of_its_request() {
    let (written, _logging) = support::written::log();
    let door = door().0;
    let answer = Sent::ecs("DescribeClusters", "{}").signed("ecs").answer(&door).await;
    assert_eq!(answer.status, 500);
    let lines = written.lines();
    for message in ["it panics now", "an operation panicked"] {
        let line = lines.iter().find(|line| line["fields"]["message"] == message);
        let span = &line.unwrap_or_else(|| panic!("{message} is not in {lines:?}"))["span"];
        assert_eq!(span["name"], "request");
        assert_eq!(span["request_id"], answer.headers["x-amzn-requestid"].to_str().unwrap());
        assert_eq!(span["service"], "ecs");
        assert_eq!(span["operation"], "DescribeClusters");
        assert_eq!(span["access_key_id"], "test");
        assert_eq!(span["account"], support::ACCOUNT);
        assert_eq!(span["peer"], peer().ip().to_string());
    }
}

#[tokio::test]
async fn an_operation_ends_even_when_its_client_goes_away() {
    let (builder, behind) = builder_and_behind();
    let door = builder.build().unwrap();
    let request = Sent::ecs("UpdateCluster", "{}").signed("ecs").to_http().unwrap();
    let mut answer = Box::pin(door.answer(request, peer()));
    // Let it begin, and hang up.
    while behind.calls.load(Ordering::SeqCst) == 0 {
        tokio::select! {
            biased;
            _ = &mut answer => panic!("the operation is held"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(answer);
    behind.held.add_permits(1);
    let ended = async {
        while behind.calls.load(Ordering::SeqCst) != 101 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the operation ends");
}

#[tokio::test]
async fn who_waits_too_long_for_a_turn_is_told_to_try_again() {
    let (builder, behind) = builder_and_behind();
    let limits =
        Limits { operations_max: 1, turn_timeout: Duration::from_millis(20), ..Limits::default() };
    let door = builder.limits(limits).build().unwrap();
    let request = Sent::ecs("UpdateCluster", "{}").signed("ecs").to_http().unwrap();
    let first_door = door.clone();
    let first = tokio::spawn(async move { first_door.answer(request, peer()).await });
    while behind.calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let second = Sent::ecs("ListClusters", "{}").signed("ecs").answer(&door).await;
    assert_eq!(
        (second.status, second.code().unwrap().as_str()),
        (503, "ServiceUnavailableException")
    );
    behind.held.add_permits(1);
    assert_eq!(first.await.unwrap().status(), 200);
    assert_eq!(Sent::ecs("ListClusters", "{}").signed("ecs").answer(&door).await.status, 200);
}
