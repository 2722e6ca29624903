//! The gate of the node link.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use axum::extract::Extension;
use axum::routing::post;
use axum::{Router, body::Bytes};
use outport_front_door::{AuthenticatedNode, FrontDoor, NodeGate};
use outport_identity::node_signer;
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
        body_bytes_max: 100,
    };
    let router = gate.guard(Router::new().route("/_outport/node/report", post(handler)));
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
    let big = report().body(&[0; 101]);
    let signer = node_signer("join", &NodeId::new(NODE), "us-east-1");
    check(big.signed_by(&signer, NOW_MS), 400, "length limit exceeded").await;
}
