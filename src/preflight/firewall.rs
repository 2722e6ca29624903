//! nftables, and other firewalls beside it.
//!
//! **Invariant:** rules are listed and never changed.

use std::path::Path;

use anyhow::Result;

use super::{Seen, Subject, answer_of, is_on_path};

const DOCKER_SOCKET: &str = "/run/docker.sock";
/// What firewalld makes in nftables.
const FIREWALLD_TABLE: &str = "inet firewalld";

pub(super) fn nftables(_: &Subject<'_>) -> Result<Seen> {
    Ok(nftables_of(answer_of("nft", &["list", "tables"])))
}

fn nftables_of(answer: Option<(bool, String)>) -> Seen {
    match answer {
        Some((true, _)) => Seen::fine("tables can be listed"),
        Some((false, said)) => Seen::wrong(
            format!("`nft list tables` failed: {}", said.lines().next().unwrap_or("no word")),
            "run it as root, on a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET: `modprobe nf_tables`",
        ),
        None => Seen::wrong("the program nft cannot be run", "run `apt-get install nftables`"),
    }
}

pub(super) fn docker(_: &Subject<'_>) -> Result<Seen> {
    Ok(docker_of(Path::new(DOCKER_SOCKET).exists(), is_on_path("iptables")))
}

fn docker_of(is_there: bool, has_iptables: bool) -> Seen {
    match (is_there, has_iptables) {
        (false, _) => Seen::fine("not running here"),
        (true, true) => Seen::fine("beside it: Outport lets its packets pass Docker's rules"),
        (true, false) => Seen::wrong(
            "Docker drops what it does not know, and without the program iptables Outport cannot pass its rules",
            "run `apt-get install iptables`",
        ),
    }
}

pub(super) fn firewalld(subject: &Subject<'_>) -> Result<Seen> {
    let tables =
        answer_of("nft", &["list", "tables"]).map(|(_, tables)| tables).unwrap_or_default();
    let trusted = answer_of("firewall-cmd", &["--zone=trusted", "--list-sources"]);
    let trusted = trusted.filter(|(ended_well, _)| *ended_well).map(|(_, sources)| sources);
    Ok(firewalld_of(&tables, &trusted.unwrap_or_default(), subject.vpc_cidr))
}

fn firewalld_of(tables: &str, trusted: &str, vpc_cidr: Option<&str>) -> Seen {
    let is_there = tables.lines().any(|line| line.trim_end().ends_with(FIREWALLD_TABLE));
    let is_trusted = |cidr: &str| trusted.split_whitespace().any(|source| source == cidr);
    match (is_there, vpc_cidr) {
        (false, _) => Seen::fine("not running here"),
        (true, Some(cidr)) if is_trusted(cidr) => {
            Seen::fine(format!("beside it; it trusts {cidr}"))
        }
        (true, cidr) => Seen::wrong(
            "firewalld rejects what tasks send: it knows nothing of their addresses",
            format!(
                "run `firewall-cmd --permanent --zone=trusted --add-source={} && firewall-cmd --reload`",
                cidr.unwrap_or("THE RANGE THAT `outport up` SAYS")
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn firewalls_beside_it() {
        check(&docker_of(false, false), "fine");
        check(&docker_of(true, true), "fine: beside it");
        check(&docker_of(true, false), "apt-get install iptables");
        let tables = "table inet filter\ntable inet firewalld\n";
        check(&firewalld_of("table inet filter\n", "", None), "fine: not running");
        check(&firewalld_of(tables, "10.0.0.0/8", None), "THE RANGE");
        let cidr = Some("172.31.0.0/16");
        check(&firewalld_of(tables, "10.0.0.0/8", cidr), "--add-source=172.31.0.0/16");
        check(
            &firewalld_of(tables, "10.0.0.0/8 172.31.0.0/16", cidr),
            "fine: beside it; it trusts",
        );
    }

    #[test]
    fn nftables_has_to_answer() {
        check(&nftables_of(Some((true, "table inet x".into()))), "fine");
        check(
            &nftables_of(Some((false, "Operation not permitted\nmore".into()))),
            "failed: Operation not permitted:",
        );
        check(&nftables_of(None), "apt-get install nftables");
    }
}
