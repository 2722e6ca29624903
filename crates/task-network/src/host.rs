//! The instance's network on this host: opened once, then namespaces come and go.

mod build;
mod publish;
mod records;
mod rules;
mod take_apart;

use crate::attachment::{
    AttachedNamespace, Attachment, MacAddress, PortMapping, TransportProtocol,
};
use crate::bridge::BridgeAddresses;
use crate::error::NetworkError;
use crate::firewall::{self, HostAccess};
use crate::instance::{InstanceId, NamespaceName};
use crate::ports::HeldPorts;
use crate::published::PublishScope;
use crate::reaper::{Reaper, Remains, delete_links, reap};
use crate::route::{self, LinkEnd, RouteSocket};
use crate::{clash, forwarding, namespace, ranges};
use ipnet::Ipv4Net;
use rules::{Guard, Rules};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The wire address of the host's end of every pair: the neighbour of every task.
const HOST_MAC: MacAddress = MacAddress([0x0a, 0x58, 0, 0, 0, 1]);
const ROUTER_MAC: MacAddress = MacAddress([0x0a, 0x58, 0, 0, 0, 2]);
const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// What clouds call the service that a machine asks for its own credentials: AWS and most others, Azure, Alibaba.
const METADATA_SERVICES: [Ipv4Addr; 3] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
];
const RECORD: &str = "attachment.json";
/// Directories of namespaces that are being taken apart begin with this; no [`NamespaceName`] does.
const DETACHED_PREFIX: &str = ".detached-";
const EEXIST: i32 = 17;

/// What the instance's network is made of.
#[derive(Debug, Clone)]
pub struct HostNetworkSettings {
    /// Whose network it is.
    pub instance: InstanceId,
    /// The instance's directory below `/run/outport`; namespaces are pinned in `ns/` of it.
    pub runtime_directory: PathBuf,
    /// The addresses of `awsvpc` tasks: the default VPC's range. The first address becomes the host's own.
    pub vpc_cidr: Ipv4Net,
    /// The addresses of `bridge` containers, apart from `vpc_cidr`.
    pub bridge_cidr: Ipv4Net,
    /// The host port, on 169.254.170.2, of the task metadata endpoint; tasks reach it as 169.254.170.2:80.
    pub metadata_port: Option<u16>,
    /// What tasks may reach on the host beside name servers, an answer to a ping, their metadata, published ports and
    /// what tasks in network mode `host` serve.
    pub host_access: HostAccess,
    /// The name servers of tasks: these are reached also where a cloud keeps the machine's metadata on the same address.
    pub name_servers: Vec<Ipv4Addr>,
}

impl HostNetworkSettings {
    fn link_of(&self, attached: &AttachedNamespace) -> String {
        let recorded = attached.link.clone();
        recorded.unwrap_or_else(|| self.instance.unrecorded_link(&attached.name))
    }
}

/// The instance's network. Methods may be called from many threads; each blocks for some milliseconds.
pub struct HostNetwork {
    settings: HostNetworkSettings,
    namespaces: PathBuf,
    router: Ipv4Addr,
    /// The host's own namespace: where the other ends of the pairs go.
    host_namespace: File,
    rules: Arc<Rules>,
    state: Mutex<State>,
    reaper: Reaper,
    /// `None` once the instance is to go.
    guard: Mutex<Option<Guard>>,
    detached: AtomicU64,
}

struct State {
    bridge: BridgeAddresses,
    ports: HashMap<NamespaceName, HeldPorts>,
    /// Ports of the host that lead to namespaces with an interface of their own.
    published: HashMap<(TransportProtocol, u16), HeldPort>,
    /// Who has which address.
    addresses: HashMap<Ipv4Addr, NamespaceName>,
    /// Who has which link.
    links: HashMap<String, NamespaceName>,
    /// One at a time for each name; different names go at once.
    in_work: HashMap<NamespaceName, Arc<Mutex<()>>>,
    /// What is to be detached, and is not yet.
    leaving: HashSet<NamespaceName>,
}

/// A published port, as long as it is held.
struct HeldPort {
    owner: NamespaceName,
    scope: PublishScope,
    _socket: OwnedFd,
}

