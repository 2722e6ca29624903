//! What the control plane and a node say to each other: JSON over HTTP/2 over TLS, ten calls, all made by
//! the node over one connection.
//!
//! ```text
//! POST /_outport/node/v1/join                 JoinRequest         -> IssuedCertificate
//! POST /_outport/node/v1/certificate          CertificateRequest  -> IssuedCertificate
//! POST /_outport/node/v1/register             Registration        -> Registered
//! POST /_outport/node/v2/assignment           AssignmentRequest   -> Assignment, or 204 after `POLL_MS_MAX`
//! POST /_outport/node/v2/report               Report              -> Reported, or 204
//! POST /_outport/node/v2/logs                 LogBatch            -> LogCursor
//! POST /_outport/node/v2/registry-credential  CredentialRequest   -> RegistryCredential
//! POST /_outport/node/v2/task-credentials     CredentialRequest   -> TaskCredentials
//! POST /_outport/node/v2/task-secrets         CredentialRequest   -> TaskSecrets
//! POST /_outport/node/v2/task-tags            CredentialRequest   -> TaskTags
//! ```
//!
//! `join` is proven by the join token, every other call by the node's certificate: the node that a message
//! names is the one that the certificate of the connection names. The node asks for the server name
//! `control-plane.outport.internal` and believes the authority that the join token pins.
//!
//! **Invariant:** a node is told sections of what it should have, each with a generation, whole or as what changed since the
//! one that it knows, and refuses an older one; it reports what it sees. Nothing here is a command that could be lost.
//!
//! These messages are a promise between versions; `tests/golden.rs` keeps their bytes.
//!
//! - *Within a version fields are only added, with a default.* Who reads passes over fields that it does not know, and
//!   takes the default for one that is not there. Who writes goes on writing every field that the version ever had.
//!   So a field may be added where a reader that passes over it does nothing wrong: it does less.
//! - *Where passing over would be wrong*, as with a limit that must hold, what is new is a new variant of an enum, or a
//!   required field with a new name in place of an old one. A task that is said with it cannot be read by an older node,
//!   which reports that task as failed and follows the rest ([`TaskSection::unreadable`]); the other way round the
//!   control plane takes in the other tasks of a report ([`Report::unreadable`]). A code of refusal that is not known
//!   is [`RefusalCode::Unknown`].
//! - *A call that is added* needs no version: who does not know it answers 404, and the node does without.
//! - *What changes the meaning of a call, or takes something away*, is a new version, see [`version`]: `register` tells
//!   each side what the other speaks, and they speak the highest version in common. With none, both say so, and the node
//!   keeps its tasks and tries again.

pub mod assignment;
pub mod identity;
pub mod link;
mod one_by_one;
pub mod report;
pub mod version;

pub use assignment::{
    Assignment, AwsvpcAttachment, ContainerAssignment, KnownGenerations, LogDestination,
    PortBinding, TaskAssignment, TaskLimits, TaskNetwork, TaskSection,
};
pub use identity::{CertificateRequest, IssuedCertificate, JoinRequest, Refusal, RefusalCode};
pub use link::{
    AssignmentRequest, AssignmentRequestV1, ContainerSecrets, CredentialRequest, LogBatch,
    LogCursor, LogEvent, Registered, Registration, RegistryCredential, RegistryUser,
    TaskCredentials, TaskSecrets, TaskTags,
};
pub use one_by_one::UnreadableTask;
pub use report::{ContainerHealth, ContainerReport, Report, Reported, StopCause, TaskReport};
pub use version::{DOOR_VERSION, ProtocolVersions, SECTIONS_VERSION, call_path};

/// How long the control plane holds an assignment request that has nothing new.
pub const POLL_MS_MAX: u64 = 20_000;
/// A node reports at least this often, changed or not: it is also its heartbeat.
pub const REPORT_INTERVAL_MS: u64 = 10_000;
/// The most log events in one batch. Source: quotas of PutLogEvents.
pub const LOG_EVENTS_PER_BATCH_MAX: usize = 10_000;
/// The most bytes of log messages in one batch, 26 bytes an event included. Source: as above.
pub const LOG_BATCH_BYTES_MAX: usize = 1_048_576;
