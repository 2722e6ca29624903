//! What a start says once it is ready, on standard output, for people and scripts: the line that it is ready, then a name
//! and a value a line.
//!
//! **Invariant:** a script finds what it wants by the name; names stay, and are only added.

use std::path::Path;

use outport_model::network::Ipv4Cidr;
use outport_model::node::NodeCapacity;
use outport_model::{Regions, Scope};
use outport_node_agent::PublishScope;

use crate::command_line::DATA_DIR;
use crate::environment::quoted;

const SERVES: &str = "Amazon ECS, ECR, CloudWatch Logs, IAM, STS, KMS, Secrets Manager, SSM parameters, CloudTrail events, EventBridge; of EC2 what these need";
/// 1,024 CPU units are one core.
const CPU_UNITS_PER_CORE: f64 = 1024.0;

/// What a control plane serves.
pub struct Served<'s> {
    pub scope: &'s Scope,
    pub regions: &'s Regions,
    pub vpc_cidr: Ipv4Cidr,
}

/// What a node offers.
pub struct Offered<'s> {
    pub cluster: &'s str,
    pub capacity: &'s NodeCapacity,
    /// Where the ports of tasks with addresses of their own are published.
    pub publish: Option<PublishScope>,
}

/// The lines behind the one that it is ready.
pub fn lines(data_dir: &Path, served: Option<Served<'_>>, offered: Option<Offered<'_>>) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    if served.is_some() {
        line("serves", SERVES.to_owned());
    }
    line("data", data_dir.display().to_string());
    if let Some(Served { scope, regions, vpc_cidr }) = &served {
        line("account", scope.account.to_string());
        line("region", scope.region.to_string());
        if let Some(served) = beside(regions) {
            line("regions", served);
        }
        line("VPC", vpc_cidr.to_string());
    }
    if let Some(Offered { cluster, capacity, publish }) = offered {
        line("cluster", cluster.to_owned());
        let cores = f64::from(capacity.cpu_units) / CPU_UNITS_PER_CORE;
        line("CPU", format!("{} units ({cores} vCPU)", capacity.cpu_units));
        line("memory", format!("{} MiB", capacity.memory_mib));
        let reached = match publish {
            Some(PublishScope::Loopback) => Some("127.0.0.1"),
            Some(PublishScope::Everywhere) => Some("every address of this machine"),
            None => None,
        };
        if let Some(reached) = reached {
            line(
                "tasks",
                format!("reached on {reached} too, at the ports that `outport ps` shows"),
            );
        }
    }
    if served.is_some() {
        line("next", format!("eval \"$({})\"", env_command(data_dir)));
    }
    lines.join("\n")
}

fn env_command(data_dir: &Path) -> String {
    let text = data_dir.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match data_dir == Path::new(DATA_DIR) {
        true => "outport env".to_owned(),
        false if text.bytes().all(is_plain) => format!("outport env --data-dir {text}"),
        false => format!("outport env --data-dir {}", quoted(&text)),
    }
}

/// The regions that are served, where that is not one alone: all of a partition are not worth a line each.
fn beside(regions: &Regions) -> Option<String> {
    const NAMED_MAX: usize = 5;
    match regions.iter().count() {
        1 => None,
        few if few <= NAMED_MAX => Some(regions.to_string()),
        many => Some(format!("{many}, each with resources of its own: AWS_REGION names one")),
    }
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    fn scope() -> Scope {
        Scope::new(AccountId::new("123456789012"), Region::new("eu-west-1"))
    }

    #[test]
    fn up_says_what_it_serves_from_where_with_how_much_and_what_to_do_next() {
        let scope = scope();
        let regions = Regions::from(scope.region.clone());
        let vpc_cidr = Ipv4Cidr::parse("172.30.0.0/16").unwrap();
        let served = Served { scope: &scope, regions: &regions, vpc_cidr };
        let capacity = NodeCapacity { cpu_units: 1536, memory_mib: 900, reserved_ports: vec![] };
        let publish = Some(PublishScope::Loopback);
        let offered = Offered { cluster: "default", capacity: &capacity, publish };
        assert_eq!(
            lines(Path::new("/var/lib/outport"), Some(served), Some(offered)),
            "  serves    Amazon ECS, ECR, CloudWatch Logs, IAM, STS, KMS, Secrets Manager, SSM parameters, CloudTrail events, EventBridge; of EC2 what these need\n  \
             data      /var/lib/outport\n  account   123456789012\n  region    eu-west-1\n  \
             VPC       172.30.0.0/16\n  cluster   default\n  CPU       1536 units (1.5 vCPU)\n  \
             memory    900 MiB\n  tasks     reached on 127.0.0.1 too, at the ports that `outport ps` shows\n  next      eval \"$(outport env)\""
        );
    }

    #[test]
    fn further_regions_are_named_or_counted() {
        let own = Region::new("eu-west-1");
        assert_eq!(beside(&Regions::from(own.clone())), None);
        let two = Regions::new(own.clone(), [Region::new("us-east-1")]);
        assert_eq!(beside(&two).as_deref(), Some("eu-west-1, us-east-1"));
        let all = beside(&Regions::of_partition(own)).unwrap();
        assert!(all.starts_with("36, each"), "{all}");
    }

    #[test]
    fn the_next_command_names_another_data_directory_as_a_shell_reads_it() {
        assert_eq!(env_command(Path::new("/srv/o-1")), "outport env --data-dir /srv/o-1");
        assert_eq!(env_command(Path::new("/srv/o 1")), "outport env --data-dir '/srv/o 1'");
    }

    #[test]
    fn a_node_serves_nothing() {
        let capacity = NodeCapacity { cpu_units: 1024, memory_mib: 900, reserved_ports: vec![] };
        let offered = Offered { cluster: "edge", capacity: &capacity, publish: None };
        let said = lines(Path::new("/d"), None, Some(offered));
        assert!(said.starts_with("  data      /d\n  cluster   edge\n"), "{said}");
        assert!(!said.contains("next") && !said.contains("tasks"), "{said}");
    }
}
