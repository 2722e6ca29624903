//! The last step of a container's process: what it drops, and what it becomes.
//!
//! **Invariant:** everything that needs memory is made beforehand, in the shim; after the fork only
//! system calls are made, but for the text of a failure.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::bundle;
use super::capabilities::Capabilities;
use super::user::User;
use crate::error::{FailureKind, StartFailure};
use crate::spec::ContainerSpec;

#[derive(Clone)]
pub(super) struct ExecPlan {
    pub args: Vec<CString>,
    pub env: Vec<CString>,
    pub search_path: String,
    pub seccomp: Option<Arc<[libc::sock_filter]>>,
    /// Effective and permitted set of the process.
    pub capabilities: Capabilities,
    pub with_init: bool,
    /// Where a failure is told: a pipe that the exec closes.
    pub failures: RawFd,
}

impl ExecPlan {
    pub fn new(
        spec: &ContainerSpec,
        user: &User,
        bounding: Capabilities,
        seccomp: Option<Vec<libc::sock_filter>>,
        failures: RawFd,
    ) -> Result<ExecPlan, StartFailure> {
        let env = bundle::environment(spec, &user.home);
        let search_path = env.iter().find(|(name, _)| name == "PATH");
        let search_path = search_path.map_or_else(String::new, |(_, path)| path.clone());
        let env = env.iter().map(|(name, value)| c_string(format!("{name}={value}")));
        Ok(ExecPlan {
            args: spec.args.iter().map(|arg| c_string(arg.clone())).collect::<Result<_, _>>()?,
            env: env.collect::<Result<_, _>>()?,
            search_path,
            seccomp: seccomp.map(Arc::from),
            capabilities: if user.uid == 0 { bounding } else { Capabilities::NONE },
            with_init: spec.init_process_enabled,
            failures,
        })
    }

    /// Finds the program as Docker does, seen from inside the container, as its user.
    pub fn find_program(&self) -> Result<CString, StartFailure> {
        let name = self.args[0].to_str().unwrap_or_default();
        let failure = |kind, why: &str| StartFailure::new(kind, format!("exec: {name:?}: {why}"));
        let not_found =
            || failure(FailureKind::ExecutableNotFound, "executable file not found in $PATH");
        if name.is_empty() {
            return Err(not_found());
        }
        if name.contains('/') {
            let path = Path::new(name);
            return match usable(path) {
                Ok(()) => Ok(self.args[0].clone()),
                Err(Errno::ENOENT | Errno::ENOTDIR) => Err(failure(
                    FailureKind::ExecutableNotFound,
                    &format!("stat {name}: no such file or directory"),
                )),
                Err(Errno::EISDIR) => Err(failure(FailureKind::PermissionDenied, "is a directory")),
                Err(error) => Err(failure(FailureKind::PermissionDenied, text(error))),
            };
        }
        for directory in self.search_path.split(':') {
            let directory = if directory.is_empty() { "." } else { directory };
            let path = Path::new(directory).join(name);
            if usable(&path).is_ok() {
                return c_bytes(path.as_os_str().as_bytes());
            }
        }
        Err(not_found())
    }

    /// Why the kernel did not execute `program`.
    pub fn refused(program: &CString, error: Errno) -> StartFailure {
        let kind = match error {
            Errno::ENOEXEC => FailureKind::ExecFormat,
            Errno::EACCES | Errno::EPERM => FailureKind::PermissionDenied,
            Errno::ENOENT => FailureKind::ExecutableNotFound,
            _ => FailureKind::Other,
        };
        StartFailure::new(kind, format!("exec {}: {}", program.to_string_lossy(), text(error)))
    }

    /// Tells the shim. The descriptor stays open: it is the process's end that closes it.
    pub fn tell(&self, failure: &StartFailure) {
        // SAFETY: the shim made this descriptor for this process, which never closes it by hand.
        #[allow(unsafe_code)]
        let mut pipe = ManuallyDrop::new(unsafe { File::from_raw_fd(self.failures) });
        if let Ok(bytes) = serde_json::to_vec(failure) {
            // Without a reader there is nobody to tell.
            let _ = pipe.write_all(&bytes);
        }
    }
}

fn usable(path: &Path) -> Result<(), Errno> {
    let metadata = path
        .metadata()
        .map_err(|error| error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    access(path, AccessFlags::X_OK)
}

/// Go's and so Docker's words.
fn text(error: Errno) -> &'static str {
    match error {
        Errno::ENOEXEC => "exec format error",
        Errno::EACCES => "permission denied",
        Errno::EPERM => "operation not permitted",
        Errno::ENOENT => "no such file or directory",
        Errno::E2BIG => "argument list too long",
        other => other.desc(),
    }
}

fn c_string(text: String) -> Result<CString, StartFailure> {
    c_bytes(text.as_bytes())
}

fn c_bytes(bytes: &[u8]) -> Result<CString, StartFailure> {
    CString::new(bytes).map_err(|_| {
        StartFailure::new(FailureKind::InvalidSpec, "a NUL byte in the command or the environment")
    })
}
