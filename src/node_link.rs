//! What the node link needs of the log store and of the registry, and whose connection it is.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use outport_certificates::NodeCertificate;
use outport_controllers::node_link::{CredentialSource, LinkError, LogSink, SinkError};
use outport_front_door::{PeerCertificate, SecureTransport};
use outport_identity::{AccessKeyId, Principal, Sealer};
use outport_log_store::{
    LogGroupName, LogStore, LogStoreError, LogStreamName, NodeLogEvent, Shipment, ShipmentRefusal,
    SourceId,
};
use outport_model::Scope;
use outport_model::task::Task;
use outport_node_protocol::{LogBatch, LogCursor, LogDestination, RefusalCode, RegistryCredential};
use outport_planner::node_admission::ProvenNode;

/// Hands what the connection has proven to the node link in its own words. Without TLS there is no node link.
pub fn identified(router: Router) -> Router {
    router.layer(from_fn(async |mut request: Request, next: Next| -> Response {
        let extensions = request.extensions_mut();
        if extensions.get::<SecureTransport>() != Some(&SecureTransport(true)) {
            let message = "nodes talk to their control plane over TLS".to_owned();
            let code = RefusalCode::NoCertificate;
            return LinkError::Disbelieved { code, message }.into_response();
        }
        if let Some(proven) = extensions.get::<PeerCertificate>().and_then(proven) {
            extensions.insert(proven);
        }
        next.run(request).await
    }))
}

/// The listener has verified the chain and the key; only nodes have such a certificate.
fn proven(PeerCertificate(certificate): &PeerCertificate) -> Option<ProvenNode> {
    match NodeCertificate::read(certificate) {
        Ok(NodeCertificate { node, key, validity }) => Some(ProvenNode {
            node,
            key,
            not_before_ms: validity.not_before_ms,
            not_after_ms: validity.not_after_ms,
        }),
        Err(error) => {
            tracing::error!(%error, "a certificate that this installation signed is not read");
            None
        }
    }
}

/// Container logs into CloudWatch Logs.
pub struct LogDelivery {
    logs: Arc<LogStore>,
}

impl LogDelivery {
    pub fn new(logs: Arc<LogStore>) -> Self {
        Self { logs }
    }
}

#[async_trait]
impl LogSink for LogDelivery {
    async fn append(
        &self,
        scope: &Scope,
        destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError> {
        let (logs, scope, destination) = (self.logs.clone(), scope.clone(), destination.clone());
        tokio::task::spawn_blocking(move || append(&logs, &scope, &destination, batch))
            .await
            .map_err(|error| SinkError::Fault(error.to_string()))?
    }
}

fn append(
    logs: &LogStore,
    scope: &Scope,
    destination: &LogDestination,
    batch: LogBatch,
) -> Result<LogCursor, SinkError> {
    let group = LogGroupName::parse(&destination.group).map_err(refused)?;
    let stream = LogStreamName::parse(&destination.stream).map_err(refused)?;
    let source =
        SourceId::parse(&format!("{}/{}", batch.task, batch.container)).map_err(refused)?;
    logs.ensure_stream(scope, &group, &stream, destination.create_group).map_err(sink_error)?;
    // A stream that the source was never shipped to takes it from where it is: what came before went to one
    // that somebody has deleted, and comes once.
    let begin = |at: u64| match logs.source_cursor(scope, &group, &stream, &source) {
        Ok(None) if at > 0 => logs.open_source(scope, &group, &stream, &source, at),
        known => known.map(Option::unwrap_or_default),
    };
    if batch.events.is_empty() {
        let committed = begin(batch.from_cursor).map_err(sink_error)?;
        return Ok(LogCursor { committed });
    }
    let events = batch.events.into_iter().map(|event| NodeLogEvent {
        timestamp_ms: event.timestamp_ms,
        message: event.message,
        end_cursor: event.end_cursor,
    });
    let shipment = Shipment {
        source: source.clone(),
        from_cursor: batch.from_cursor,
        to_cursor: batch.to_cursor,
        events: events.collect(),
    };
    let append = || logs.append_from_node(scope, &group, &stream, &shipment);
    let appended = match append() {
        Err(LogStoreError::Shipment(ShipmentRefusal::Gap { committed: 0 })) => {
            begin(shipment.from_cursor).and_then(|_| append())
        }
        appended => appended,
    };
    match appended {
        Ok(committed) => Ok(LogCursor { committed }),
        // The node goes on from there.
        Err(LogStoreError::Shipment(ShipmentRefusal::Gap { committed })) => {
            Ok(LogCursor { committed })
        }
        Err(error) => Err(sink_error(error)),
    }
}

fn refused(error: impl std::fmt::Display) -> SinkError {
    SinkError::Refused(error.to_string())
}

/// AWS's own words where the user can do something.
fn sink_error(error: LogStoreError) -> SinkError {
    match error {
        LogStoreError::GroupNotFound => SinkError::Refused(
            "ResourceNotFoundException: The specified log group does not exist.".to_owned(),
        ),
        LogStoreError::StreamNotFound => SinkError::Refused(
            "ResourceNotFoundException: The specified log stream does not exist.".to_owned(),
        ),
        error if error.is_fault() => SinkError::Fault(error.to_string()),
        error => SinkError::Refused(error.to_string()),
    }
}

/// Registry passwords for the tasks of a node.
pub struct RegistryPasswords {
    sealer: Arc<Sealer>,
}

impl RegistryPasswords {
    pub fn new(sealer: Arc<Sealer>) -> Self {
        Self { sealer }
    }
}

#[async_trait]
impl CredentialSource for RegistryPasswords {
    async fn issue(&self, scope: &Scope, task: &Task) -> Result<RegistryCredential, SinkError> {
        let expires_at_ms =
            crate::control_plane::now_ms() + outport_service_ecr::PASSWORD_LIFETIME_MS;
        let principal = Principal::root(scope.account.clone());
        let access_key_id = AccessKeyId::new(format!("task/{}", task.id));
        let password = outport_service_ecr::registry_password(
            &self.sealer,
            &principal,
            &access_key_id,
            scope,
            expires_at_ms,
        )
        .map_err(|error| SinkError::Fault(error.to_string()))?;
        let user = outport_service_ecr::USER.to_owned();
        Ok(RegistryCredential { user, password, expires_at_ms })
    }
}

#[cfg(test)]
mod tests {
    use outport_log_store::{
        FilterEvents, FilterPattern, LogStoreOptions, NewLogGroup, StreamSelection, SystemClock,
    };
    use outport_model::{AccountId, NodeId, Region, TaskId};
    use outport_node_protocol::LogEvent;

