//! Agents of other versions: their bytes are answered, and what they left is found.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use outport_container_runtime::{Adopted, ContainerState, Runtime};
use serde_json::{Value, json};

use crate::host::{DEADLINE, Host, TASK, ended, until};

fn run_dir(host: &Host, name: &str) -> PathBuf {
    host.settings.run_dir.join("c").join(format!("{TASK}.{name}"))
}

/// A connection of an agent of version 1.
struct Agent(OwnedFd);

impl Agent {
    fn connect(host: &Host, name: &str) -> Agent {
        let directory = File::open(run_dir(host, name)).unwrap();
        let path = format!("/proc/self/fd/{}/shim.sock", directory.as_raw_fd());
        let flags = SockFlag::SOCK_CLOEXEC;
        let connection = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        let timeout = TimeVal::seconds(DEADLINE.as_secs() as i64);
        setsockopt(&connection, sockopt::ReceiveTimeout, &timeout).unwrap();
        connect(connection.as_raw_fd(), &UnixAddr::new(path.as_str()).unwrap()).unwrap();
        Agent(connection)
    }

    fn send(&self, bytes: &[u8]) {
        send(self.0.as_raw_fd(), bytes, MsgFlags::empty()).unwrap();
    }

    /// The bytes of one answer; none when the shim has ended the connection.
    fn receive(&self) -> Vec<u8> {
        let mut answer = vec![0; 64 << 10];
        let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        answer.truncate(length);
        answer
    }

    #[track_caller]
    fn check(&self, request: &str, expected: &str) {
        self.send(&[b"\x01", request.as_bytes()].concat());
        let answer = String::from_utf8(self.receive()).unwrap();
        assert_eq!(answer, format!("\x01{expected}"), "{request}");
    }
}

