//! What is taken of a node's messages, at most: a node may be hostile too.

use outport_model::container_instance::{
    CUSTOM_ATTRIBUTES_MAX, TOLD_ATTRIBUTES, is_registered_attribute,
};
use outport_model::{NodeId, Region, host_name};
use outport_node_protocol::{Registration, Report};

use super::LinkError;

/// Nodes that ever joined, unless an installation says otherwise. Source: twice the container instances of an ECS cluster
/// (quotas: 5,000).
pub const NODES_MAX_DEFAULT: usize = 10_000;
/// Tasks in a report: far above what one machine can run.
const TASKS_PER_REPORT_MAX: usize = 10_000;
const VERSION_CHARS_MAX: usize = 64;
/// A boot id is a UUID.
const BOOT_ID_CHARS_MAX: usize = 64;
/// Source: botocore's documentation of `CreateClusterRequest.clusterName`.
const CLUSTER_CHARS_MAX: usize = 255;
/// In front of the name, in the ARN of a cluster.
const ARN_CHARS_MAX: usize = 100;
/// Far more than a partition has.
const REGIONS_MAX: usize = 100;
const REGION_CHARS_MAX: usize = 32;
/// Those of its operator, of which a container instance can have ten, and the ones that its operator may say.
const ATTRIBUTES_MAX: usize = CUSTOM_ATTRIBUTES_MAX + TOLD_ATTRIBUTES.len();
/// Source: "Container instance attributes": the reserved ports that can be given at one time.
const RESERVED_PORTS_MAX: usize = 100;
/// Generations are counted by the control plane; one beyond this was made up.
pub const GENERATION_MAX: u64 = 1 << 62;

pub fn check_node_id(node: &NodeId) -> Result<(), LinkError> {
    const DIGITS: usize = 32;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let text = node.as_str();
    if text.len() == DIGITS && text.bytes().all(is_digit) {
        Ok(())
    } else {
        Err(malformed("a node id is 32 hexadecimal digits"))
    }
}

pub fn check_registration(registration: &Registration) -> Result<(), LinkError> {
    check_node_id(&registration.node)?;
    let in_front = if registration.cluster.starts_with("arn:") { ARN_CHARS_MAX } else { 0 };
    let cluster_chars_max = in_front + CLUSTER_CHARS_MAX;
    let texts = [
        ("host_name", &registration.host_name, host_name::NAME_CHARS_MAX),
        ("agent_version", &registration.agent_version, VERSION_CHARS_MAX),
        ("boot_id", &registration.boot_id, BOOT_ID_CHARS_MAX),
        ("cluster", &registration.cluster, cluster_chars_max),
    ];
    for (field, text, bytes_max) in texts {
        if text.len() > bytes_max {
            return Err(malformed(format!("{field} has more than {bytes_max} bytes")));
        }
    }
    if registration.capacity.reserved_ports.len() > RESERVED_PORTS_MAX {
        return Err(malformed(format!("more than {RESERVED_PORTS_MAX} reserved ports")));
    }
    let is_long = |region: &Region| region.as_str().len() > REGION_CHARS_MAX;
    if registration.regions.len() > REGIONS_MAX || registration.regions.iter().any(is_long) {
        return Err(malformed(format!("{REGIONS_MAX} regions at most, and names of regions")));
    }
    let mut attributes = registration.attributes.iter();
    let is_attribute = |(name, value): &(String, String)| is_registered_attribute(name, value);
    if registration.attributes.len() > ATTRIBUTES_MAX || !attributes.all(is_attribute) {
        return Err(malformed(format!(
            "{ATTRIBUTES_MAX} attributes at most, and such as a node may have"
        )));
    }
    Ok(())
}

pub fn check_report(report: &Report) -> Result<(), LinkError> {
    if report.tasks.len() + report.unreadable.len() > TASKS_PER_REPORT_MAX {
        return Err(malformed(format!("a report of more than {TASKS_PER_REPORT_MAX} tasks")));
    }
    check_generation(report.generation)
}

pub fn check_generation(generation: u64) -> Result<(), LinkError> {
    if generation > GENERATION_MAX {
        return Err(malformed("there was no such generation"));
    }
    Ok(())
}

fn malformed(reason: impl Into<String>) -> LinkError {
    LinkError::Malformed(reason.into())
}