    use super::*;

    fn batch(from: u64, to: u64) -> LogBatch {
        let event = |end: u64| LogEvent {
            timestamp_ms: crate::control_plane::now_ms(),
            message: format!("line {end}"),
            end_cursor: end,
        };
        LogBatch {
            node: NodeId::new("n"),
            task: TaskId::new("t"),
            container: "app".to_owned(),
            from_cursor: from,
            to_cursor: to,
            events: (from + 1..=to).map(event).collect(),
        }
    }

    fn lines(logs: &LogStore, scope: &Scope, group: &LogGroupName) -> Vec<String> {
        let query = FilterEvents {
            streams: StreamSelection::All,
            start_ms: None,
            end_ms: None,
            pattern: FilterPattern::parse("").unwrap(),
            limit: None,
            token: None,
        };
        let page = logs.filter_events(scope, group, &query).unwrap();
        page.events.into_iter().map(|found| found.event.message).collect()
    }

    #[test]
    fn a_group_that_was_deleted_takes_what_comes_once_it_is_back_and_nothing_twice() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let logs = LogStore::open(directory.path(), clock, LogStoreOptions::default()).unwrap();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let group = LogGroupName::parse("g").unwrap();
        for create_group in [false, true] {
            let destination = LogDestination {
                group: "g".to_owned(),
                stream: format!("s/{create_group}"),
                create_group,
                non_blocking: false,
                max_buffer_bytes: 1 << 20,
            };
            let ship = |from, to| append(&logs, &scope, &destination, batch(from, to));
            let group_is_back = || {
                if !create_group {
                    logs.create_group(&scope, NewLogGroup::named(group.clone())).unwrap();
                }
            };
            group_is_back();
            assert_eq!(ship(0, 3).unwrap().committed, 3);
            logs.delete_group(&scope, &group).unwrap();
            if !create_group {
                assert!(matches!(ship(3, 5), Err(SinkError::Refused(_))));
            }
            group_is_back();
            assert_eq!(ship(3, 5).unwrap().committed, 5);
            assert_eq!(lines(&logs, &scope, &group), ["line 4", "line 5"]);
            // And a node that begins again asks from where it is.
            logs.delete_group(&scope, &group).unwrap();
            group_is_back();
            assert_eq!(ship(5, 5).unwrap().committed, 5);
            assert_eq!(ship(5, 5).unwrap().committed, 5, "a repeat");
            assert_eq!(ship(0, 0).unwrap().committed, 5, "of what an older node asks");
            assert_eq!(ship(5, 6).unwrap().committed, 6);
            assert_eq!(lines(&logs, &scope, &group), ["line 6"]);
            logs.delete_group(&scope, &group).unwrap();
        }
    }
}
