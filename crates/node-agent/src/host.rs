//! What this machine is: its id as a node, its boot, its capacity.

use std::fs;
use std::io;
use std::path::Path;

use outport_container_runtime::private;
use outport_model::NodeId;
use outport_model::node::{Architecture, NodeCapacity};

/// Memory that is never offered to tasks: for the kernel and for us. The larger of the two counts.
const MEMORY_RESERVE_MIB_MIN: u64 = 256;
const MEMORY_RESERVE_PERCENT: u64 = 5;
/// 1,024 CPU units are one core.
const CPU_UNITS_PER_CORE: u32 = 1024;
/// Ports that the ECS agent reserves by default and that stay ours. Source: the agent's README,
/// `ECS_RESERVED_PORTS`.
const RESERVED_PORTS: [u16; 5] = [22, 2375, 2376, 51678, 51679];

/// The id that this node made for itself the first time, kept in its data directory.
pub fn node_id(directory: &Path) -> io::Result<NodeId> {
    let path = directory.join("node-id");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(NodeId::new(text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
            let id = hex::encode(bytes);
            let beside = directory.join("node-id.new");
            private::write(&beside, &id)?;
            fs::File::open(&beside)?.sync_all()?;
            fs::rename(&beside, &path)?;
            fs::File::open(directory)?.sync_all()?;
            Ok(NodeId::new(id))
        }
        Err(error) => Err(error),
    }
}

/// Changes with every boot of the kernel.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

pub fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

pub fn architecture() -> Architecture {
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 }
}

/// All cores and the memory behind the reserve, unless the operator offers something else.
/// `own_port` is kept free too.
pub fn capacity(
    cpu_units: Option<u32>,
    memory_mib: Option<u32>,
    own_port: Option<u16>,
) -> io::Result<NodeCapacity> {
    let cores = std::thread::available_parallelism()?.get();
    let cores = u32::try_from(cores).unwrap_or(u32::MAX / CPU_UNITS_PER_CORE);
    let memory_mib = match memory_mib {
        Some(memory_mib) => memory_mib,
        None => offered_memory_mib(memory_mib_of_machine()?),
    };
    let mut reserved_ports = RESERVED_PORTS.to_vec();
    reserved_ports.extend(own_port);
    Ok(NodeCapacity {
        cpu_units: cpu_units.unwrap_or(cores * CPU_UNITS_PER_CORE),
        memory_mib,
        reserved_ports,
    })
}

/// What this machine has in all, in MiB.
///
/// # Errors
/// When the kernel does not say it.
pub fn memory_mib_of_machine() -> io::Result<u64> {
    total_memory_mib(&fs::read_to_string("/proc/meminfo")?)
}

fn total_memory_mib(meminfo: &str) -> io::Result<u64> {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .map(|kib| kib / 1024)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo has no MemTotal"))
}

fn offered_memory_mib(total_mib: u64) -> u32 {
    let reserve = MEMORY_RESERVE_MIB_MIN.max(total_mib * MEMORY_RESERVE_PERCENT / 100);
    u32::try_from(total_mib.saturating_sub(reserve)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_offered_behind_a_reserve() {
        assert_eq!(
            total_memory_mib("MemTotal:       24576000 kB\nMemFree: 1 kB\n").unwrap(),
            24000
        );
        assert!(total_memory_mib("MemFree: 1 kB\n").is_err());
        assert_eq!(offered_memory_mib(24000), 22800);
        assert_eq!(offered_memory_mib(1024), 768);
        assert_eq!(offered_memory_mib(100), 0);
    }

    #[test]
    fn a_node_keeps_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let id = node_id(directory.path()).unwrap();
        assert_eq!(id.as_str().len(), 32);
        assert_eq!(node_id(directory.path()).unwrap(), id);
    }
}