impl HostNetwork {
    /// Sets the host up, or takes over what an earlier process of the same instance set up. Namespaces that exist
    /// stay as they are: see [`HostNetwork::list`].
    pub fn open(settings: HostNetworkSettings) -> Result<HostNetwork, NetworkError> {
        HostNetwork::check(&settings)?;
        ranges::claim(&settings)?;
        let namespaces = settings.runtime_directory.join("ns");
        fs::create_dir_all(&namespaces).map_err(NetworkError::file(&namespaces))?;
        let router = first_address(settings.vpc_cidr);
        let rules = Arc::new(Rules::open(settings.clone(), namespaces.clone())?);
        let guard = Guard::start(Arc::clone(&rules));
        make_router(&settings, router)?;
        let own = Path::new("/proc/thread-self/ns/net");
        let network = HostNetwork {
            state: Mutex::new(State {
                bridge: BridgeAddresses::new(settings.bridge_cidr),
                ports: HashMap::new(),
                published: HashMap::new(),
                addresses: HashMap::new(),
                links: HashMap::new(),
                in_work: HashMap::new(),
                leaving: HashSet::new(),
            }),
            namespaces,
            router,
            host_namespace: File::open(own).map_err(NetworkError::file(own))?,
            rules,
            guard: Mutex::new(Some(guard.map_err(NetworkError::kernel("watch nf_tables"))?)),
            reaper: Reaper::start().map_err(NetworkError::kernel("start a thread"))?,
            detached: AtomicU64::new(0),
            settings,
        };
        network.adopt_existing()?;
        Ok(network)
    }

    /// Fails when something else on the host uses one of the instance's address ranges; makes nothing.
    pub fn check(settings: &HostNetworkSettings) -> Result<(), NetworkError> {
        ranges::check(settings)?;
        check_clashes(settings)
    }

    /// Puts back what somebody took away of rules and elements (a restart of a firewall), and passes a firewall that came
    /// later, such as Docker's. The watch does the same when the kernel tells of a change; this is for what it does not
    /// tell, such as iptables of the old kind. Running connections are not disturbed.
    pub fn restore_rules(&self) -> Result<(), NetworkError> {
        self.rules.restore()
    }

    /// Lets tasks reach ports of the host that a task without a namespace of its own (network mode `host`) serves, until
    /// [`HostNetwork::detach`] of that name.
    pub fn serve(&self, name: &NamespaceName, ports: Vec<PortMapping>) -> Result<(), NetworkError> {
        self.rules.serve(name, ports.clone())?;
        self.publish_elsewhere(self.give_way(&ports));
        Ok(())
    }

    /// The host's own address in the VPC: the source of what the host sends to tasks.
    pub fn router_address(&self) -> Ipv4Addr {
        self.router
    }

    /// Makes the namespace `name` and attaches it. Calling it again with the same attachment finds the namespace, checks
    /// it and renews its rules.
    pub fn attach(
        &self,
        name: &NamespaceName,
        attachment: &Attachment,
    ) -> Result<AttachedNamespace, NetworkError> {
        self.attach_in(name, attachment, None)
    }

    /// As [`HostNetwork::attach`], for a task whose user namespace is pinned at `owner`: one that is made belongs to it.
    pub fn attach_in(
        &self,
        name: &NamespaceName,
        attachment: &Attachment,
        owner: Option<&Path>,
    ) -> Result<AttachedNamespace, NetworkError> {
        let turn = self.turn(name);
        let _mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_addresses(attachment)?;
        if let Some(existing) = self.read(name)? {
            if existing.attachment != *attachment {
                return Err(NetworkError::AttachedDifferently(name.to_string()));
            }
            if namespace::is_pinned(&existing.path) && self.has_link(&existing)? {
                self.rules.add(&existing)?;
                return Ok(existing);
            }
            self.take_apart(name)?;
        }
        let mut promised = self.promise_and_move(name, attachment);
        if let Err(NetworkError::AddressInUse { owner, .. }) = &promised
            && let Some(owner) = self.leaving(owner)
        {
            self.detach(&owner)?;
            promised = self.promise(name, attachment);
        }
        let promised = promised?;
        // A namespace that is whole but for its record: somebody has cleaned `/run` under what runs in it.
        // The address of a bridge's is not known without its record.
        if matches!(attachment, Attachment::Interface(_))
            && namespace::is_pinned(&promised.path)
            && self.has_link(&promised)?
        {
            self.restore_records(std::slice::from_ref(&promised))?;
            self.rules.add(&promised)?;
            return Ok(promised);
        }
        match self.build(promised, owner) {
            Ok(attached) => Ok(attached),
            Err(error) => {
                // The first error is the one to report.
                if let Err(second) = self.take_apart(name) {
                    tracing::warn!(
                        event = "network_not_undone",
                        %second,
                        %name,
                        "cannot remove a network that is only half made"
                    );
                }
                Err(error)
            }
        }
    }

