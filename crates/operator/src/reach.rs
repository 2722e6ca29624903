//! Where the ports of a task are reached.
//!
//! | network mode | where |
//! |---|---|
//! | `awsvpc` | at a port of the machine, if it is published there; else at the task's address |
//! | `bridge` | at the host port that the task was given |
//! | `host` | at the container's port, on the machine |
//! | `none` | nowhere |

use std::collections::HashMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::Api;
use crate::value::{list, name_of, text};

const LOOPBACK: &str = "127.0.0.1";

/// A port of a task, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub is_udp: bool,
    pub host: String,
    pub port: u16,
}

impl Port {
    /// A URL for TCP, which is HTTP more often than not; `HOST:PORT/udp` otherwise.
    pub fn shown(&self) -> String {
        let Self { is_udp, host, port } = self;
        if *is_udp { format!("{host}:{port}/udp") } else { format!("http://{host}:{port}") }
    }
}

/// The ports of the machine that lead to tasks with addresses of their own: by task, protocol and the task's port.
#[derive(Clone, Debug, Default)]
pub struct Published(HashMap<(String, String, u16), HostPort>);

#[derive(Clone, Copy, Debug)]
struct HostPort {
    is_loopback: bool,
    port: u16,
}

impl Published {
    /// None where the Outport publishes none for who asks, or is of a version that does not.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn ask(api: &Api) -> Result<Self> {
        let (status, answer) = api.get("/_outport/published-ports").await?;
        let answer: Value = match status {
            200 => serde_json::from_str(&answer).unwrap_or_default(),
            _ => Value::Null,
        };
        Ok(Self::read(&answer))
    }

    pub(crate) fn read(answer: &Value) -> Self {
        let port = |port: &Value| {
            let task = text(port, "taskId").to_owned();
            let key = (task, text(port, "protocol").to_owned(), number(port, "containerPort")?);
            let is_loopback = text(port, "hostIp") == LOOPBACK;
            Some((key, HostPort { is_loopback, port: number(port, "hostPort")? }))
        };
        Self(list(answer, "ports").iter().filter_map(port).collect())
    }

    /// The port of the machine that leads to a port of the task.
    pub(crate) fn host_port(&self, task: &Value, protocol: &str, port: u16) -> Option<u16> {
        self.of(task, protocol, port).map(|found| found.port)
    }

    fn of(&self, task: &Value, protocol: &str, container_port: u16) -> Option<HostPort> {
        let id = name_of(text(task, "taskArn")).to_owned();
        self.0.get(&(id, protocol.to_owned(), container_port)).copied()
    }
}

fn number(value: &Value, member: &str) -> Option<u16> {
    value[member].as_u64().and_then(|number| u16::try_from(number).ok())
}

/// Of the network interface that an `awsvpc` task has.
pub fn address(task: &Value) -> Option<&str> {
    let details =
        list(task, "attachments").iter().flat_map(|attachment| list(attachment, "details"));
    let mut addresses = details.filter(|detail| text(detail, "name") == "privateIPv4Address");
    let address = addresses.next().map(|detail| text(detail, "value"));
    // It becomes a part of a URL.
    address.filter(|address| address.parse::<Ipv4Addr>().is_ok())
}

/// The ports of a described task, whose definition may be unknown, in the definition's order. `machine`: the name or
/// address of the machine that runs it.
pub fn ports(task: &Value, definition: &Value, published: &Published, machine: &str) -> Vec<Port> {
    let bindings = bindings(task);
    let on = |host: &str, mapping: &Value, port: Option<u16>| {
        let is_udp = text(mapping, "protocol") == "udp";
        port.map(|port| Port { is_udp, host: host.to_owned(), port })
    };
    if !bindings.is_empty() {
        return bindings
            .into_iter()
            .filter_map(|binding| on(machine, binding, number(binding, "hostPort")))
            .collect();
    }
    let own = match (address(task), text(definition, "networkMode")) {
        (Some(address), _) => address,
        (None, "host") => machine,
        (None, _) => return Vec::new(),
    };
    let mappings = list(definition, "containerDefinitions")
        .iter()
        .flat_map(|container| list(container, "portMappings"));
    let reached = mappings.filter_map(|mapping| {
        let container_port = number(mapping, "containerPort");
        let protocol = if text(mapping, "protocol") == "udp" { "udp" } else { "tcp" };
        match container_port.and_then(|port| published.of(task, protocol, port)) {
            Some(HostPort { is_loopback, port }) => {
                on(if is_loopback { LOOPBACK } else { machine }, mapping, Some(port))
            }
            None => on(own, mapping, container_port),
        }
    });
    reached.collect()
}

/// Of a `bridge` task, one for each mapping: the API names each for IPv4 and for IPv6.
fn bindings(task: &Value) -> Vec<&Value> {
    list(task, "containers")
        .iter()
        .flat_map(|container| list(container, "networkBindings"))
        .filter(|binding| !text(binding, "bindIP").contains(':'))
        .collect()
}

