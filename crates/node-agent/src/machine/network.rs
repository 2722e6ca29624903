//! The network of each task: which namespaces it has, and the files that belong to them.
//!
//! `awsvpc`: one namespace, shared by the containers. `bridge`: one per container, as Docker's bridge
//! has. `none`: the container's own, made by the runtime. `host`: the host's.

use super::asked_ports;
use crate::in_span::spawn_blocking;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_container_runtime::{Namespace, TextFile, fail_point};
use outport_model::TaskId;
use outport_model::task_definition::TransportProtocol as Protocol;
use outport_node_protocol::{ContainerAssignment, TaskAssignment, TaskNetwork};
use outport_task_network::{
    AttachedNamespace, Attachment, HostAccess, HostNetwork, HostNetworkSettings, InvalidName,
    Ipv4Net, MacAddress, NamespaceName, PortMapping, Publication, PublishScope, TaskInterface,
    TransportProtocol, WantedPort, bridge_range, hostname_file, hosts_file, hosts_file_of_host,
    nameservers, resolv_conf_file,
};

/// Where the host keeps its name servers, in order of preference.
const RESOLV_CONFS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Most that is taken over of a file of the host: some block advertisements with long lists of names.
const HOST_FILE_BYTES_MAX: usize = 1 << 20;

/// Why a task has no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Host(#[from] outport_task_network::NetworkError),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("the assignment has an invalid {what}: {text}")]
    Assignment { what: &'static str, text: String },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The networks of this node's tasks.
pub struct Networks {
    host: Arc<HostNetwork>,
    /// Where the ports of tasks with an address of their own are published.
    publish: Option<PublishScope>,
    attached: Mutex<HashMap<String, AttachedNamespace>>,
    /// Of the namespaces whose tasks ask for ports of this host.
    asking: Mutex<HashMap<String, Publication>>,
}

impl Networks {
    /// Sets up the host's part. `endpoint_port`: where on the host tasks are answered that ask for their metadata.
    pub async fn open(
        run_dir: &Path,
        instance: &str,
        vpc_cidr: &str,
        host_access: HostAccess,
        publish: Option<PublishScope>,
        endpoint_port: u16,
    ) -> Result<Self, NetworkError> {
        let settings = settings(run_dir, instance, vpc_cidr, host_access)?;
        let settings = HostNetworkSettings { metadata_port: Some(endpoint_port), ..settings };
        let host = blocking(move || Ok(HostNetwork::open(settings)?)).await?;
        let (attached, asking) = (Mutex::default(), Mutex::default());
        Ok(Self { host: Arc::new(host), publish, attached, asking })
    }

    /// Fails when an address range of the instance is in use on this host.
    pub fn check(run_dir: &Path, instance: &str, vpc_cidr: &str) -> Result<(), NetworkError> {
        // What tasks may reach is not asked for here.
        let host_access = HostAccess::Ports(Vec::new());
        Ok(HostNetwork::check(&settings(run_dir, instance, vpc_cidr, host_access)?)?)
    }

    /// Makes the task's namespaces; repeating it finds them. `owner`: where the user namespace is pinned that they
    /// belong to.
    pub async fn attach(
        &self,
        task: &TaskAssignment,
        owner: Option<PathBuf>,
    ) -> Result<(), NetworkError> {
        if task.network == TaskNetwork::Host {
            let (host, name, ports) = (self.host.clone(), task.task.as_str().parse()?, ports(task));
            return blocking(move || Ok(host.serve(&name, ports)?)).await;
        }
        for (name, attachment) in attachments(task)? {
            let (host, wanted, owner) = (self.host.clone(), name.clone(), owner.clone());
            fail_point::reach("agent.network")?;
            let publication = self.publication(task);
            if publication.ports.iter().any(|port| port.host_port.is_some()) {
                self.asking().insert(name.as_str().to_owned(), publication.clone());
            }
            let made = move || {
                let made = host.attach_in(&wanted, &attachment, owner.as_deref())?;
                Ok(publish(&host, made, &publication))
            };
            let made = blocking(made).await?;
            self.lock().insert(name.as_str().to_owned(), made);
        }
        Ok(())
    }

    /// The addresses that the containers of a task have, each once.
    pub fn addresses(&self, task: &TaskAssignment) -> Vec<Ipv4Addr> {
        let made = task.containers.iter().filter_map(|one| self.of_container(task, one)?.address);
        made.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What of a task is to be reached at ports of this host, beside what its definition says.
    fn publication(&self, task: &TaskAssignment) -> Publication {
        let scope = self.publish.unwrap_or(PublishScope::Loopback);
        let ports = match (&task.network, self.publish) {
            (TaskNetwork::Awsvpc(_), Some(_)) => ports(task),
            _ => Vec::new(),
        };
        let labels = task.containers.iter().map(|container| &container.definition.docker_labels);
        let asked: Vec<PortMapping> = labels.flat_map(|labels| asked_ports::of(labels)).collect();
        let wanted = |one: &PortMapping| {
            let is_it = |asked: &&PortMapping| {
                (asked.protocol, asked.container_port) == (one.protocol, one.container_port)
            };
            let host_port = asked.iter().find(is_it).map(|asked| asked.host_port);
            WantedPort { protocol: one.protocol, container_port: one.container_port, host_port }
        };
        Publication { scope, ports: ports.iter().map(wanted).collect() }
    }

    /// Finds the namespaces of a task that an earlier agent started, and writes down again what somebody
    /// has cleaned away of them. A task runs on without: it has its network already.
    pub async fn adopt(&self, task: &TaskAssignment, owner: Option<PathBuf>) {
        if let TaskNetwork::Awsvpc(_) | TaskNetwork::Host = task.network
            && let Err(error) = self.attach(task, owner).await
        {
            tracing::warn!(
                event = "task_network_not_adopted",
                task = %task.task,
                %error,
                "cannot find the network of a task that runs: it runs on with what it has"
            );
        }
    }

    /// Removes the task's namespaces; whether none is left.
    pub async fn detach(&self, task: &TaskAssignment) -> bool {
        if task.network == TaskNetwork::Host {
            // What it served on the host.
            return match task.task.as_str().parse() {
                Ok(name) => self.remove(name).await,
                Err(_) => true,
            };
        }
        // Without valid names none was made.
        let Ok(attachments) = attachments(task) else { return true };
        let mut all = true;
        for (name, _) in attachments {
            self.lock().remove(name.as_str());
            self.asking().remove(name.as_str());
            all &= self.remove(name).await;
        }
        self.give_what_was_asked_for().await;
        all
    }

    /// Ports that a task has let go of, to those that ask for them: of a service the next task.
    async fn give_what_was_asked_for(&self) {
        let asking: Vec<(String, Publication)> =
            self.asking().iter().map(|(name, asked)| (name.clone(), asked.clone())).collect();
        for (name, publication) in asking {
            let Some(before) = self.lock().get(&name).cloned() else { continue };
            if has_what_it_asks_for(&before, &publication) {
                continue;
            }
            let host = self.host.clone();
            // It fails where the task has gone meanwhile, and runs on with what it has otherwise.
            let given = blocking(move || Ok(publish(&host, before, &publication))).await;
            if let Ok(given) = given
                && let Some(attached) = self.lock().get_mut(&name)
            {
                *attached = given;
            }
        }
    }

    /// Writes down again what is attached, after somebody has cleaned `/run`: the next agent looks there.
    pub async fn restore_records(&self) {
        let (host, attached) =
            (self.host.clone(), self.lock().values().cloned().collect::<Vec<_>>());
        if let Err(error) = blocking(move || Ok(host.restore_records(&attached)?)).await {
            tracing::error!(
                event = "network_records_not_restored",
                %error,
                "cannot write the records of the tasks' networks again"
            );
        }
    }

    /// Removes namespaces of tasks that nobody knows.
    pub async fn remove_leftovers(
        &self,
        is_leftover: impl Fn(&TaskId) -> bool,
    ) -> Result<(), NetworkError> {
        let host = self.host.clone();
        for name in blocking(move || Ok(host.names()?)).await? {
            let task = name.as_str().split_once('.').map_or(name.as_str(), |(task, _)| task);
            if is_leftover(&TaskId::new(task)) {
                // What stays is tried again at the next start.
                let _ = self.remove(name).await;
            }
        }
        Ok(())
    }

    async fn remove(&self, name: NamespaceName) -> bool {
        let host = self.host.clone();
        let shown = name.as_str().to_owned();
        let removed = match fail_point::reach("agent.detach") {
            Ok(()) => blocking(move || Ok(host.detach(&name)?)).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &removed {
            tracing::error!(
                event = "network_namespace_not_removed",
                namespace = shown,
                %error,
                "cannot remove a network namespace yet"
            );
        }
        removed.is_ok()
    }

    /// Renews the host's rules, which a firewall's restart or Docker may have taken away.
    pub async fn restore_rules(&self) {
        let host = self.host.clone();
        if let Err(error) = blocking(move || Ok(host.restore_rules()?)).await {
            tracing::error!(
                event = "network_rules_not_renewed",
                %error,
                "cannot renew the rules of the tasks' network"
            );
        }
    }

    /// Waits until what was detached is gone, and lets go of the rules: the instance is to be removed.
    pub async fn release(&self) -> Result<(), NetworkError> {
        let host = self.host.clone();
        blocking(move || {
            host.settle();
            Ok(host.release()?)
        })
        .await
    }

    /// The namespace that a container is to join.
    pub fn namespace(&self, task: &TaskAssignment, container: &ContainerAssignment) -> Namespace {
        match &task.network {
            TaskNetwork::Host => Namespace::Host,
            TaskNetwork::None => Namespace::New,
            TaskNetwork::Awsvpc(_) | TaskNetwork::Bridge => {
                match self.of_container(task, container) {
                    Some(attached) => Namespace::Path(attached.path),
                    None => Namespace::New,
                }
            }
        }
    }

    /// `None` leaves the runtime's own choice: the container's id, as Docker does.
    pub fn hostname(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Option<String> {
        match &task.network {
            TaskNetwork::Host => None,
            TaskNetwork::Awsvpc(interface) => Some(interface.private_dns_name.clone()),
            TaskNetwork::Bridge | TaskNetwork::None => {
                Some(container.id.as_str().replace('-', "").chars().take(12).collect())
            }
        }
    }

    /// `/etc/hosts` and its like.
    pub fn files(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Result<Vec<TextFile>, NetworkError> {
        if task.network == TaskNetwork::Host {
            return host_files(container);
        }
        let mut files = vec![("resolv.conf", resolv_conf(container)?)];
        let hostname =
            container.definition.hostname.clone().or_else(|| self.hostname(task, container));
        if let Some(hostname) = &hostname {
            let address = self.of_container(task, container).and_then(|made| made.address);
            let own = address.map(|address| (address, hostname.as_str()));
            files.push(("hosts", hosts_file(own, &extra_hosts(container)?)));
            files.push(("hostname", hostname_file(hostname)));
        }
        Ok(files.into_iter().map(text_file).collect())
    }

    fn of_container(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> Option<AttachedNamespace> {
        let name = namespace_name(task, container).ok()?;
        self.lock().get(name.as_str()).cloned()
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<String, Publication>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, AttachedNamespace>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_what_it_asks_for(attached: &AttachedNamespace, publication: &Publication) -> bool {
    let published = attached.published.as_ref().map_or(&[][..], |published| &published.ports);
    publication.ports.iter().filter(|port| port.host_port.is_some()).all(|asked| {
        published.iter().any(|one| {
            (one.protocol, one.container_port, Some(one.host_port))
                == (asked.protocol, asked.container_port, asked.host_port)
        })
    })
}

/// A task runs without it as well.
fn publish(
    host: &HostNetwork,
    made: AttachedNamespace,
    publication: &Publication,
) -> AttachedNamespace {
    if publication.ports.is_empty() && made.published.is_none() {
        return made;
    }
    match host.publish(&made.name, publication) {
        Ok(published) => {
            let found = published.published.as_ref().map_or(0, |published| published.ports.len());
            if found < publication.ports.len() {
                tracing::warn!(
                    event = "task_ports_not_published",
                    task = %made.name,
                    wanted = publication.ports.len(),
                    found,
                    "no port of this host is free for some ports of a task: they are reached at its address only"
                );
            }
            published
        }
        Err(error) => {
            tracing::warn!(
                event = "task_ports_publish_failed",
                task = %made.name,
                %error,
                "cannot publish the ports of a task on this host: they are reached at its address only"
            );
            made
        }
    }
}

/// Removes all that an instance made on the host, with nobody running.
pub fn remove_instance(run_dir: &Path, instance: &str) -> Result<(), NetworkError> {
    Ok(HostNetwork::remove_everything(&instance.parse()?, run_dir)?)
}

fn settings(
    run_dir: &Path,
    instance: &str,
    vpc_cidr: &str,
    host_access: HostAccess,
) -> Result<HostNetworkSettings, NetworkError> {
    let vpc_cidr = vpc_cidr.parse().map_err(|_| NetworkError::Assignment {
        what: "VPC range",
        text: vpc_cidr.chars().take(40).collect(),
    })?;
    Ok(HostNetworkSettings {
        instance: instance.parse()?,
        runtime_directory: run_dir.to_owned(),
        vpc_cidr,
        bridge_cidr: bridge_cidr(run_dir, instance),
        metadata_port: None,
        host_access,
        name_servers: host_name_servers().into_iter().filter_map(ipv4).collect(),
    })
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The private range of this instance's bridge mode: a /22 of 100.64.0.0/10, which is for the inside
/// of networks. Where it is looked for first comes from the instance's id.
fn bridge_cidr(run_dir: &Path, instance: &str) -> Ipv4Net {
    const PREFIX: u8 = 22;
    let within = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);
    const RANGES: u32 = 1 << (PREFIX - 10);
    let hash = instance.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31) + u32::from(byte));
    let base = u32::from(Ipv4Addr::new(100, 64, 0, 0)) + ((hash % RANGES) << (32 - PREFIX));
    bridge_range(run_dir, within, Ipv4Net::new_assert(Ipv4Addr::from(base), PREFIX))
}

fn namespace_name(
    task: &TaskAssignment,
    container: &ContainerAssignment,
) -> Result<NamespaceName, InvalidName> {
    match task.network {
        TaskNetwork::Bridge => format!("{}.{}", task.task, container.definition.name).parse(),
        _ => task.task.as_str().parse(),
    }
}

/// The namespaces that a task needs, each with what it is attached to.
fn attachments(task: &TaskAssignment) -> Result<Vec<(NamespaceName, Attachment)>, NetworkError> {
    match &task.network {
        TaskNetwork::Host | TaskNetwork::None => Ok(Vec::new()),
        TaskNetwork::Awsvpc(interface) => {
            let attachment = Attachment::Interface(TaskInterface {
                address: interface.address,
                prefix_length: interface.prefix,
                gateway: interface.gateway,
                mac: mac_address(&interface.mac_address)?,
            });
            Ok(vec![(task.task.as_str().parse()?, attachment)])
        }
        TaskNetwork::Bridge => task
            .containers
            .iter()
            .map(|container| {
                let ports = container.ports.iter().map(port_mapping).collect();
                let attachment = Attachment::Bridge { ports };
                Ok((namespace_name(task, container)?, attachment))
            })
            .collect(),
    }
}

/// The ports of a task by its definition.
fn ports(task: &TaskAssignment) -> Vec<PortMapping> {
    task.containers.iter().flat_map(|container| &container.ports).map(port_mapping).collect()
}

fn port_mapping(port: &outport_node_protocol::PortBinding) -> PortMapping {
    PortMapping {
        protocol: match port.protocol {
            Protocol::Tcp => TransportProtocol::Tcp,
            Protocol::Udp => TransportProtocol::Udp,
        },
        host_port: port.host_port,
        container_port: port.container_port,
    }
}

/// The files of a task on the host's network are the host's own, its name servers on loopback too. As Docker makes them.
fn host_files(container: &ContainerAssignment) -> Result<Vec<TextFile>, NetworkError> {
    let resolv_conf = match host_file("/etc/resolv.conf") {
        Some(text) if container.definition.dns_servers.is_empty() => text,
        _ => resolv_conf(container)?,
    };
    let hosts = host_file("/etc/hosts").unwrap_or_default();
    let files = [
        ("resolv.conf", resolv_conf),
        ("hosts", hosts_file_of_host(&hosts, &extra_hosts(container)?)),
        ("hostname", hostname_file(&crate::host::host_name())),
    ];
    Ok(files.into_iter().map(text_file).collect())
}

/// A text of the host; `None` when there is none, or none of a reasonable size.
fn host_file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().filter(|text| text.len() <= HOST_FILE_BYTES_MAX)
}

fn text_file((name, text): (&str, String)) -> TextFile {
    TextFile { target: format!("/etc/{name}"), text }
}

fn mac_address(text: &str) -> Result<MacAddress, NetworkError> {
    let invalid =
        || NetworkError::Assignment { what: "MAC address", text: text.chars().take(40).collect() };
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().ok_or_else(invalid)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
    }
    if parts.next().is_some() { Err(invalid()) } else { Ok(MacAddress(bytes)) }
}

fn extra_hosts(container: &ContainerAssignment) -> Result<Vec<(String, IpAddr)>, NetworkError> {
    container
        .definition
        .extra_hosts
        .iter()
        .map(|(name, address)| Ok((name.clone(), ip_address(address, "extraHosts address")?)))
        .collect()
}

fn resolv_conf(container: &ContainerAssignment) -> Result<String, NetworkError> {
    let servers = if container.definition.dns_servers.is_empty() {
        host_name_servers()
    } else {
        let servers = container.definition.dns_servers.iter();
        servers.map(|server| ip_address(server, "dnsServers address")).collect::<Result<_, _>>()?
    };
    Ok(resolv_conf_file(&servers, &container.definition.dns_search_domains, &[]))
}

/// Those of this host that tasks ask unless their definition says otherwise.
pub fn host_name_servers() -> Vec<IpAddr> {
    let texts: Vec<String> =
        RESOLV_CONFS.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    nameservers(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn ip_address(text: &str, what: &'static str) -> Result<IpAddr, NetworkError> {
    let invalid = || NetworkError::Assignment { what, text: text.chars().take(80).collect() };
    text.parse().map_err(|_| invalid())
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, NetworkError> + Send + 'static,
) -> Result<T, NetworkError> {
    spawn_blocking(call).await.map_err(std::io::Error::other)?
}
