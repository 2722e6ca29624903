//! What the node link needs of the log store and of the registry, and whose connection it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use outport_certificates::NodeCertificate;
use outport_controllers::node_link::{CredentialSource, LogSink, SinkError, WithoutTls};
use outport_front_door::{PeerCertificate, SecureTransport};
use outport_identity::{Answered, Call, Principal, Question, Sealer, Subject};
use outport_image_store::ImageReference;
use outport_log_store::{
    LogGroupName, LogStore, LogStoreError, LogStreamName, Missing, NodeLogEvent, Shipment,
    ShipmentRefusal, SourceId,
};
use outport_model::ecr_registry::ecr_registry;
use outport_model::own_registry::OwnRegistry;
use outport_model::task::Task;
use outport_model::{AccountId, Arn, NodeId, Region, Regions, Scope, TimestampMs};
use outport_node_protocol::{LogBatch, LogCursor, LogDestination, RegistryCredential};
use outport_planner::node_admission::ProvenNode;
use outport_service_ecr::{Pull, PullSource};
use outport_service_logs::stream_question;
use outport_store::Store;
use serde_json::json;

use crate::execution_roles::{DENIED, ExecutionRoles};

/// Hands what the connection has proven to the node link in its own words.
pub fn identified(router: Router) -> Router {
    router.layer(from_fn(async |mut request: Request, next: Next| -> Response {
        let extensions = request.extensions_mut();
        if extensions.get::<SecureTransport>() != Some(&SecureTransport(true)) {
            extensions.insert(WithoutTls);
        }
        if let Some(proven) = extensions.get::<PeerCertificate>().and_then(proven) {
            extensions.insert(proven);
        }
        next.run(request).await
    }))
}

/// The listener has verified the chain and the key; only nodes have such a certificate.
pub fn proven(PeerCertificate(certificate): &PeerCertificate) -> Option<ProvenNode> {
    match NodeCertificate::read(certificate) {
        Ok(NodeCertificate { node, key, validity }) => Some(ProvenNode {
            node,
            key,
            not_before_ms: validity.not_before_ms,
            not_after_ms: validity.not_after_ms,
        }),
        Err(error) => {
            tracing::error!(
                event = "node_certificate_unreadable",
                %error,
                "cannot read a node's certificate that this installation signed"
            );
            None
        }
    }
}

/// Container logs into CloudWatch Logs.
pub struct LogDelivery {
    logs: Arc<LogStore>,
    roles: ExecutionRoles,
    /// Those that a log group can be in.
    regions: Regions,
}

impl LogDelivery {
    pub fn new(logs: Arc<LogStore>, roles: ExecutionRoles, regions: Regions) -> Self {
        Self { logs, roles, regions }
    }
}

#[async_trait]
impl LogSink for LogDelivery {
    async fn append(
        &self,
        task: &Task,
        execution_role: Option<&str>,
        destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError> {
        let (logs, mut scope, destination) =
            (self.logs.clone(), task.scope.clone(), destination.clone());
        if let Some(region) = &destination.region {
            let served = self.regions.named(region.as_str()).ok_or_else(|| {
                SinkError::Refused(format!("awslogs-region is {region}, which is not served here"))
            })?;
            scope.region = served.clone();
        }
        // Without one it is the container instance that writes, as on AWS.
        let writer = execution_role.map(|role| self.roles.call(task, role)).transpose()?;
        let roles = self.roles.clone();
        let writer = writer.map(|call| Writer { call, roles });
        let write = move || append(&logs, &scope, &destination, batch, writer.as_ref());
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|error| SinkError::Fault(error.to_string()))?
    }
}

/// Who writes logs for a task.
struct Writer {
    call: Call,
    roles: ExecutionRoles,
}