/// Where a TCP port of a task is, seen from the machine that runs it.
///
/// # Errors
/// When there is no way to it.
pub fn target(task: &Value, definition: &Value, container_port: u16) -> Result<(Ipv4Addr, u16)> {
    let id = name_of(text(task, "taskArn"));
    if let Some(address) = address(task) {
        let address = address.parse().with_context(|| format!("{address:?} is no address"))?;
        return Ok((address, container_port));
    }
    match text(definition, "networkMode") {
        "host" => Ok((Ipv4Addr::LOCALHOST, container_port)),
        "none" => bail!("task {id} has the network mode none: nothing reaches it"),
        _ => {
            let bindings = bindings(task);
            let of_tcp: Vec<&&Value> =
                bindings.iter().filter(|binding| text(binding, "protocol") != "udp").collect();
            let is_it =
                |binding: &&&&Value| number(binding, "containerPort") == Some(container_port);
            if let Some(port) =
                of_tcp.iter().find(is_it).and_then(|found| number(found, "hostPort"))
            {
                return Ok((Ipv4Addr::LOCALHOST, port));
            }
            let mapped = of_tcp.iter().filter_map(|one| number(one, "containerPort"));
            let mapped: Vec<String> = mapped.map(|port| port.to_string()).collect();
            let has = match mapped.is_empty() {
                true => "none".to_owned(),
                false => format!("only {}", mapped.join(", ")),
            };
            bail!(
                "task {id} has the network mode bridge, which is reached at mapped ports, and maps {has}: port \
                 {container_port} needs a port mapping"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task() -> Value {
        json!({
            "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/default/4f2a5b6c7d8e9f00",
            "attachments": [{ "details": [{ "name": "privateIPv4Address", "value": "172.31.0.5" }] }],
            "containers": [{ "name": "web" }],
        })
    }

    fn definition(mode: &str) -> Value {
        json!({ "networkMode": mode, "containerDefinitions": [
            { "name": "web", "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }] },
            { "name": "side", "portMappings": [{ "containerPort": 514, "protocol": "udp" }] },
        ] })
    }

    #[track_caller]
    fn check(
        task: &Value,
        definition: &Value,
        published: &Value,
        machine: &str,
        expected: &[&str],
    ) {
        let ports = ports(task, definition, &Published::read(published), machine);
        assert_eq!(ports.iter().map(Port::shown).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_task_with_an_address_is_reached_there_or_where_it_is_published() {
        let awsvpc = definition("awsvpc");
        let at_address = ["http://172.31.0.5:8080", "172.31.0.5:514/udp"];
        check(&task(), &awsvpc, &Value::Null, "127.0.0.1", &at_address);
        let published = json!({ "ports": [
            { "taskId": "4f2a5b6c7d8e9f00", "protocol": "tcp", "containerPort": 8080, "hostIp": "0.0.0.0", "hostPort": 18_080 },
            { "taskId": "4f2a5b6c7d8e9f00", "protocol": "udp", "containerPort": 514, "hostIp": "127.0.0.1", "hostPort": 10_514 },
            { "taskId": "other", "protocol": "udp", "containerPort": 514, "hostPort": 10_514 },
            { "taskId": "4f2a5b6c7d8e9f00", "protocol": "tcp", "containerPort": 99_999_999, "hostPort": 1 },
        ] });
        let expected = ["http://127.0.0.1:18080", "127.0.0.1:10514/udp"];
        check(&task(), &awsvpc, &published, "127.0.0.1", &expected);
        check(&task(), &awsvpc, &published, "a.b", &["http://a.b:18080", expected[1]]);
    }

    #[test]
    fn other_modes_are_reached_on_the_machine_or_not_at_all() {
        let mut task = task();
        task["attachments"] = json!([]);
        let on_machine = ["http://127.0.0.1:8080", "127.0.0.1:514/udp"];
        check(&task, &definition("host"), &Value::Null, "127.0.0.1", &on_machine);
        check(&task, &definition("none"), &Value::Null, "127.0.0.1", &[]);
        assert_eq!(target(&task, &definition("host"), 9).unwrap(), (Ipv4Addr::LOCALHOST, 9));
        let refused = target(&task, &definition("none"), 9).unwrap_err().to_string();
        assert!(refused.contains("network mode none"), "{refused}");
        task["containers"][0]["networkBindings"] = json!([
            { "bindIP": "0.0.0.0", "hostPort": 49_153, "containerPort": 8080, "protocol": "tcp" },
            { "bindIP": "::", "hostPort": 49_153, "containerPort": 8080, "protocol": "tcp" },
        ]);
        check(&task, &Value::Null, &Value::Null, "h", &["http://h:49153"]);
        assert_eq!(target(&task, &Value::Null, 8080).unwrap(), (Ipv4Addr::LOCALHOST, 49_153));
        let refused = target(&task, &Value::Null, 9).unwrap_err().to_string();
        assert!(refused.contains("maps only 8080: port 9 needs"), "{refused}");
    }

    #[test]
    fn a_task_with_an_address_is_forwarded_to_at_any_port() {
        let reached = target(&task(), &Value::Null, 9).unwrap();
        assert_eq!(reached, (Ipv4Addr::new(172, 31, 0, 5), 9));
    }
}
