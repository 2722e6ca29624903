//! The host ports of a task: those that its definition fixes, and free ones for those it leaves open.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use outport_model::task_definition::{
    ContainerDefinition, NetworkMode, PortMapping, TransportProtocol,
};

/// A port of the node, in the words of the reservation.
pub type HostPort = (u16, TransportProtocol);

/// The host ports that the task must have, whatever the node. In `awsvpc` mode the ports are those of
/// the task's own address, in `none` mode there are none.
pub fn fixed(mode: NetworkMode, containers: &[ContainerDefinition]) -> Vec<HostPort> {
    let mappings = containers.iter().flat_map(|container| &container.port_mappings);
    mappings.filter_map(|mapping| fixed_port(mode, mapping)).collect()
}

fn fixed_port(mode: NetworkMode, mapping: &PortMapping) -> Option<HostPort> {
    match mode {
        NetworkMode::Awsvpc | NetworkMode::None => None,
        NetworkMode::Host => Some((mapping.container_port, mapping.protocol)),
        NetworkMode::Bridge => {
            (mapping.host_port != 0).then_some((mapping.host_port, mapping.protocol))
        }
    }
}

/// How many mappings leave the host port open.
pub fn open_count(mode: NetworkMode, containers: &[ContainerDefinition]) -> usize {
    let mappings = containers.iter().flat_map(|container| &container.port_mappings);
    match mode {
        NetworkMode::Bridge => mappings.filter(|mapping| mapping.host_port == 0).count(),
        _ => 0,
    }
}

/// The host port of every mapping of every container, in order, with free ports for the open ones.
/// The search begins at a place given by `seed`, so that ports are not reused at once. `None` when the
/// range is used up.
pub fn assign(
    mode: NetworkMode,
    containers: &[ContainerDefinition],
    taken: &BTreeSet<HostPort>,
    range: &RangeInclusive<u16>,
    seed: u64,
) -> Option<Vec<Vec<(PortMapping, u16)>>> {
    let mut taken = taken.clone();
    taken.extend(fixed(mode, containers));
    let mut assign_one = |mapping: &PortMapping| {
        let port = match mode {
            NetworkMode::Awsvpc | NetworkMode::None => mapping.container_port,
            NetworkMode::Host | NetworkMode::Bridge => match fixed_port(mode, mapping) {
                Some((port, _)) => port,
                None => {
                    let port = free_port(&taken, range, seed, mapping.protocol)?;
                    taken.insert((port, mapping.protocol));
                    port
                }
            },
        };
        Some((mapping.clone(), port))
    };
    containers
        .iter()
        .map(|container| container.port_mappings.iter().map(&mut assign_one).collect())
        .collect()
}

fn free_port(
    taken: &BTreeSet<HostPort>,
    range: &RangeInclusive<u16>,
    seed: u64,
    protocol: TransportProtocol,
) -> Option<u16> {
    let first = u64::from(*range.start());
    let count = (u64::from(*range.end()) + 1).checked_sub(first).filter(|count| *count > 0)?;
    (0..count)
        .map(|step| first + (seed % count + step) % count)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| !taken.contains(&(*port, protocol)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Container to host ports of one container, `80:0` leaves the host port open; the ports taken;
    /// the range; the seed -> the host ports.
    #[track_caller]
    fn check(
        mode: NetworkMode,
        mappings: &str,
        taken: &[u16],
        range: RangeInclusive<u16>,
        seed: u64,
        expected: Option<&[u16]>,
    ) {
        let mappings = mappings.split_whitespace().map(|text| {
            let (container_port, host_port) = text.split_once(':').unwrap();
            PortMapping {
                container_port: container_port.parse().unwrap(),
                host_port: host_port.parse().unwrap(),
                protocol: TransportProtocol::Tcp,
            }
        });
        let container = crate::task_start::tests::container("app", mappings.collect());
        let taken = taken.iter().map(|port| (*port, TransportProtocol::Tcp)).collect();
        let assigned = assign(mode, &[container], &taken, &range, seed);
        let ports: Option<Vec<u16>> =
            assigned.map(|assigned| assigned[0].iter().map(|(_, port)| *port).collect());
        assert_eq!(ports.as_deref(), expected);
    }

    #[test]
    fn open_ports_are_chosen_round_the_range() {
        use NetworkMode::Bridge;
        check(Bridge, "80:0 81:0", &[], 100..=104, 0, Some(&[100, 101]));
        check(Bridge, "80:0 81:0", &[], 100..=104, 4, Some(&[104, 100]));
        check(Bridge, "80:0", &[100, 101], 100..=104, 0, Some(&[102]));
        check(Bridge, "80:0", &[], 100..=104, 5_000_003, Some(&[103]));
    }

    #[test]
    fn a_fixed_port_is_not_given_out_as_an_open_one() {
        check(NetworkMode::Bridge, "80:0 81:100", &[], 100..=104, 0, Some(&[101, 100]));
    }

    #[test]
    fn a_used_up_range_gives_nothing() {
        check(NetworkMode::Bridge, "80:0 81:0", &[100], 100..=101, 0, None);
    }

    #[test]
    fn other_modes_use_the_port_of_the_container() {
        check(NetworkMode::Host, "80:0 81:81", &[], 100..=101, 0, Some(&[80, 81]));
        check(NetworkMode::Awsvpc, "80:0 81:81", &[], 100..=101, 0, Some(&[80, 81]));
    }
}