fn append(
    logs: &LogStore,
    scope: &Scope,
    destination: &LogDestination,
    batch: LogBatch,
    writer: Option<&Writer>,
) -> Result<LogCursor, SinkError> {
    let group = LogGroupName::parse(&destination.group).map_err(refused)?;
    let stream = LogStreamName::parse(&destination.stream).map_err(refused)?;
    let source =
        SourceId::parse(&format!("{}/{}", batch.task, batch.container)).map_err(refused)?;
    let mut made = Vec::new();
    if let Some(writer) = writer {
        let actions = actions(logs, scope, destination, (&group, &stream), &batch)?;
        for (action, stream) in actions {
            let question = stream_question(logs, scope, action, (&group, stream));
            let subject = Subject::from(question.map_err(sink_error)?);
            let asked = writer.call.open(subject);
            let answers = writer.call.take_answers();
            if let Err(denied) = asked {
                let error = Some((DENIED.to_owned(), denied.message.clone()));
                writer.record(action, answers, destination, error);
                return Err(SinkError::Refused(format!("{DENIED}: {}", denied.message)));
            }
            made.push((action, answers));
        }
    }
    logs.ensure_stream(scope, &group, &stream, destination.create_group).map_err(sink_error)?;
    if let Some(writer) = writer {
        for (action, answers) in made {
            writer.record(action, answers, destination, None);
        }
    }
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
    // The node's clock may be another than ours: nothing was written after now.
    let now_ms = crate::control_plane::now_ms();
    let events = batch.events.into_iter().map(|event| NodeLogEvent {
        timestamp_ms: event.timestamp_ms.clamp(0, now_ms),
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

impl Writer {
    /// Of calls that make something. Events themselves are no events of a trail, as at the front door.
    fn record(
        &self,
        action: &str,
        answers: Vec<Answered>,
        destination: &LogDestination,
        error: Option<(String, String)>,
    ) {
        let mut parameters = json!({ "logGroupName": destination.group });
        let operation = match action {
            "logs:CreateLogGroup" => "CreateLogGroup",
            "logs:CreateLogStream" => {
                parameters["logStreamName"] = destination.stream.as_str().into();
                "CreateLogStream"
            }
            _ => return,
        };
        self.roles.record(&self.call, answers, ("logs", operation, false), &parameters, error);
    }
}

/// What the awslogs driver would call for this batch, each with the stream that it is about: it makes a stream before the first event,
/// and the group where that is missing and asked for.
fn actions<'a>(
    logs: &LogStore,
    scope: &Scope,
    destination: &LogDestination,
    (group, stream): (&LogGroupName, &'a LogStreamName),
    batch: &LogBatch,
) -> Result<Vec<(&'static str, &'a str)>, SinkError> {
    let mut actions = Vec::new();
    let missing = logs.missing(scope, group, stream).map_err(sink_error)?;
    if missing == Some(Missing::Group) && destination.create_group {
        actions.push(("logs:CreateLogGroup", ""));
    }
    if missing.is_some() {
        actions.push(("logs:CreateLogStream", stream.as_str()));
    }
    if !batch.events.is_empty() {
        actions.push(("logs:PutLogEvents", stream.as_str()));
    }
    Ok(actions)
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
        // A gap was looked at before; anything else is wrong with the batch, and will be tomorrow.
        LogStoreError::Shipment(refusal) => SinkError::Unacceptable(refusal.to_string()),
        error if error.is_fault() => SinkError::Fault(error.to_string()),
        error => SinkError::Refused(error.to_string()),
    }
}

/// Registry passwords for the tasks of a node: to pull what they need from our own registry, for as long as they do.
pub struct RegistryPasswords {
    sealer: Arc<Sealer>,
    own: OwnRegistry,
    store: Store,
    roles: ExecutionRoles,
}

impl RegistryPasswords {
    pub fn new(sealer: Arc<Sealer>, own: OwnRegistry, store: Store, roles: ExecutionRoles) -> Self {
        Self { sealer, own, store, roles }
    }

    /// The names of the repositories of `scope` that the images of a task are in.
    fn repositories(&self, task: &Task, scope: &Scope) -> BTreeSet<String> {
        let images = task.containers.iter().map(|container| container.image.as_str());
        let images = images.filter_map(|image| image.parse::<ImageReference>().ok());
        let is_of_scope = |image: &ImageReference| match scope == &task.scope {
            true => self.own.is(image.host(), scope),
            false => ecr_registry(image.host()).is_some_and(|meant| meant == *scope),
        };
        images.filter(is_of_scope).map(|image| image.repository().to_owned()).collect()
    }

    pub(crate) fn password(
        &self,
        node: &NodeId,
        task: &Task,
        (execution_role, registry): (Option<&str>, Option<&Scope>),
        now_ms: TimestampMs,
    ) -> Result<RegistryCredential, SinkError> {
        let scope = registry.unwrap_or(&task.scope);
        let expires_at_ms = now_ms + outport_service_ecr::PULL_PASSWORD_LIFETIME_MS;
        let puller = match execution_role {
            Some(role) => {
                self.ask_for_token(task, role)?;
                let actor = self.roles.session(task, role)?;
                (actor.principal, actor.session)
            }
            None => (Principal::root(task.scope.account.clone()), None),
        };
        let pull = Pull {
            node,
            task: task.id.as_str(),
            scope,
            repositories: &self.repositories(task, scope),
            puller,
        };
        let password = outport_service_ecr::pull_password(&self.sealer, pull, expires_at_ms)
            .map_err(|error| SinkError::Fault(error.to_string()))?;
        let user = outport_service_ecr::USER.to_owned();
        Ok(RegistryCredential { user, password, expires_at_ms })
    }

    /// Source: the text as users report it from Fargate.
    fn ask_for_token(&self, task: &Task, role: &str) -> Result<(), SinkError> {
        let question = Question::without_resource("ecr:GetAuthorizationToken");
        let what = ("ecr", "GetAuthorizationToken", true);
        self.roles.ask(task, role, question, what).map_err(|error| match error {
            SinkError::Refused(denied) if denied.starts_with("AccessDenied") => {
                SinkError::Refused(format!(
                    "execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been \
                     retried 1 time(s): {denied}"
                ))
            }
            other => other,
        })
    }
}

#[async_trait]
impl CredentialSource for RegistryPasswords {
    async fn issue(
        &self,
        task: &Task,
        execution_role: Option<&str>,
        registry: Option<&Scope>,
    ) -> Result<RegistryCredential, SinkError> {
        let Some(node) = &task.node else {
            return Err(SinkError::Refused("a task without a node pulls nothing".to_owned()));
        };
        self.password(node, task, (execution_role, registry), crate::control_plane::now_ms())
    }
}

impl PullSource for RegistryPasswords {
    fn pulls(&self, node: &NodeId, repository: &str) -> bool {
        let rows = self.store.snapshot();
        let identity = rows.node_identities.get(node);
        if identity.is_none_or(|identity| identity.revoked_at_ms.is_some()) {
            return false;
        }
        let Some(arn) = Arn::parse(repository) else { return false };
        let Some(wanted) = arn.resource().strip_prefix("repository/") else { return false };
        let scope = Scope::new(AccountId::new(arn.account()), Region::new(arn.region()));
        rows.tasks.live_on_node(node).values().any(|task| {
            // Most images of a node's many tasks are not even read.
            if !task.containers.iter().any(|container| container.image.contains(wanted)) {
                return false;
            }
            self.repositories(task, &scope).contains(wanted)
        })
    }
}

#[cfg(test)]
mod tests {
    use outport_log_store::{
        FilterEvents, FilterPattern, LogStoreOptions, NewLogGroup, StreamSelection, SystemClock,
    };
    use outport_model::TaskId;
    use outport_model::{AccountId, Region};
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

    fn store() -> (Arc<LogStore>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let logs = LogStore::open(directory.path(), clock, LogStoreOptions::default()).unwrap();
        (logs, directory)
    }

    fn destination(stream: &str) -> LogDestination {
        LogDestination {
            group: "g".to_owned(),
            region: None,
            stream: stream.to_owned(),
            create_group: true,
            non_blocking: false,
            max_buffer_bytes: 1 << 20,
        }
    }

    #[test]
    fn a_batch_that_is_never_taken_is_told_from_a_receiver_that_takes_nothing() {
        let (logs, _directory) = store();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let long = LogEvent { timestamp_ms: 1, message: "x".repeat(2 << 20), end_cursor: 1 };
        let unfit = [
            LogBatch { events: vec![long], ..batch(0, 1) },
            LogBatch { to_cursor: 1, ..batch(0, 3) },
            LogBatch { to_cursor: u64::MAX, ..batch(0, 3) },
        ];
        for batch in unfit {
            let refused = append(&logs, &scope, &destination("s"), batch, None);
            assert!(matches!(refused, Err(SinkError::Unacceptable(_))), "{refused:?}");
        }
        assert_eq!(
            append(&logs, &scope, &destination("s"), batch(0, 3), None).unwrap().committed,
            3
        );
        let no_group =
            LogDestination { group: "absent".to_owned(), create_group: false, ..destination("s") };
        let refused = append(&logs, &scope, &no_group, batch(0, 3), None);
        assert!(matches!(refused, Err(SinkError::Refused(_))), "{refused:?}");
    }

    #[test]
    fn a_node_whose_clock_is_off_writes_no_log_of_the_future() {
        let (logs, _directory) = store();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
        let now_ms = crate::control_plane::now_ms();
        let times = [now_ms + YEAR_MS, i64::MAX, -1, i64::MIN, now_ms - YEAR_MS];
        let events = times.iter().zip(1..).map(|(timestamp_ms, end_cursor)| LogEvent {
            timestamp_ms: *timestamp_ms,
            message: format!("line {end_cursor}"),
            end_cursor,
        });
        let batch = LogBatch { events: events.collect(), ..batch(0, 5) };
        assert_eq!(append(&logs, &scope, &destination("s"), batch, None).unwrap().committed, 5);
        let group = LogGroupName::parse("g").unwrap();
        let query = FilterEvents {
            streams: StreamSelection::All,
            start_ms: Some(now_ms - 1000),
            end_ms: Some(crate::control_plane::now_ms() + 1),
            pattern: FilterPattern::parse("").unwrap(),
            limit: None,
            token: None,
        };
        let page = logs.filter_events(&scope, &group, &query).unwrap();
        assert_eq!(page.events.len(), 2, "those of the future are of now");
        assert_eq!(lines(&logs, &scope, &group).len(), 5);
    }

    #[test]
    fn a_group_that_was_deleted_takes_what_comes_once_it_is_back_and_nothing_twice() {
        let (logs, _directory) = store();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let group = LogGroupName::parse("g").unwrap();
        for create_group in [false, true] {
            let stream = format!("s/{create_group}");
            let destination = LogDestination { create_group, ..destination(&stream) };
            let ship = |from, to| append(&logs, &scope, &destination, batch(from, to), None);
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
