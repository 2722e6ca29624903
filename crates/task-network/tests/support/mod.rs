//! What the network tests share: an instance that cleans up after itself, and ways into a namespace.

mod reservation;

use outport_task_network::{
    Attachment, HostAccess, HostNetwork, HostNetworkSettings, InstanceId, Ipv4Net, MacAddress,
    NamespaceName, TaskInterface,
};
use reservation::Reservation;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// For what must not come: long enough for a machine that is not asleep.
const IN_VAIN: Duration = Duration::from_secs(2);
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The third octets of a range besides the VPC's.
const BRIDGE: u8 = 128;
const OUTSIDE: u8 = 192;

/// An instance of this process, with addresses that are free.
pub struct Fixture {
    instance: InstanceId,
    reserved: &'static Reservation,
    directory: tempfile::TempDir,
}

impl Fixture {
    pub fn new(name: &str) -> Fixture {
        Fixture::within(name, Reservation::forever())
    }

    /// Another instance that wants the same addresses.
    pub fn rival(&self, name: &str) -> Fixture {
        Fixture::within(name, self.reserved)
    }

    fn within(name: &str, reserved: &'static Reservation) -> Fixture {
        let instance = format!("test_{name}_{}", std::process::id()).parse().unwrap();
        let directory = tempfile::Builder::new().prefix("outport-network-").tempdir().unwrap();
        Fixture { instance, reserved, directory }
    }

    pub fn settings(&self) -> HostNetworkSettings {
        HostNetworkSettings {
            instance: self.instance.clone(),
            runtime_directory: self.directory.path().to_owned(),
            vpc_cidr: self.vpc(),
            bridge_cidr: self.reserved.net(BRIDGE, 24),
            metadata_port: None,
            host_access: HostAccess::Ports(Vec::new()),
            name_servers: Vec::new(),
        }
    }

    pub fn open(&self) -> HostNetwork {
        HostNetwork::open(self.settings()).unwrap()
    }

    /// Closes the network and checks that the host is as before.
    pub fn close(&self, network: HostNetwork) {
        network.close().unwrap();
        assert_eq!(self.links(), Vec::<String>::new(), "links left");
        let tables = output("nft list tables");
        assert!(!tables.contains(&self.instance.table()), "{tables}");
        let mounts = output("cat /proc/self/mountinfo");
        assert!(!mounts.contains(self.directory()), "mounts left");
        assert!(!self.directory.path().join("ns").exists());
    }

    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    pub fn directory(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    pub fn vpc(&self) -> Ipv4Net {
        self.reserved.net(0, 20)
    }

    pub fn address(&self, last: u8) -> Ipv4Addr {
        self.reserved.address(0, last)
    }

    pub fn bridge_gateway(&self) -> Ipv4Addr {
        self.reserved.address(BRIDGE, 1)
    }

    /// A host port that no other test uses.
    pub fn host_port(&self, number: u16) -> u16 {
        self.reserved.host_port(number)
    }

    /// The instance's links on the host, without their common prefix, sorted.
    pub fn links(&self) -> Vec<String> {
        let prefix = self.instance.link_prefix();
        let names = std::fs::read_dir("/sys/class/net").unwrap();
        let mut links: Vec<String> = names
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_prefix(&prefix).map(str::to_owned)
            })
            .collect();
        links.sort();
        links
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // After a failed test; a closed network has nothing left to remove.
        if let Err(error) = HostNetwork::remove_everything(&self.instance, self.directory.path()) {
            eprintln!("left behind: {error}");
        }
    }
}

pub fn name(text: &str) -> NamespaceName {
    text.parse().unwrap()
}

pub fn interface(fixture: &Fixture, last: u8) -> Attachment {
    let address = fixture.address(last);
    Attachment::Interface(TaskInterface {
        address,
        prefix_length: 20,
        gateway: fixture.address(1),
        mac: MacAddress::of(address),
    })
}

/// Runs `work` on a thread of its own inside the namespace.
pub fn in_namespace<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let namespace = File::open(path).unwrap();
    std::thread::spawn(move || {
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        work()
    })
    .join()
    .unwrap()
}

/// Whether a shell command succeeds.
pub fn run(command: &str) -> bool {
    Command::new("sh")
        .args(["-c", command])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// What a shell command prints.
pub fn output(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Serves `greeting` on `port` in the namespace, to one client at a time, for the test's life.
pub fn serve(path: &std::path::Path, port: u16, greeting: &'static str) {
    let listener =
        in_namespace(path, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().unwrap();
            // The client may have gone again.
            let _ = write!(stream, "{greeting} {}", peer.ip());
        }
    });
}

pub fn fetch(address: Ipv4Addr, port: u16) -> std::io::Result<String> {
    fetch_within(PATIENCE, address, port)
}

/// What should fail.
pub fn fetch_in_vain(address: Ipv4Addr, port: u16) -> std::io::Result<String> {
    fetch_within(IN_VAIN, address, port)
}

fn fetch_within(time: Duration, address: Ipv4Addr, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(address, port).into(), time)?;
    stream.set_read_timeout(Some(time))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

pub fn inode(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

/// A stranger: a namespace on a link of the host that is no instance's, which routes the VPC to the host.
pub struct Outside {
    link: String,
    near: Ipv4Addr,
    path: PathBuf,
}

impl Outside {
    pub fn new(fixture: &Fixture) -> Outside {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let link = format!("opo{}-{count}", std::process::id());
        let namespace = format!("{link}-outside");
        let (near, vpc) = (fixture.reserved.address(OUTSIDE, 1), fixture.vpc());
        let path = PathBuf::from(format!("/run/netns/{namespace}"));
        let outside = Outside { link: link.clone(), near, path };
        let far = outside.address();
        for command in [
            format!("ip netns add {namespace}"),
            format!("ip link add {link} type veth peer name eth0 netns {namespace}"),
            format!("ip addr add {near}/30 dev {link}"),
            format!("ip link set {link} up"),
            format!("ip -n {namespace} addr add {far}/30 dev eth0"),
            format!("ip -n {namespace} link set eth0 up"),
            format!("ip -n {namespace} link set lo up"),
            format!("ip -n {namespace} route add {vpc} via {near}"),
        ] {
            assert!(run(&command), "{command}");
        }
        outside
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.near) + 1)
    }

    pub fn host_address(&self) -> Ipv4Addr {
        self.near
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let namespace = self.path.file_name().unwrap().to_str().unwrap();
        run(&format!("ip link del {}; ip netns del {namespace}", self.link));
    }
}

/// A host of its own: an empty network namespace.
pub struct ScratchHost(PathBuf);

impl ScratchHost {
    pub fn new(label: &str) -> ScratchHost {
        let namespace = format!("opt-{label}-{}", std::process::id());
        assert!(run(&format!("ip netns add {namespace}")));
        ScratchHost(PathBuf::from(format!("/run/netns/{namespace}")))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchHost {
    fn drop(&mut self) {
        let namespace = self.0.file_name().unwrap().to_str().unwrap();
        run(&format!("ip netns del {namespace}"));
    }
}
