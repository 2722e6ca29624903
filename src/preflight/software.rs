//! Programs that Outport runs, or that are run against it, and who answers for names.
//!
//! **Invariant:** no answer is waited for longer than a name server takes to be given up.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;

use super::{Seen, Subject, answer_of, is_on_path};

/// Read `AWS_ENDPOINT_URL`, as of each major version. Source: "Service-specific endpoints", AWS SDKs and Tools Reference.
const AWS_CLI_1_MIN: (u32, u32) = (1, 29);
const AWS_CLI_2_MIN: (u32, u32) = (2, 13);
/// A name that a host that pulls images has to know.
const PUBLIC_NAME: &str = "public.ecr.aws:443";
const NAME_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn oci_runtime(subject: &Subject<'_>) -> Result<Seen> {
    Ok(match &subject.node.oci_runtime {
        Some(program) if !program.is_file() => {
            Seen::wrong(format!("--oci-runtime {}", program.display()), "there is no such program")
        }
        Some(program) => Seen::fine(program.display().to_string()),
        None => Seen::fine("our own"),
    })
}

pub(super) fn nft(_: &Subject<'_>) -> Result<Seen> {
    Ok(match is_on_path("nft") {
        true => Seen::fine("it is there"),
        false => Seen::wrong(
            "the program nft is missing, which task networking needs",
            "run `apt-get install nftables`",
        ),
    })
}

pub(super) fn task_disks(subject: &Subject<'_>) -> Result<Seen> {
    Ok(disks_of(
        subject.node.unlimited_task_storage,
        is_on_path("mkfs.ext4"),
        Path::new("/dev/loop-control").exists(),
    ))
}

fn disks_of(are_unlimited: bool, has_mkfs: bool, has_loops: bool) -> Seen {
    let or =
        "or start with --unlimited-task-storage, where one task can fill the disk of this host";
    match (are_unlimited, has_mkfs, has_loops) {
        (true, _, _) => Seen::fine("of no limit: --unlimited-task-storage"),
        (false, true, true) => Seen::fine("loop devices and mkfs.ext4 are there"),
        (false, false, _) => Seen::wrong(
            "the program mkfs.ext4 is missing, which disks of tasks need",
            format!("run `apt-get install e2fsprogs`, {or}"),
        ),
        (false, true, false) => Seen::wrong(
            "there is no /dev/loop-control, which disks of tasks need",
            format!("run `modprobe loop`, {or}"),
        ),
    }
}

pub(super) fn name_servers(_: &Subject<'_>) -> Result<Seen> {
    let servers = outport_node_agent::host_name_servers();
    if servers.is_empty() {
        return Ok(dns_of(&servers, true));
    }
    let (told, tells) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may wait for it any more.
        let _ = told.send(PUBLIC_NAME.to_socket_addrs().is_ok());
    });
    Ok(dns_of(&servers, tells.recv_timeout(NAME_PATIENCE).unwrap_or(false)))
}

/// `servers`: those that tasks can reach.
fn dns_of(servers: &[IpAddr], is_answered: bool) -> Seen {
    let named = servers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    match (servers.is_empty(), is_answered) {
        (true, _) => Seen::wrong(
            "/etc/resolv.conf names no IPv4 name server that tasks can reach: one on this host's loopback is none",
            "add one to /etc/resolv.conf, or give tasks `dnsServers`",
        ),
        (false, false) => Seen::wrong(
            format!("{named} did not answer for public.ecr.aws"),
            "check the network if images of public registries are to be pulled; otherwise nothing",
        ),
        (false, true) => Seen::fine(named),
    }
}

pub(super) fn aws_cli(_: &Subject<'_>) -> Result<Seen> {
    let said = answer_of("aws", &["--version"]);
    Ok(aws_cli_of(said.as_ref().map(|(_, said)| said.as_str())))
}

/// `said` by `aws --version`, such as `aws-cli/2.17.9 Python/3.11.8 …`.
fn aws_cli_of(said: Option<&str>) -> Seen {
    let Some(said) = said else {
        return Seen::fine("not on the PATH here; SDKs and other tools do as well");
    };
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("aws-cli/"));
    let mut numbers =
        version.into_iter().flat_map(|v| v.split('.')).map_while(|part| part.parse::<u32>().ok());
    let (Some(version), Some(major), Some(minor)) = (version, numbers.next(), numbers.next())
    else {
        return Seen::wrong(
            "`aws --version` does not say a version",
            "install the AWS CLI 2.13 or newer",
        );
    };
    let least = if major < 2 { AWS_CLI_1_MIN } else { AWS_CLI_2_MIN };
    match (major, minor) >= least {
        true => Seen::fine(format!("version {version}")),
        false => Seen::wrong(
            format!("the AWS CLI {version} ignores AWS_ENDPOINT_URL and talks to AWS itself"),
            "update it to 2.13 or 1.29 or newer, or always give --endpoint-url",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn versions_of_the_aws_cli() {
        check(&aws_cli_of(Some("aws-cli/2.17.9 Python/3.11.8 Linux/6.1")), "fine: version 2.17.9");
        check(&aws_cli_of(Some("aws-cli/2.13.0 Python/3.11.8")), "fine");
        check(
            &aws_cli_of(Some("aws-cli/2.12.6 Python/3.11.8")),
            "wrong: the AWS CLI 2.12.6 ignores",
        );
        check(&aws_cli_of(Some("aws-cli/1.29.0 Python/3.11.8")), "fine");
        check(&aws_cli_of(Some("aws-cli/1.22.34 Python/3.10")), "update it to 2.13 or 1.29");
        check(&aws_cli_of(Some("Traceback")), "wrong: `aws --version` does not say");
        check(&aws_cli_of(None), "fine: not on the PATH");
    }

    #[test]
    fn disks_of_tasks_need_loop_devices_and_a_program() {
        check(&disks_of(false, true, true), "fine: loop devices");
        check(&disks_of(false, false, true), "apt-get install e2fsprogs");
        check(&disks_of(false, true, false), "modprobe loop");
        check(&disks_of(true, false, false), "fine: of no limit");
    }

    #[test]
    fn tasks_need_a_name_server_that_they_can_reach() {
        let servers = ["10.0.0.2".parse().unwrap()];
        check(&dns_of(&servers, true), "fine: 10.0.0.2");
        check(&dns_of(&servers, false), "wrong: 10.0.0.2 did not answer");
        check(&dns_of(&[], true), "wrong: /etc/resolv.conf names no IPv4 name server");
    }
}
