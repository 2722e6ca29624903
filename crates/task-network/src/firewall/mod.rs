//! The instance's nftables table: rules written once by `nft`, set elements by netlink, one transaction each.
//!
//! | what may happen to the rules | what keeps tasks in |
//! |---|---|
//! | somebody flushes or deletes them | on Linux 6.9 and newer the table has an owner, and nobody else can; on older kernels a watch puts it back within milliseconds |
//! | the agent dies | the table stays, without an owner; the next agent takes it |
//! | they are gone for a moment | loopback: `route_localnet` is on only where ports are published, of a bridge or on loopback; foreign sources: strict `rp_filter` on each link, as far as the host lets it (see below); IPv6: off on each link |
//!
//! The last line counts on kernels before 6.9 only, and there `rp_filter` is a wish: the kernel takes the greater of the
//! link's value and that of `all`, so that a host whose `all` is 2 (loose), or whose service manager sets new links to 2
//! after us, lets a task send from foreign addresses for the milliseconds until the rules are back.
//!
//! **Invariant:** a task's coming and going changes elements only. An element that is already there, or already
//! gone, is no error.

mod elements;
mod ruleset;
mod socket;
mod watch;

pub use elements::{Element, elements_text, is_plain};
pub use ruleset::{HostAccess, Ruleset, ruleset_text};
pub use socket::{Ownership, TableSocket};
pub use watch::Watch;

use crate::error::NetworkError;
use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Most bytes of a program's complaint that an error repeats.
const COMPLAINT_BYTES_MAX: usize = 500;

/// Runs an nftables script as one transaction.
pub fn run_script(script: &str) -> Result<(), NetworkError> {
    let failed = |reason: String| NetworkError::Program { program: "nft", reason };
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed(format!("{error}; install the package nftables")),
            _ => failed(error.to_string()),
        })?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(script.as_bytes()),
        None => Ok(()),
    };
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(complaint(&output.stderr)));
    }
    written.map_err(|error| failed(error.to_string()))
}

/// What a program said, shortened.
pub fn complaint(stderr: &[u8]) -> String {
    String::from_utf8_lossy(&stderr[..stderr.len().min(COMPLAINT_BYTES_MAX)]).trim().to_owned()
}

/// Removes the table with everything in it; none there is fine.
pub fn remove_table(table: &str) -> Result<(), NetworkError> {
    TableSocket::open()
        .and_then(|mut socket| socket.delete_table(table))
        .map_err(NetworkError::kernel("delete a table of nf_tables"))
}
