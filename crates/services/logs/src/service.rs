//! The service, and the one way from an operation to the log store: through the answer to its question of permission.
//!
//! **Invariant:** an operation gets the store from a [`Door`] only, after what it asks was answered with yes; and a group is
//! read and changed only while it is the one, with the tags, that was asked about.

use std::sync::Arc;

use outport_aws_logs::LogsError;
use outport_aws_wire::WireError;
use outport_identity::{Call, Question, Subject};
use outport_log_store::{LogGroupName, LogStore, LogStoreError, LogStreamName, SeenGroup};
use outport_model::Scope;
use tokio::sync::Semaphore;

use crate::arns::{group_arn, stream_resource};
use crate::rejection::rejection;

/// Pages of events that are read at once: two for each processor, within these bounds.
const READS_MIN: usize = 4;
const READS_MAX: usize = 16;

/// Answers the operations of CloudWatch Logs. Implements [`outport_aws_logs::LogsHandler`].
#[derive(Clone)]
pub struct LogsService {
    store: Arc<LogStore>,
    reads: Arc<Semaphore>,
}

/// The store, behind its questions, for one call.
pub(crate) struct Door {
    store: Arc<LogStore>,
    call: Call,
    pub(crate) scope: Scope,
}

/// The store, for a caller who may do what was asked to one group, existing or not.
pub(crate) struct Permitted<'a> {
    pub(crate) store: &'a LogStore,
    pub(crate) scope: &'a Scope,
    /// The group as it was asked about.
    pub(crate) group: SeenGroup,
}

impl LogsService {
    pub fn new(store: Arc<LogStore>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let reads = Semaphore::new((2 * processors).clamp(READS_MIN, READS_MAX));
        Self { store, reads: Arc::new(reads) }
    }

    /// As [`LogsService::blocking`], a few at a time: a page of events is a megabyte, which many callers at once would
    /// have in memory before any of it is on its way.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&Door) -> Result<T, LogsError> + Send + 'static,
    ) -> Result<T, LogsError> {
        // It is never closed.
        let _turn = self.reads.acquire().await;
        self.blocking(call, work).await
    }

    /// Runs an operation on a thread that may wait for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&Door) -> Result<T, LogsError> + Send + 'static,
    ) -> Result<T, LogsError> {
        let scope = Scope::new(call.account.clone(), call.region.clone());
        let door = Door { store: self.store.clone(), call: call.clone(), scope };
        match tokio::task::spawn_blocking(move || work(&door)).await {
            Ok(done) => done,
            Err(error) => {
                let message = format!("a log store call did not finish: {error}");
                Err(WireError::internal(message).into())
            }
        }
    }
}

impl Door {
    /// For a caller who may do `action` to the group as a whole.
    pub(crate) fn group(
        &self,
        action: &'static str,
        name: &LogGroupName,
    ) -> Result<Permitted<'_>, LogsError> {
        let resource = stream_resource(&self.scope, name.as_str(), "");
        self.permit(Question::new(action, resource), name)
    }

    /// For a caller who may do `action` to a stream of the group.
    pub(crate) fn stream(
        &self,
        action: &'static str,
        name: &LogGroupName,
        stream: &LogStreamName,
    ) -> Result<Permitted<'_>, LogsError> {
        let resource = stream_resource(&self.scope, name.as_str(), stream.as_str());
        self.permit(Question::new(action, resource), name)
    }

    /// For a caller who may do `action` to the tags of the group; `with` adds those of the request. Here AWS asks about the
    /// plain ARN.
    pub(crate) fn tags(
        &self,
        action: &'static str,
        name: &LogGroupName,
        with: impl FnOnce(Question) -> Question,
    ) -> Result<Permitted<'_>, LogsError> {
        self.permit(with(Question::new(action, group_arn(&self.scope, name))), name)
    }

    /// The store, for a caller who may make this group.
    pub(crate) fn new_group(
        &self,
        name: &LogGroupName,
        tags: &outport_model::Tags,
    ) -> Result<&LogStore, LogsError> {
        let resource = stream_resource(&self.scope, name.as_str(), "");
        let question = Question::new("logs:CreateLogGroup", resource);
        self.open(Subject::from(question.with_request_tags(tags)))?;
        Ok(&self.store)
    }

    /// The store, for a caller who may do `action` to all groups.
    pub(crate) fn every_group(&self, action: &'static str) -> Result<&LogStore, LogsError> {
        let resource = stream_resource(&self.scope, "", "");
        self.open(Subject::from(Question::new(action, resource)))?;
        Ok(&self.store)
    }

    fn permit(&self, question: Question, name: &LogGroupName) -> Result<Permitted<'_>, LogsError> {
        let seen = self.store.look(&self.scope, name).map_err(rejection)?;
        let question = question.with_resource_tags(seen.tags());
        let ((), group) = self.open(Subject::from(question).beside(seen))?;
        Ok(Permitted { store: &self.store, scope: &self.scope, group })
    }

    fn open<T>(&self, subject: Subject<T>) -> Result<T, LogsError> {
        let found = self.call.open(subject);
        found.map_err(|denied| WireError::access_denied(denied.message).into())
    }
}

/// What is asked before `action` on a stream, or on a group whose `stream` is empty, by who has no request: a task's log.
///
/// # Errors
/// Of the store, when it cannot be read.
pub fn stream_question(
    store: &LogStore,
    scope: &Scope,
    action: &'static str,
    (group, stream): (&LogGroupName, &str),
) -> Result<Question, LogStoreError> {
    let resource = stream_resource(scope, group.as_str(), stream);
    let seen = store.look(scope, group)?;
    Ok(Question::new(action, resource).with_resource_tags(seen.tags()))
}

impl Permitted<'_> {
    /// # Errors
    /// `ResourceNotFoundException`.
    pub(crate) fn existing(&self) -> Result<(), LogsError> {
        self.store.group_tags(self.scope, &self.group).map(drop).map_err(rejection)
    }
}