    /// Detaches the namespace: returns when nothing reaches it any more; namespace and link are taken apart behind.
    /// None of that name is fine.
    pub fn detach(&self, name: &NamespaceName) -> Result<(), NetworkError> {
        let turn = self.turn(name);
        self.state().leaving.insert(name.clone());
        let result = {
            let _mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.rules.serve(name, Vec::new()).and_then(|()| self.take_apart(name))
        };
        drop(turn);
        let mut state = self.state();
        state.in_work.retain(|_, turn| Arc::strong_count(turn) > 1);
        if result.is_ok() {
            state.leaving.remove(name);
        }
        drop(state);
        result
    }

    /// All namespaces of this instance, whole or not: what to adopt, and what to detach.
    pub fn list(&self) -> Result<Vec<AttachedNamespace>, NetworkError> {
        records::list(&self.namespaces)
    }

    /// Lets go of the rules, which stay as they are, so that [`HostNetwork::remove_everything`] can take them: nobody
    /// puts them back any more.
    ///
    /// # Errors
    /// When the kernel has no socket left.
    pub fn release(&self) -> Result<(), NetworkError> {
        drop(self.guard.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.rules.release()
    }

    /// The names of all namespaces of this instance, also of those whose record is lost, and of the tasks that serve on
    /// the host without one.
    pub fn names(&self) -> Result<Vec<NamespaceName>, NetworkError> {
        let names = records::directory_names(&self.namespaces)?;
        let mut names: Vec<NamespaceName> =
            names.iter().filter_map(|name| name.parse().ok()).collect();
        names.extend(self.rules.serving());
        Ok(names)
    }

    /// Writes the records of what is attached again where they are gone.
    pub fn restore_records(&self, attached: &[AttachedNamespace]) -> Result<(), NetworkError> {
        self.rules.restore_record()?;
        for one in attached {
            let directory = self.namespaces.join(one.name.as_str());
            if !directory.join(RECORD).exists() {
                fs::create_dir_all(&directory).map_err(NetworkError::file(&directory))?;
                records::write(&self.namespaces, &self.with_held_ports(one))?;
            }
        }
        Ok(())
    }

    /// Waits until everything that was detached is gone from the host.
    pub fn settle(&self) {
        self.reaper.settle();
    }

    /// Detaches everything, waits, and removes rules and links of the instance: nothing of it is left on the host.
    pub fn close(self) -> Result<(), NetworkError> {
        let HostNetworkSettings { instance, runtime_directory, .. } = self.settings.clone();
        for name in records::directory_names(&self.namespaces)? {
            if let Ok(name) = name.parse() {
                self.detach(&name)?;
            }
        }
        self.settle();
        drop(self);
        HostNetwork::remove_everything(&instance, &runtime_directory)
    }

    /// Removes whatever an instance left on the host: namespaces, links, rules. The instance must not be running.
    pub fn remove_everything(
        instance: &InstanceId,
        runtime_directory: &Path,
    ) -> Result<(), NetworkError> {
        let namespaces = runtime_directory.join("ns");
        let names = records::directory_names(&namespaces)?;
        let remains = names.iter().map(|name| namespaces.join(name));
        let remains: Vec<Remains> =
            remains.map(|directory| Remains { directory, link_index: None }).collect();
        reap(remains).map_err(|stayed| stayed.error)?;
        let prefix = instance.link_prefix();
        let remove_links = || {
            let links = RouteSocket::open()?.links()?.into_iter();
            let own = links.filter(|(_, name)| name.starts_with(&prefix));
            delete_links(&own.map(|(index, _)| index).collect::<Vec<u32>>())
        };
        remove_links().map_err(NetworkError::kernel("delete links"))?;
        firewall::remove_table(&instance.table())?;
        rules::forget_served(runtime_directory)?;
        forwarding::turn_off(runtime_directory)?;
        forwarding::remove_from_iptables(&prefix)?;
        match fs::remove_dir(&namespaces) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NetworkError::file(&namespaces)(error))
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The namespace of that name if it was to be detached and is still there, for want of descriptors, say: whoever
    /// comes next may have been given its address.
    fn leaving(&self, name: &str) -> Option<NamespaceName> {
        self.state().leaving.iter().find(|leaving| leaving.as_str() == name).cloned()
    }

    fn turn(&self, name: &NamespaceName) -> Arc<Mutex<()>> {
        Arc::clone(self.state().in_work.entry(name.clone()).or_default())
    }

    /// Learns what exists, finishes what a crash interrupted, and puts elements back that a flush took away.
    fn adopt_existing(&self) -> Result<(), NetworkError> {
        let mut all_are_known = true;
        for name in records::directory_names(&self.namespaces)? {
            if name.starts_with(DETACHED_PREFIX) {
                let directory = self.namespaces.join(name);
                self.reaper.reap(Remains { directory, link_index: None });
            } else if let Ok(name) = name.parse::<NamespaceName>() {
                match self.read(&name)? {
                    Some(existing) => {
                        all_are_known &=
                            existing.address.is_some() || existing.attachment != Attachment::None;
                        self.note(&existing);
                        self.rules.add(&existing)?;
                    }
                    // Its record was taken from it: whoever attaches it again knows what it is.
                    None if namespace::is_pinned(
                        &self.namespaces.join(name.as_str()).join("net"),
                    ) =>
                    {
                        all_are_known = false;
                    }
                    None => self.take_apart(&name)?,
                }
            }
        }
        if all_are_known { Ok(()) } else { self.note_routed() }
    }

    /// Which address somebody has whose record does not say it, the host's routes do: all that lead to a link of this
    /// instance stay taken.
    fn note_routed(&self) -> Result<(), NetworkError> {
        let look = || {
            let mut socket = RouteSocket::open()?;
            Ok((socket.occupied()?, socket.links()?))
        };
        let (occupied, links) = look().map_err(NetworkError::kernel("list the host's routes"))?;
        let prefix = self.settings.instance.link_prefix();
        let own =
            |index| links.iter().any(|(link, name)| *link == index && name.starts_with(&prefix));
        let routed =
            occupied.iter().filter(|route| route.prefix_length == 32 && own(route.link_index));
        let mut state = self.state();
        for route in routed.filter(|route| self.settings.bridge_cidr.contains(&route.destination)) {
            state.bridge.note(route.destination);
        }
        Ok(())
    }

    fn note(&self, existing: &AttachedNamespace) {
        let mut state = self.state();
        if let Some(address) = existing.address {
            state.addresses.insert(address, existing.name.clone());
            state.links.insert(self.settings.link_of(existing), existing.name.clone());
        }
        if let Attachment::Bridge { ports } = &existing.attachment {
            if let Some(address) = existing.address {
                state.bridge.note(address);
            }
            state.ports.insert(existing.name.clone(), HeldPorts::take_free(ports));
        }
        drop(state);
        self.note_published(existing);
    }

    fn read(&self, name: &NamespaceName) -> Result<Option<AttachedNamespace>, NetworkError> {
        records::read(&self.namespaces, name)
    }
}

fn first_address(cidr: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()) + 1)
}

