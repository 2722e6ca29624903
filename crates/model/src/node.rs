//! A node: one machine that runs tasks. Users see it as Fargate capacity and as a container instance.

use serde::{Deserialize, Serialize};

use crate::{NodeId, Region, TimestampMs};

/// What a node said of itself when it joined, and when it was last heard of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    pub host_name: String,
    pub agent_version: String,
    pub architecture: Architecture,
    pub capacity: NodeCapacity,
    /// Changes when the machine boots: nothing that ran before runs now.
    pub boot_id: String,
    pub registered_at_ms: TimestampMs,
    /// The last report, written rarely: older than the truth by up to some minutes.
    pub last_seen_ms: TimestampMs,
    /// The generation of the last assignment that was made for it.
    pub assignment_generation: u64,
    /// False after the node said that it is going away.
    pub accepts_tasks: bool,
    /// False while the node is silent, and until it has ended what ended without it meanwhile. Its heartbeats are counted in memory; only the turn from one to
    /// the other is written here.
    #[serde(default)]
    pub connected: bool,
    /// The regions whose Fargate tasks it takes; empty: those of every region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
}

/// 1,024 CPU units are one core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCapacity {
    pub cpu_units: u32,
    pub memory_mib: u32,
    /// Host ports that no task may take, such as 22 and our own.
    #[serde(default)]
    pub reserved_ports: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Architecture {
    #[serde(rename = "X86_64")]
    X86_64,
    #[serde(rename = "ARM64")]
    Arm64,
}

impl Architecture {
    /// AWS's word, as in `runtimePlatform.cpuArchitecture`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "X86_64",
            Self::Arm64 => "ARM64",
        }
    }
}
