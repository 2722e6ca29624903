//! Options that are about reaching tasks.

use clap::{Args, ValueEnum};
use outport_node_agent::PublishScope;
use outport_operator::PortPair;

use super::Asked;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PublishTasks {
    /// On 127.0.0.1, for programs of this machine
    #[default]
    Loopback,
    /// On all addresses of this machine, for whoever reaches it
    Everywhere,
    /// Nowhere: tasks have their own addresses only
    Nowhere,
}

impl PublishTasks {
    pub fn scope(self) -> Option<PublishScope> {
        match self {
            Self::Loopback => Some(PublishScope::Loopback),
            Self::Everywhere => Some(PublishScope::Everywhere),
            Self::Nowhere => None,
        }
    }
}

#[derive(Debug, Args)]
pub struct Forward {
    /// A task, by its id or the beginning of that, or a service by its name: one of its tasks
    #[arg(value_name = "TASK|SERVICE")]
    pub to: String,
    /// A port of 127.0.0.1, 0 for a free one, and the task's if that is another
    #[arg(value_name = "LOCAL[:CONTAINER]", required = true)]
    pub ports: Vec<PortPair>,
    #[command(flatten)]
    pub asked: Asked,
}

#[derive(Debug, Args)]
pub struct Open {
    /// A task, by its id or the beginning of that, or a service by its name: one of its tasks
    #[arg(value_name = "TASK|SERVICE")]
    pub of: String,
    #[command(flatten)]
    pub asked: Asked,
    /// Only print it
    #[arg(long)]
    pub print: bool,
}
