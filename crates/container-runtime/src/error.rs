//! What can go wrong, on the library side and in the shim.
//!
//! **Invariant:** a [`StartFailure`] is a fact about the container or its image, with the text that
//! Docker gives; a [`RuntimeError`] is a fact about this host.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::container_key::InvalidKey;

/// Why a call to the runtime failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    #[error(
        "{0} is power over the host, which this node gives to no container: its operator may \
         allow it with --allow-privileged"
    )]
    PrivilegedNotAllowed(String),
    #[error("the container {0} exists already")]
    AlreadyExists(String),
    /// The container could not be made or started; the agent reports it as the task's reason.
    #[error("{0}")]
    Start(#[from] StartFailure),
    /// `is_shortage`: it could not be asked, for want of descriptors or memory here.
    #[error("the shim of {key} does not answer: {detail}")]
    ShimGone { key: String, detail: String, is_shortage: bool },
    #[error("the shim of {key} answered what this version does not understand: {detail}")]
    Protocol { key: String, detail: String },
    #[error("{operation} {path}: {source}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("{what} is still there after {waited_ms} ms")]
    Timeout { what: String, waited_ms: u64 },
    #[error("the kernel lacks {0}")]
    MissingKernelFeature(&'static str),
}

impl RuntimeError {
    /// Whether this process, or its host, lacked descriptors or memory: that passes, and says nothing about a container
    /// or its shim.
    pub fn is_shortage(&self) -> bool {
        match self {
            RuntimeError::ShimGone { is_shortage, .. } => *is_shortage,
            RuntimeError::Io { source, .. } => is_shortage(source),
            _ => false,
        }
    }

    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> RuntimeError {
        let path = path.into();
        move |source| RuntimeError::Io { operation, path, source }
    }
}

pub(crate) fn is_shortage(error: &io::Error) -> bool {
    const SHORTAGES: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    error.raw_os_error().is_some_and(|code| SHORTAGES.contains(&code))
}

/// Why a container could not be created or started, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartFailure {
    pub kind: FailureKind,
    pub message: String,
}

impl StartFailure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> StartFailure {
        StartFailure { kind, message: message.into() }
    }
}

/// The class of a [`StartFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    ExecutableNotFound,
    PermissionDenied,
    ExecFormat,
    NoSuchUser,
    NoSuchGroup,
    WorkingDirectory,
    Rootfs,
    Mount,
    Cgroup,
    Seccomp,
    Capability,
    /// The spec asks for what cannot be: an unknown ulimit, a newer version.
    InvalidSpec,
    /// The agent ended the container before it was started.
    Killed,
    /// Also one of a newer version.
    #[serde(other)]
    Other,
}
