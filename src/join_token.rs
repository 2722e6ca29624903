//! `outport node-token rotate`.

use anyhow::{Context, Result, anyhow, bail};
use outport_certificates::{InvalidJoinToken, JoinToken};

use crate::admin_door::{self, Request};
use crate::command_line::RotateToken;
use crate::data_dir::{self, DataDir};
use crate::output;

/// Makes another token, whether the control plane runs or not.
///
/// # Errors
/// In one line; the token is what it was then.
pub fn rotate(options: &RotateToken) -> Result<()> {
    let directory = &options.data_dir.data_dir;
    let path = directory.join("join-token");
    if !data_dir::holds(directory, "join-token")? {
        bail!(
            "{} holds no control plane that has been started: name the right directory with --data-dir",
            directory.display()
        );
    }
    match admin_door::connect(directory)? {
        Some(door) => door.ask::<()>(Request::RotateJoinToken, None)?,
        None => {
            let data_dir = DataDir::own(directory)?;
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let token: JoinToken = text
                .parse()
                .map_err(|error: InvalidJoinToken| anyhow!("{}: {error}", path.display()))?;
            data_dir::rotate_join_token(data_dir.path(), &token)?;
        }
    }
    let text = format!(
        "{} is another one now: machines that are to join need it, those that have joined stay\n",
        path.display()
    );
    output::answer(&text).context("cannot print")
}
