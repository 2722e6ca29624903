//! What the node link needs of the log store and of the registry, and who a node is.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use outport_controllers::node_link::{AuthenticatedNode, CredentialSource, LogSink, SinkError};
use outport_identity::{AccessKeyId, Principal, Sealer};
use outport_log_store::{
    LogGroupName, LogStore, LogStoreError, LogStreamName, NodeLogEvent, Shipment, ShipmentRefusal,
    SourceId,
};
use outport_model::Scope;
use outport_model::task::Task;
use outport_node_protocol::{LogBatch, LogCursor, LogDestination, RegistryCredential};

/// Hands what the gate found out to the node link in its own words.
pub fn identified(router: Router) -> Router {
    router.layer(from_fn(async |mut request: Request, next: Next| -> Response {
        let node = request.extensions().get::<outport_front_door::AuthenticatedNode>().cloned();
        if let Some(outport_front_door::AuthenticatedNode(node)) = node {
            request.extensions_mut().insert(AuthenticatedNode(node));
        }
        next.run(request).await
    }))
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
    if batch.events.is_empty() {
        let committed = logs.source_cursor(scope, &group, &stream, &source).map_err(sink_error)?;
        return Ok(LogCursor { committed: committed.unwrap_or(0) });
    }
    let events = batch.events.into_iter().map(|event| NodeLogEvent {
        timestamp_ms: event.timestamp_ms,
        message: event.message,
        end_cursor: event.end_cursor,
    });
    let shipment = Shipment {
        source,
        from_cursor: batch.from_cursor,
        to_cursor: batch.to_cursor,
        events: events.collect(),
    };
    match logs.append_from_node(scope, &group, &stream, &shipment) {
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