fn check_clashes(settings: &HostNetworkSettings) -> Result<(), NetworkError> {
    let look = || {
        let mut socket = RouteSocket::open()?;
        Ok((socket.occupied()?, socket.links()?))
    };
    let (occupied, links) = look().map_err(NetworkError::kernel("list the host's routes"))?;
    let prefix = settings.instance.link_prefix();
    clash::check(settings.vpc_cidr, &occupied, &links, &prefix)?;
    clash::check(settings.bridge_cidr, &occupied, &links, &prefix)
}

/// The link that holds the host's addresses in the VPC and the bridge network. A pair with nothing at the other end:
/// hosts without the dummy driver have pairs at least.
fn make_router(settings: &HostNetworkSettings, router: Ipv4Addr) -> Result<(), NetworkError> {
    let kernel = || NetworkError::kernel("make the router link");
    let (name, other) = settings.instance.router_links();
    let mut socket = RouteSocket::open().map_err(kernel())?;
    let end = |name| LinkEnd { name, mac: ROUTER_MAC, namespace: None, index: None };
    match socket.change(vec![route::new_pair(&end(&name), &end(&other))]) {
        Err(error) if error.raw_os_error() != Some(EEXIST) => return Err(kernel()(error)),
        _ => {}
    }
    let index = socket.link_index(&name).map_err(kernel())?;
    let index = index.ok_or_else(|| kernel()(io::Error::from(io::ErrorKind::NotFound)))?;
    let addresses = [router, first_address(settings.bridge_cidr), METADATA_ADDRESS];
    let mut changes = vec![route::up(index)];
    changes.extend(addresses.map(|address| route::address(index, address, 32)));
    socket.change(changes).map_err(kernel())
}
