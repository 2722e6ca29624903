//! The instance's rules on this host: written, owned, watched, put back.
//!
//! **Invariant:** the elements of every recorded namespace are in the table whenever the table is there, and after an
//! opening no others. An element goes with the last that needs it.

use super::{HostNetworkSettings, first_address, records};
use crate::attachment::{AttachedNamespace, Attachment, PortMapping, TransportProtocol};
use crate::error::NetworkError;
use crate::firewall::{
    self, Element, Ownership, Ruleset, TableSocket, Watch, elements_text, ruleset_text,
};
use crate::forwarding::{self, Forwarding};
use crate::instance::NamespaceName;
use crate::outward;
use crate::published::{PublishScope, Published};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A host whose rules others change all the time is looked at this often at most.
const OTHERS_INTERVAL: Duration = Duration::from_secs(5);
/// How often they are written at once, see [`Forwarding::turn_on`].
const WRITES_MAX: u8 = 3;
/// In the runtime directory: what tasks without a namespace of their own serve, for the next process.
const SERVED_RECORD: &str = "served.json";

/// The rules, shared with their watch.
pub struct Rules {
    settings: HostNetworkSettings,
    table: String,
    namespaces: PathBuf,
    state: Mutex<State>,
}

struct State {
    socket: TableSocket,
    is_owned: bool,
    /// How many there are when nobody took one away.
    rules: usize,
    /// Ports that tasks without a namespace of their own serve on the host.
    served: Served,
    /// Bridges that lead to the outside.
    outward: BTreeSet<String>,
}

type Served = HashMap<NamespaceName, Vec<PortMapping>>;

impl Rules {
    /// Writes them, over those of an earlier process.
    pub fn open(settings: HostNetworkSettings, namespaces: PathBuf) -> Result<Rules, NetworkError> {
        let socket = TableSocket::open().map_err(NetworkError::kernel("open nf_tables"))?;
        let served = read_served(&settings)?;
        let state = State { socket, is_owned: false, rules: 0, served, outward: BTreeSet::new() };
        let table = settings.instance.table();
        let rules = Rules { settings, table, namespaces, state: Mutex::new(state) };
        rules.write(&mut rules.state())?;
        rules.pass_others()?;
        Ok(rules)
    }

