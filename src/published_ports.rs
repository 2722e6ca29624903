//! `GET /_outport/published-ports`: which ports of this machine lead to which task, for `outport ps`, `open` and `forward`.
//! The AWS API has no words for it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use outport_node_agent::{PublishScope, PublishedPort, published_ports};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::control_plane::OwnNode;
use crate::health::is_near;

#[derive(Debug, Serialize)]
struct Answer {
    ports: Vec<Port>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    task_id: String,
    protocol: String,
    container_port: u16,
    host_ip: &'static str,
    host_port: u16,
}

/// `node`: the one in this process, if there is one.
pub fn router(node: Option<&OwnNode>) -> Router {
    let node = node.map(|node| (node.instance.clone(), node.publish));
    // It reads a file for each task: one at a time, and none for who is not told anything.
    let turn = Arc::new(Semaphore::new(1));
    let ports = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
        let (node, turn) = (node.clone(), turn.clone());
        async move {
            let instance = match node {
                Some((instance, Some(PublishScope::Everywhere))) => instance,
                Some((instance, _)) if is_near(peer) => instance,
                _ => return answer(&[], false),
            };
            // It is never closed.
            let Ok(_turn) = turn.acquire().await else { return answer(&[], false) };
            match tokio::task::spawn_blocking(move || published_ports(&instance)).await {
                Ok(Ok(published)) => answer(&published, is_near(peer)),
                Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    Router::new().route("/_outport/published-ports", get(ports))
}

fn answer(published: &[PublishedPort], is_near: bool) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    match serde_json::to_string(&Answer { ports: seen(published, is_near) }) {
        Ok(text) => (kind, text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What is open to everybody is said to everybody; what is on loopback, to who is there.
fn seen(published: &[PublishedPort], is_near: bool) -> Vec<Port> {
    let seen = published.iter().filter(|port| is_near || port.scope == PublishScope::Everywhere);
    seen.map(|port| Port {
        task_id: port.task_id.clone(),
        protocol: port.protocol.to_string(),
        container_port: port.container_port,
        host_ip: match port.scope {
            PublishScope::Loopback => "127.0.0.1",
            PublishScope::Everywhere => "0.0.0.0",
        },
        host_port: port.host_port,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use outport_node_agent::TransportProtocol;

    use super::*;

    #[test]
    fn a_stranger_is_told_what_a_stranger_can_reach() {
        let port = |scope| PublishedPort {
            task_id: "4f2a".to_owned(),
            protocol: TransportProtocol::Tcp,
            container_port: 80,
            host_port: 10_080,
            scope,
        };
        let near = [port(PublishScope::Loopback)];
        assert_eq!(seen(&near, false), []);
        assert_eq!(
            serde_json::to_string(&Answer { ports: seen(&near, true) }).unwrap(),
            r#"{"ports":[{"taskId":"4f2a","protocol":"tcp","containerPort":80,"hostIp":"127.0.0.1","hostPort":10080}]}"#
        );
        let everywhere = seen(&[port(PublishScope::Everywhere)], false);
        assert_eq!(everywhere[0].host_ip, "0.0.0.0");
    }
}
