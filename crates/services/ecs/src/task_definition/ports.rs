//! Port mappings: which are allowed in which network mode, and the host port that AWS fills in.

use std::collections::BTreeSet;

use outport_aws_ecs::{ContainerDefinition, NetworkMode, PortMapping, TransportProtocol};

use crate::rejection::Rejection;

/// Most port mappings of a container. Source: "Amazon ECS service quotas".
const PORT_MAPPINGS_MAX: usize = 100;
const PORT_MAX: i32 = 65_535;

/// Checks the mappings of one container and fills in protocol and host port.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn normalise(mappings: &mut [PortMapping], mode: Option<NetworkMode>) -> Result<(), Rejection> {
    if mappings.len() > PORT_MAPPINGS_MAX {
        return Err(Rejection::client(format!(
            "A container can have at most {PORT_MAPPINGS_MAX} port mappings."
        )));
    }
    if mode == Some(NetworkMode::None) && !mappings.is_empty() {
        return Err(Rejection::client("Port mappings are not supported when networkMode=none."));
    }
    for mapping in mappings {
        mapping.protocol.get_or_insert(TransportProtocol::Tcp);
        if mapping.container_port_range.is_some() {
            if mapping.container_port.is_some() || mapping.host_port.is_some() {
                return Err(Rejection::client("Cannot specify both single port and port range."));
            }
            check_range(mapping)?;
            continue;
        }
        normalise_single(mapping, mode)?;
    }
    Ok(())
}

fn normalise_single(mapping: &mut PortMapping, mode: Option<NetworkMode>) -> Result<(), Rejection> {
    let Some(container_port) = mapping.container_port else {
        return Err(Rejection::client("PortMapping.containerPort should not be null."));
    };
    if !(1..=PORT_MAX).contains(&container_port) {
        return Err(Rejection::client(format!(
            "Invalid container port {container_port}. Must be between 1 and {PORT_MAX}."
        )));
    }
    let shares_ports = matches!(mode, Some(NetworkMode::Awsvpc | NetworkMode::Host));
    let default = if shares_ports { container_port } else { 0 };
    let host_port = *mapping.host_port.get_or_insert(default);
    if !(0..=PORT_MAX).contains(&host_port) {
        return Err(Rejection::client(format!(
            "Invalid host port {host_port}. Must be between 0 and {PORT_MAX}."
        )));
    }
    if shares_ports && host_port != container_port {
        let mode = mode.map(|mode| mode.as_str()).unwrap_or_default();
        return Err(Rejection::client(format!(
            "When networkMode={mode}, the host ports and container ports in port mappings must match."
        )));
    }
    Ok(())
}

/// `first-last`, both of them ports.
fn check_range(mapping: &PortMapping) -> Result<(), Rejection> {
    let text = mapping.container_port_range.as_deref().unwrap_or_default();
    let bounds = text.split_once('-').and_then(|(first, last)| {
        let first: i32 = first.trim().parse().ok()?;
        let last: i32 = last.trim().parse().ok()?;
        (1 <= first && first < last && last <= PORT_MAX).then_some((first, last))
    });
    match bounds {
        Some(_) => Ok(()),
        None => Err(Rejection::client(format!("Invalid container port range '{text}'."))),
    }
}

/// Checks what containers of one task take from each other: host ports, and the names of mappings.
///
/// # Errors
/// `ClientException`.
pub fn check_conflicts(
    containers: &[ContainerDefinition],
    mode: Option<NetworkMode>,
) -> Result<(), Rejection> {
    let mut host_ports = BTreeSet::new();
    let mut names = BTreeSet::new();
    for mapping in
        containers.iter().flat_map(|definition| definition.port_mappings.iter().flatten())
    {
        if let Some(name) = &mapping.name
            && !names.insert(name.as_str())
        {
            return Err(Rejection::client(format!(
                "The port mapping name '{name}' is already used."
            )));
        }
        let port = mapping.host_port.unwrap_or(0);
        if port != 0
            && !host_ports.insert((port, mapping.protocol))
            && mode != Some(NetworkMode::None)
        {
            return Err(Rejection::client(format!(
                "Conflicting host port {port} in the port mappings of the task definition."
            )));
        }
    }
    Ok(())
}
