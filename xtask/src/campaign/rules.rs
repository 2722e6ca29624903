//! Somebody else flushes the host's firewall rules, as a restarted firewall does, while a task that wants out runs.
//!
//! **Invariant**: all of it happens in a network namespace of its own: the host's rules, and other
//! Outports on the host, are not touched.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::json;

use super::{Course, Stage};
use crate::process::{self, output, until};

/// What others do to rules.
const VANDALS: [&str; 6] = [
    "flush ruleset",
    "delete table inet TABLE",
    "flush chain inet TABLE from_tasks",
    "flush chain inet TABLE to_host",
    "flush set inet TABLE sources",
    "add table ip strangers",
];
/// How long the rules may stay away, and their task be free: a start of `nft`, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The host's address on a network of its own.
const LAN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
/// Open to everybody but tasks.
const PORT: u16 = 7002;
/// Open to tasks, from their own addresses.
const NAME_SERVICE: u16 = 53;
const TRY: Duration = Duration::from_millis(100);
/// Between two vandals, at most.
const PAUSE_MS_MAX: u64 = 500;

pub fn run(course: &mut Course) -> Result<()> {
    // This thread's namespace, and so that of every program that it starts.
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace")?;
    for arguments in [
        "link set lo up",
        "link add lan0 type veth peer name lan1",
        &format!("addr add {LAN}/24 dev lan0"),
        "link set lan0 up",
        "link set lan1 up",
    ] {
        run_program("ip", &arguments.split(' ').collect::<Vec<_>>())?;
    }
    let _service = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    let victim = UdpSocket::bind((LAN, NAME_SERVICE))?;
    victim.set_nonblocking(true)?;
    let mut stage = course.stage(&[])?;
    let instance = std::fs::read_to_string(stage.subject.data_dir().join("instance"))?;
    let instance = instance.trim();
    let table = format!("outport_{instance}");
    let (task, address) = start_task(&mut stage)?;
    let namespace = PathBuf::from(format!("/run/outport/{instance}/ns/{task}/net"));
    let prisoner = Prisoner::start(namespace)?;
    let whole = |text: &str| {
        text.contains(&address) && text.contains("jump task_source") && text.contains("dport 53")
    };
    while course.ledger.goes_on()? {
        let vandal = course.random.pick(&VANDALS).context("there are some")?;
        // Refused where the table has an owner, which is as good.
        output(Command::new("nft").arg(vandal.replace("TABLE", &table))).ok();
        let began = Instant::now();
        let back = until("the rules are there", PATIENCE, || {
            let shown = output(Command::new("nft").args(["list", "table", "inet", &table]));
            Ok(shown.is_ok_and(|text| whole(&text)).then_some(()))
        });
        crate::interrupt::check()?;
        if let Err(error) = back {
            course.ledger.fault(format!("after `nft {vandal}`: {error}"));
        }
        let took_ms = u64::try_from(began.elapsed().as_millis())?;
        course.ledger.count("ms until they were seen whole", took_ms);
        // What got out so far may have in the moment without rules that older kernels leave.
        let before = prisoner.escapes.swap(0, Ordering::Relaxed) + received(&victim);
        course.ledger.count("escapes in a moment without rules", before);
        std::thread::sleep(Duration::from_millis(course.random.below(PAUSE_MS_MAX)));
        let escapes = prisoner.escapes.swap(0, Ordering::Relaxed) + received(&victim);
        if escapes > 0 {
            course
                .ledger
                .fault(format!("{escapes} escapes under whole rules, after `nft {vandal}`"));
        }
    }
    let tries = prisoner.stop()?;
    course.ledger.count("tries to get out", tries);
    stage.subject.stop()
}

/// Datagrams from an address that is not the task's.
fn received(victim: &UdpSocket) -> u64 {
    let mut count = 0;
    while victim.recv_from(&mut [0; 16]).is_ok() {
        count += 1;
    }
    count
}

/// A thread in the task's namespace, with all rights there, that tries to reach what it must not.
struct Prisoner {
    escapes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Prisoner {
    fn start(namespace: PathBuf) -> Result<Self> {
        let (escapes, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (Arc::clone(&escapes), Arc::clone(&stop));
        let file = File::open(&namespace).with_context(|| namespace.display().to_string())?;
        let thread = std::thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            let stolen = Ipv4Addr::new(198, 51, 100, 9);
            run_program("ip", &["addr", "add", &format!("{stolen}/32"), "dev", "eth0"])?;
            let spoofer = UdpSocket::bind((stolen, 0))?;
            let mut tries = 0;
            while !stopped.load(Ordering::Relaxed) {
                tries += 1;
                if TcpStream::connect_timeout(&(LAN, PORT).into(), TRY).is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                // Refused at once is as good as dropped.
                spoofer.send_to(b"spoofed", (LAN, NAME_SERVICE)).ok();
            }
            Ok(tries)
        });
        Ok(Self { escapes, stop, thread })
    }

    /// How often it tried.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the prisoner panicked"))?
    }
}

/// Starts a task that stays; its id and its address.
fn start_task(stage: &mut Stage) -> Result<(String, String)> {
    let subnets = [&stage.subnet];
    stage.subject.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": "app", "networkMode": "awsvpc",
            "containerDefinitions": [{ "name": "app", "image": stage.image, "memory": 64 }],
        }),
    )?;
    let run = json!({
        "taskDefinition": "app", "launchType": "EC2",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": subnets } },
    });
    let started = stage.subject.ecs("RunTask", &run)?;
    let arn = started["tasks"][0]["taskArn"].as_str().context("a task")?.to_owned();
    let address = until("the task runs", START_PATIENCE, || {
        let described = stage.subject.ecs("DescribeTasks", &json!({ "tasks": [arn] }))?;
        let task = &described["tasks"][0];
        let details = task["attachments"][0]["details"].as_array();
        let address = details
            .into_iter()
            .flatten()
            .find(|detail| detail["name"] == "privateIPv4Address")
            .and_then(|detail| detail["value"].as_str());
        Ok((task["lastStatus"] == "RUNNING").then_some(address.map(str::to_owned)))
    })?;
    let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
    Ok((id, address.context("the task has an address")?))
}

fn run_program(program: &str, arguments: &[&str]) -> Result<()> {
    process::run(&mut process::command(Path::new("/"), program, arguments))
}