    /// Gives the table up: it is anybody's from now on.
    pub fn release(&self) -> Result<(), NetworkError> {
        let socket = TableSocket::open().map_err(NetworkError::kernel("open nf_tables"))?;
        let mut state = self.state();
        (state.socket, state.is_owned) = (socket, false);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forwarding and the table with its rules, and as its elements those of what is recorded.
    fn write(&self, state: &mut State) -> Result<(), NetworkError> {
        // Again when another instance has just turned forwarding off: once it sees our table, it does not.
        for _ in 0..WRITES_MAX {
            if self.write_once(state)? {
                return Ok(());
            }
        }
        Err(NetworkError::ForwardingOff)
    }

    /// All in one. `false`: forwarding was turned off meanwhile.
    fn write_once(&self, state: &mut State) -> Result<bool, NetworkError> {
        let settings = &self.settings;
        let forwarding = Forwarding::plan(&settings.runtime_directory)?;
        let kernel = || NetworkError::kernel("make a table of nf_tables");
        state.outward = outward_bridges()?;
        let mut elements = Vec::new();
        for attached in records::list(&self.namespaces)? {
            elements.extend(self.elements_of(&attached));
        }
        elements.extend(shared_elements(state));
        let can_be_owned = state.socket.make_table(&self.table).map_err(kernel())?;
        let mut text = ruleset_text(&Ruleset {
            table: self.table.clone(),
            link_prefix: settings.instance.link_prefix(),
            vpc_cidr: settings.vpc_cidr,
            bridge_cidr: settings.bridge_cidr,
            router: first_address(settings.vpc_cidr),
            metadata_port: settings.metadata_port,
            host_access: settings.host_access.clone(),
            closed_links: forwarding.closed_links.clone(),
        });
        text += &elements_text(&self.table, &elements);
        if !can_be_owned {
            text = format!("add table inet {}\n{text}", self.table);
        }
        firewall::run_script(&text)?;
        state.is_owned = false;
        // Only now: nothing is forwarded without the rules.
        if !forwarding.turn_on()? {
            return Ok(false);
        }
        if can_be_owned {
            let owned = state.socket.own_table(&self.table).map_err(kernel())?;
            state.is_owned = owned == Ownership::Ours;
        }
        state.rules = state.socket.count_rules(&self.table).map_err(kernel())?;
        Ok(true)
    }

    /// A way past the host's own firewall.
    fn pass_others(&self) -> Result<(), NetworkError> {
        forwarding::accept_in_iptables(&self.settings.instance.link_prefix())
    }

    /// Puts back what is missing of the table, rules and elements. What is there is not disturbed. `true`: something
    /// was missing.
    pub fn mend(&self) -> Result<bool, NetworkError> {
        let mut state = self.state();
        let kernel = || NetworkError::kernel("look after a table of nf_tables");
        let is_ours = state.is_owned
            && state.socket.own_table(&self.table).map_err(kernel())? == Ownership::Ours;
        let is_whole = is_ours || self.has_all_rules(&mut state);
        if !is_whole {
            self.write(&mut state)?;
        }
        for attached in records::list(&self.namespaces)? {
            let elements = self.elements_of(&attached);
            state.socket.add(&self.table, &elements).map_err(kernel())?;
        }
        let shared = shared_elements(&state);
        state.socket.add(&self.table, &shared).map_err(kernel())?;
        Ok(!is_whole)
    }

    /// Learns which bridges lead to the outside by now.
    fn look_outward(&self) -> Result<(), NetworkError> {
        let kernel = || NetworkError::kernel("change elements of nf_tables");
        let mut state = self.state();
        let now = outward_bridges()?;
        let of = |bridges: Vec<&String>| -> Vec<Element> {
            bridges.into_iter().map(|link| Element::Outward { link: link.clone() }).collect()
        };
        let (gone, new) = (
            of(state.outward.difference(&now).collect()),
            of(now.difference(&state.outward).collect()),
        );
        state.socket.delete(&self.table, &gone).map_err(kernel())?;
        state.socket.add(&self.table, &new).map_err(kernel())?;
        state.outward = now;
        Ok(())
    }

    fn has_all_rules(&self, state: &mut State) -> bool {
        state.socket.count_rules(&self.table).is_ok_and(|rules| rules == state.rules)
    }

    /// [`Rules::mend`], and the ways past the host's own firewall.
    pub fn restore(&self) -> Result<(), NetworkError> {
        self.mend()?;
        self.look_outward()?;
        self.pass_others()
    }

    /// The names of tasks that serve on the host.
    pub fn serving(&self) -> Vec<NamespaceName> {
        self.state().served.keys().cloned().collect()
    }

    /// Writes down again what tasks serve, after somebody has cleaned `/run`.
    pub fn restore_record(&self) -> Result<(), NetworkError> {
        self.record_served(&self.state().served)
    }

    fn record_served(&self, served: &Served) -> Result<(), NetworkError> {
        let path = self.settings.runtime_directory.join(SERVED_RECORD);
        let beside = path.with_extension("new");
        let write = || {
            fs::write(&beside, serde_json::to_vec(served)?)?;
            fs::rename(&beside, &path)
        };
        write().map_err(NetworkError::file(&path))
    }

    /// Adds the namespace's elements. A table that somebody deleted is made again first.
    pub fn add(&self, attached: &AttachedNamespace) -> Result<(), NetworkError> {
        let elements = self.elements_of(attached);
        let mut state = self.state();
        let added = match state.socket.add(&self.table, &elements) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.write(&mut state)?;
                state.socket.add(&self.table, &elements)
            }
            result => result,
        };
        added.map_err(NetworkError::kernel("add elements to nf_tables"))
    }

    /// Deletes the elements of a namespace, if it has a record, and does what takes the record away: both or none, for
    /// whoever mends meanwhile.
    pub fn delete<T>(
        &self,
        attached: Option<&AttachedNamespace>,
        forget: impl FnOnce() -> Result<T, NetworkError>,
    ) -> Result<T, NetworkError> {
        let mut state = self.state();
        if let Some(attached) = attached {
            let deleted = state.socket.delete(&self.table, &self.elements_of(attached));
            deleted.map_err(NetworkError::kernel("delete elements of nf_tables"))?;
        }
        forget()
    }

    /// Lets tasks reach ports of the host that another task serves; an empty list takes it back. A port that two serve
    /// stays open until neither does.
    pub fn serve(&self, name: &NamespaceName, ports: Vec<PortMapping>) -> Result<(), NetworkError> {
        let mut state = self.state();
        let before = match (state.served.get(name), ports.is_empty()) {
            (None, true) => return Ok(()),
            (Some(before), false) if *before == ports => Vec::new(),
            (before, _) => before.cloned().unwrap_or_default(),
        };
        let mut after = state.served.clone();
        match ports.is_empty() {
            true => after.remove(name),
            false => after.insert(name.clone(), ports.clone()),
        };
        // On disk first: what is in the table and in no record would stay there for good.
        self.record_served(&after)?;
        state.served = after;
        let kernel = || NetworkError::kernel("change elements of nf_tables");
        let still: Vec<Element> = state.served.values().flatten().map(served).collect();
        let mut closed: Vec<Element> = before.iter().map(served).collect();
        closed.retain(|element| !still.contains(element));
        state.socket.delete(&self.table, &closed).map_err(kernel())?;
        let opened: Vec<Element> = ports.iter().map(served).collect();
        state.socket.add(&self.table, &opened).map_err(kernel())
    }

    /// Exchanges the elements of a namespace for those of another record of it, which `record` writes.
    pub fn replace(
        &self,
        before: &AttachedNamespace,
        after: &AttachedNamespace,
        record: impl FnOnce() -> Result<(), NetworkError>,
    ) -> Result<(), NetworkError> {
        let (old, new) = (self.elements_of(before), self.elements_of(after));
        let gone: Vec<Element> = old.into_iter().filter(|one| !new.contains(one)).collect();
        let mut state = self.state();
        // First: what is in the table and in no record would stay there.
        record()?;
        let kernel = || NetworkError::kernel("change elements of nf_tables");
        state.socket.delete(&self.table, &gone).map_err(kernel())?;
        state.socket.add(&self.table, &new).map_err(kernel())
    }

    /// Whether a task without a namespace of its own serves that port on the host.
    pub fn is_served(&self, protocol: TransportProtocol, port: u16) -> bool {
        let state = self.state();
        let mut served = state.served.values().flatten();
        served.any(|one| (one.protocol, one.host_port) == (protocol, port))
    }

    fn elements_of(&self, attached: &AttachedNamespace) -> Vec<Element> {
        let Some(address) = attached.address else { return Vec::new() };
        let link = self.settings.link_of(attached);
        let mut elements = vec![Element::Source { link, address }];
        if let Attachment::Bridge { ports } = &attached.attachment {
            elements.push(Element::Hairpin { address });
            let ports = ports.iter();
            elements.extend(ports.map(|mapping| Element::Port { mapping: *mapping, address }));
        }
        let Some(Published { scope, ports }) = &attached.published else { return elements };
        if *scope == PublishScope::Everywhere {
            elements.push(Element::Hairpin { address });
        }
        elements.extend(ports.iter().map(|mapping| match scope {
            PublishScope::Loopback => Element::Loopback { mapping: *mapping, address },
            PublishScope::Everywhere => Element::Port { mapping: *mapping, address },
        }));
        elements
    }
}

