//! What is done about permissions.

use clap::{Args, Subcommand};
use outport_operator::{Since, parse_since};

use super::Which;

#[derive(Debug, Subcommand)]
pub enum Iam {
    /// Print the policy that a role or a user needs for what it did, as the audit trail has it
    ///
    /// What was denied is in it, too, and is named on standard error. Where a call was denied at once, what it would have asked for
    /// next is not known: call again with the policy, and advise again.
    Advise(Advise),
}

#[derive(Debug, Args)]
pub struct Advise {
    /// The name of a role: what its sessions did
    #[arg(required_unless_present = "user", conflicts_with = "user")]
    pub role: Option<String>,
    /// A user instead
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// What was done since then: 30m, 12h, 7d, or a time of RFC 3339
    #[arg(long, value_name = "AGE", value_parser = parse_since, default_value = "7d")]
    pub since: Since,
    /// JSON, for programs: the policy, how many calls it is made of, what was denied
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub which: Which,
}