#[test]
fn recorded_messages_of_version_1_are_answered() {
    let host = Host::new();
    let shim = host.create(
        "app",
        host.shell("trap 'exit 5' TERM; echo ready; while true; do sleep 0.05; done"),
    );
    let agent = Agent::connect(&host, "app");
    agent.send(b"\x01\"state\"");
    let answer = agent.receive();
    assert_eq!(answer[0], 1, "it answers in the version in which it is asked");
    let mut state: Value = serde_json::from_slice(&answer[1..]).unwrap();
    let record = state["state"]["record"].as_object_mut().unwrap();
    assert_eq!(record["version"], 1);
    assert_eq!(record["shim_pid"], shim.shim_pid());
    assert_eq!(record["container_pid"], shim.pid());
    for field in ["boot_id", "shim_start_ticks", "container_start_ticks"] {
        assert!(record.contains_key(field), "{field}");
    }
    assert_eq!(state["state"]["running"], false);
    agent.check(
        r#"{"signal":{"number":15}}"#,
        r#"{"refused":{"reason":"the container is not started"}}"#,
    );
    agent.check(r#""start""#, r#""done""#);
    agent.check(r#""start""#, r#""done""#);
    agent.check(r#""pid_fd""#, r#""pid_fd""#);
    agent.check(r#"{"signal":{"number":99}}"#, r#"{"refused":{"reason":"invalid signal 99"}}"#);
    let waiting = Agent::connect(&host, "app");
    waiting.send(b"\x01\"wait\"");
    until("it has set its trap", || host.lines_so_far("app") > 0);
    agent.check(r#"{"signal":{"number":15}}"#, r#""done""#);
    let answer = waiting.receive();
    let exited: Value = serde_json::from_slice(&answer[1..]).unwrap();
    let exited = exited["exited"].as_object().unwrap();
    assert_eq!(exited["exit_code"], 5);
    let fields = [
        "version",
        "exit_code",
        "signal",
        "oom_killed",
        "oom_kill_count",
        "kill_requested",
        "started_at_ms",
        "finished_at_ms",
        "start_failure",
        "dropped_log_lines",
    ];
    assert!(fields.iter().all(|field| exited.contains_key(*field)), "{exited:?}");
    host.remove("app");
    let shim = host.start("killed", host.spec(&["sleep", "1000"]));
    Agent::connect(&host, "killed").check(r#""kill""#, r#""done""#);
    assert_eq!(ended(&shim).exit_code, Some(137));
    host.remove("killed");
    host.check_nothing_left();
}

#[test]
fn what_a_shim_does_not_understand_ends_the_connection_and_nothing_else() {
    let host = Host::new();
    let shim = host.start("app", host.spec(&["sleep", "1000"]));
    for bytes in [
        &b"\x03\"state\""[..],
        b"\x00\"kill\"",
        b"\xff",
        b"\x01{\"exec\":{\"args\":[]}}",
        b"\x01{",
        // Of version 2.
        b"\x01{\"health\":{\"seen\":0}}",
    ] {
        let agent = Agent::connect(&host, "app");
        agent.send(bytes);
        assert_eq!(agent.receive(), b"", "{bytes:?}");
        assert_eq!(shim.state().unwrap(), ContainerState::Running, "{bytes:?}");
    }
    host.remove("app");
    host.check_nothing_left();
}

fn rewrite(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

/// Shims of other versions write other records: without the version that they speak, with one that nobody speaks any
/// more, in another shape, damaged. Their containers are found, and are what they were.
#[test]
fn a_shim_is_found_whatever_its_record_says() {
    let host = Host::new();
    let shim = host.start("app", host.spec(&["sleep", "1000"]));
    let path = run_dir(&host, "app").join("pid");
    let good = fs::read_to_string(&path).unwrap();
    let change = |edit: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut record: Value = serde_json::from_str(&good).unwrap();
        record.as_object_mut().unwrap().remove("crc32").unwrap();
        edit(record.as_object_mut().unwrap());
        record.to_string()
    };
    let records = [
        change(&|record| drop(record.remove("protocol").unwrap())),
        change(&|record| drop(record.insert("protocol".into(), json!(9)))),
        change(&|record| drop(record.insert("protocol".into(), json!(0)))),
        change(&|record| drop(record.insert("of_the_future".into(), json!([1])))),
        change(&|record| drop(record.insert("shim_pid".into(), json!({ "fd": 7 })))),
        good.replacen("\"shim_pid\":", "\"shim_pid\":1", 1),
        good[..good.len() / 2].to_owned(),
        String::new(),
    ];
    for record in records {
        rewrite(&path, &record);
        let again = Runtime::new(host.settings.clone()).unwrap();
        let Adopted::Running(found) = again.adopt(TASK, "app").unwrap() else { panic!("{record}") };
        assert_eq!((found.pid(), found.shim_pid()), (shim.pid(), shim.shim_pid()), "{record}");
        assert_eq!(found.state().unwrap(), ContainerState::Running, "{record}");
        assert!(found.wait(std::time::Duration::ZERO).unwrap().is_none(), "{record}");
        if record.starts_with('{') && !record.contains("\"protocol\":") {
            assert!(found.health_wait(0).unwrap().is_none(), "one of version 1 is not asked");
        }
    }
    // And one that cannot be spoken with is stopped by its processes.
    rewrite(&path, &change(&|record| drop(record.insert("protocol".into(), json!(0)))));
    let Adopted::Running(found) = host.runtime.adopt(TASK, "app").unwrap() else { panic!("gone") };
    found.kill().unwrap();
    assert_eq!(ended(&found).exit_code, Some(137));
    host.remove("app");
    host.check_nothing_left();
}

#[test]
fn what_containers_hold_is_known_from_their_intents() {
    let host = Host::new();
    let shim = host.start("app", host.spec(&["sleep", "1000"]));
    let holds = host.runtime.holds(TASK).unwrap();
    assert_eq!(holds.layers.as_deref(), Some(&[host.layer.clone()][..]));
    assert_eq!(holds.first_id, host.user.as_ref().map(|user| user.first_id));
    assert_eq!(host.runtime.holds_of_all().unwrap(), [(TASK.to_owned(), holds)].into());
    let path = run_dir(&host, "app").join("intent.json");
    let text = fs::read_to_string(&path).unwrap();
    rewrite(&path, &text.replacen("\"rootfs\"", "\"rootfz\"", 1));
    assert_eq!(host.runtime.holds(TASK).unwrap().layers, None, "a damaged intent says nothing");
    rewrite(&path, &text);
    shim.kill().unwrap();
    ended(&shim);
    host.remove("app");
    host.check_nothing_left();
}
