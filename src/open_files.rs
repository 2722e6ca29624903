//! How many files this process may have open at a time.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use outport_node_agent::OpenFiles;

/// Raises the limit to what the host allows: a node has four files open for each container, and 1,024,
/// the usual limit, is for programs that use `select`. Gives the limits that were, which containers
/// get: some programs close every descriptor that they might have, and should not have a million to
/// close.
pub fn raise_limit() -> Result<OpenFiles> {
    let (soft, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .context("cannot raise the limit of open files")?;
    Ok(OpenFiles { soft, hard })
}