/// Elements that are of no one namespace.
fn shared_elements(state: &State) -> Vec<Element> {
    let outward = state.outward.iter().map(|link| Element::Outward { link: link.clone() });
    state.served.values().flatten().map(served).chain(outward).collect()
}

fn outward_bridges() -> Result<BTreeSet<String>, NetworkError> {
    outward::bridges().map_err(NetworkError::kernel("list the host's bridges"))
}

/// What an earlier process wrote down; what of it is over is taken back by who knows that, see [`Rules::serving`].
fn read_served(settings: &HostNetworkSettings) -> Result<Served, NetworkError> {
    let path = settings.runtime_directory.join(SERVED_RECORD);
    match fs::read(&path) {
        // Unreadable: who serves is asked again when its task is taken over.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Served::new()),
        Err(error) => Err(NetworkError::file(&path)(error)),
    }
}

/// Removes the record, when the instance goes.
pub fn forget_served(runtime_directory: &Path) -> Result<(), NetworkError> {
    let path = runtime_directory.join(SERVED_RECORD);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::file(&path)(error))
        }
        _ => Ok(()),
    }
}

fn served(mapping: &PortMapping) -> Element {
    Element::Served { protocol: mapping.protocol, port: mapping.host_port }
}

/// The thread that puts rules back when somebody took them. It ends with the handle.
pub struct Guard {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    pub fn start(rules: Arc<Rules>) -> io::Result<Guard> {
        let (stop, stopped) = UnixStream::pair()?;
        let own_port = rules.state().socket.port()?;
        let watch = Watch::open(&rules.table, own_port, stopped)?;
        let thread = std::thread::Builder::new()
            .name("network-guard".to_owned())
            .spawn(move || guard(&rules, &watch))?;
        Ok(Guard { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                event = "network_rules_watch_panicked",
                "the thread that watches the network's rules panicked"
            );
        }
    }
}

fn guard(rules: &Rules, watch: &Watch) {
    let mut looked = Instant::now();
    // Something of others changed that was not looked at yet.
    let mut is_due = false;
    loop {
        let patience = is_due.then(|| OTHERS_INTERVAL.saturating_sub(looked.elapsed()));
        let noticed = match watch.wait(patience) {
            Ok(noticed) => noticed,
            Err(error) => {
                tracing::error!(
                    event = "network_rules_not_watched",
                    %error,
                    "cannot watch the rules of the tasks' network: they are looked at once a minute"
                );
                return;
            }
        };
        if noticed.end {
            return;
        }
        if noticed.own {
            match rules.mend() {
                Ok(true) => {
                    tracing::warn!(
                        event = "network_rules_restored",
                        "somebody removed the rules of the tasks' network; they are restored"
                    );
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(
                        event = "network_rules_not_restored",
                        %error,
                        "cannot restore the rules of the tasks' network"
                    )
                }
            }
        }
        is_due |= noticed.other;
        if is_due && looked.elapsed() >= OTHERS_INTERVAL {
            (looked, is_due) = (Instant::now(), false);
            if let Err(error) = rules.pass_others() {
                tracing::error!(
                    event = "host_firewall_not_opened",
                    %error,
                    "cannot let the tasks' packets through the host's own firewall"
                );
            }
        }
    }
}
