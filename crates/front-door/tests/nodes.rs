//! The gate of the node link.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension};
use axum::routing::post;
use axum::{Router, body::Bytes};
use outport_front_door::{AuthenticatedNode, FrontDoor, NodeGate};
use outport_identity::node_signer;
use outport_identity::sigv4::sha256_hex;
use outport_model::NodeId;
use support::{NOW_MS, Sent, builder};

const NODE: &str = "0123456789abcdef0123456789abcdef";

fn door() -> FrontDoor {
    let handler = async |Extension(AuthenticatedNode(node)): Extension<AuthenticatedNode>,
                         body: Bytes| {
        format!("{node} said {} bytes", body.len())
    };
    let gate = NodeGate {
        join_token: Arc::from("join"),
        region: "us-east-1".to_owned(),
        clock: Arc::new(|| NOW_MS),
        body_bytes_max: 100_000,
    };
    let router = gate.guard(
        Router::new()
            .route("/_outport/node/report", post(handler))
            .layer(DefaultBodyLimit::max(200_000)),
    );
    builder().0.reserved(router).build().unwrap()
}

async fn check(sent: Sent, status: u16, text: &str) {
    let request = sent.to_http().unwrap();
    let response = door().answer(request, support::peer()).await;
    let found = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(found, status, "{body}");
    assert!(body.starts_with(text), "{body}");
}

#[tokio::test]
async fn only_nodes_with_the_join_token_pass() {
    let report = || Sent::new("POST", "/_outport/node/report").body(b"report");
    let signed = |token: &str, node: &str| {
        report().signed_by(&node_signer(token, &NodeId::new(node), "us-east-1"), NOW_MS)
    };
    check(signed("join", NODE), 200, &format!("{NODE} said 6 bytes")).await;

    let mismatch = "The request signature we calculated does not match";
    check(signed("guess", NODE), 401, mismatch).await;
    check(report(), 401, "Missing Authentication Token").await;
    check(signed("join", "me"), 401, "The security token included in the request is invalid").await;
    let mut other_node = signed("join", NODE);
    let other = "f".repeat(32);
    let authorization = &mut other_node.headers.last_mut().unwrap().1;
    *authorization =
        String::from_utf8(authorization.clone()).unwrap().replace(NODE, &other).into_bytes();
    check(other_node, 401, mismatch).await;
    let mut other_body = signed("join", NODE);
    other_body.body = b"rumour".to_vec();
    check(other_body, 401, mismatch).await;
    // The account's own key is no node's.
    check(report().signed("outport-node"), 401, "The security token").await;
    let late = node_signer("join", &NodeId::new(NODE), "us-east-1");
    check(report().signed_by(&late, NOW_MS - 3_600_000), 401, "Signature expired").await;
    let signer = node_signer("join", &NodeId::new(NODE), "us-east-1");
    let of_size = |bytes: usize| report().body(&vec![0; bytes]);
    check(of_size(65_536).signed_by(&signer, NOW_MS), 200, &format!("{NODE} said 65536")).await;
    check(of_size(65_537).signed_by(&signer, NOW_MS), 413, "The message is larger than").await;
    let announced = |sent: Sent| {
        let sha256 = sha256_hex(&sent.body);
        sent.header("x-amz-content-sha256", &sha256)
    };
    let big = announced(of_size(100_000)).signed_by(&signer, NOW_MS);
    check(big, 200, &format!("{NODE} said 100000")).await;
    let too_big = announced(of_size(100_001)).signed_by(&signer, NOW_MS);
    check(too_big, 413, "The message is larger than").await;
    // The hash is signed, and it must be the body's.
    let mut other_body = announced(report()).signed_by(&signer, NOW_MS);
    other_body.body = b"rumour".to_vec();
    check(other_body, 401, "The provided 'x-amz-content-sha256' header does not match").await;
    let other_key = node_signer("guess", &NodeId::new(NODE), "us-east-1");
    check(announced(of_size(100_000)).signed_by(&other_key, NOW_MS), 401, mismatch).await;
}

/// Nothing of a stranger's message is waited for: the answer is there while the body is not.
#[tokio::test]
async fn a_node_is_proven_before_its_message_is_read() {
    let other_key = node_signer("guess", &NodeId::new(NODE), "us-east-1");
    let sent = Sent::new("POST", "/_outport/node/report")
        .header("x-amz-content-sha256", &sha256_hex(b"what will never come"))
        .signed_by(&other_key, NOW_MS);
    let request = sent.to_http().unwrap().map(|_| {
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>())
    });
    let door = door();
    let answer = door.answer(request, support::peer());
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answer).await;
    assert_eq!(answer.expect("an answer").status(), 401);
}
