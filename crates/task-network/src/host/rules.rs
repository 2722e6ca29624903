//! The instance's rules on this host: written, owned, watched, put back.
//!
//! **Invariant:** the elements of every recorded namespace are in the table whenever the table is there.

use super::{HostNetworkSettings, first_address, records};
use crate::attachment::{AttachedNamespace, Attachment, PortMapping};
use crate::error::NetworkError;
use crate::firewall::{self, Element, Ownership, Ruleset, TableSocket, Watch, ruleset_text};
use crate::forwarding::{self, Forwarding};
use crate::instance::NamespaceName;
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A host whose rules others change all the time is looked at this often at most.
const OTHERS_INTERVAL: Duration = Duration::from_secs(5);

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
    served: HashMap<NamespaceName, Vec<PortMapping>>,
}

impl Rules {
    /// Writes them, over those of an earlier process.
    pub fn open(settings: HostNetworkSettings, namespaces: PathBuf) -> Result<Rules, NetworkError> {
        let socket = TableSocket::open().map_err(NetworkError::kernel("open nf_tables"))?;
        let state = State { socket, is_owned: false, rules: 0, served: HashMap::new() };
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

    /// Forwarding and the table with its rules. Elements in the table stay.
    fn write(&self, state: &mut State) -> Result<(), NetworkError> {
        let settings = &self.settings;
        let forwarding = Forwarding::plan(&settings.runtime_directory)?;
        let kernel = || NetworkError::kernel("make a table of nf_tables");
        let can_be_owned = state.socket.make_table(&self.table).map_err(kernel())?;
        let text = ruleset_text(&Ruleset {
            table: self.table.clone(),
            link_prefix: settings.instance.link_prefix(),
            vpc_cidr: settings.vpc_cidr,
            bridge_cidr: settings.bridge_cidr,
            router: first_address(settings.vpc_cidr),
            metadata_port: settings.metadata_port,
            host_access: settings.host_access.clone(),
            closed_links: forwarding.closed_links.clone(),
        });
        if can_be_owned {
            firewall::run_script(&text)?;
            let owned = state.socket.own_table(&self.table).map_err(kernel())?;
            state.is_owned = owned == Ownership::Ours;
        } else {
            firewall::run_script(&format!("add table inet {}\n{text}", self.table))?;
            state.is_owned = false;
        }
        state.rules = state.socket.count_rules(&self.table).map_err(kernel())?;
        // Only now: nothing is forwarded without the rules.
        forwarding.turn_on()
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
        let served: Vec<Element> = state.served.values().flatten().map(served).collect();
        state.socket.add(&self.table, &served).map_err(kernel())?;
        Ok(!is_whole)
    }

    fn has_all_rules(&self, state: &mut State) -> bool {
        state.socket.count_rules(&self.table).is_ok_and(|rules| rules == state.rules)
    }

    /// [`Rules::mend`], and the ways past the host's own firewall.
    pub fn restore(&self) -> Result<(), NetworkError> {
        self.mend()?;
        self.pass_others()
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

    /// Lets tasks reach ports of the host that another task serves; an empty list takes it back.
    pub fn serve(&self, name: &NamespaceName, ports: Vec<PortMapping>) -> Result<(), NetworkError> {
        let mut state = self.state();
        let kernel = || NetworkError::kernel("change elements of nf_tables");
        if let Some(before) = state.served.remove(name) {
            let elements: Vec<Element> = before.iter().map(served).collect();
            state.socket.delete(&self.table, &elements).map_err(kernel())?;
        }
        if ports.is_empty() {
            return Ok(());
        }
        let elements: Vec<Element> = ports.iter().map(served).collect();
        state.served.insert(name.clone(), ports);
        state.socket.add(&self.table, &elements).map_err(kernel())
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
        elements
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
            tracing::error!("the guard of the network's rules panicked");
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
                tracing::error!(%error, "nobody watches the network's rules; they are looked at once a minute");
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
                        "somebody took the rules of the tasks' network away; they are back"
                    );
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot put the rules of the tasks' network back")
                }
            }
        }
        is_due |= noticed.other;
        if is_due && looked.elapsed() >= OTHERS_INTERVAL {
            (looked, is_due) = (Instant::now(), false);
            if let Err(error) = rules.pass_others() {
                tracing::error!(%error, "cannot pass the host's own firewall");
            }
        }
    }
}
