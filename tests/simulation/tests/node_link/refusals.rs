//! What the log says of calls that are refused: each once a minute for a peer and a reason, whoever it is.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Mutex, Once};

use axum::extract::ConnectInfo;
use outport_controllers::node_link::WithoutTls;

use super::*;

/// What was logged on this thread since.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// The fields of each line, which are read once.
    fn take(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].take())
            .collect()
    }
}

fn logging() -> (Written, tracing::subscriber::DefaultGuard) {
    // Of a line that a thread without a subscriber logs first, while there is one subscriber, tracing remembers that nobody
    // wants it, for all threads. So there is one that wants all, and does nothing with it.
    static EVERYBODY: Once = Once::new();
    EVERYBODY.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    });
    let written = Written::default();
    let lines = written.clone();
    let log = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
    (written, tracing::subscriber::set_default(log))
}

struct Door {
    house: House,
    router: Router,
    written: Written,
    _stop: watch::Sender<bool>,
    _logging: tracing::subscriber::DefaultGuard,
}

impl Door {
    fn new() -> Self {
        let house = house();
        let (stop, stopping) = watch::channel(false);
        let router = router(house.link.clone(), stopping);
        let (written, logging) = logging();
        Self { house, router, written, _stop: stop, _logging: logging }
    }

    async fn ask(&self, peer: &str, mut request: Request) -> u16 {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        answer(self.router.clone(), request).await.0
    }

    /// The answer, and the fields of the one line: event, peer, node, status, reason, how many are not said.
    async fn check(&self, request: Request, status: u16, event: &str, node: Value, reason: &str) {
        const PEER: &str = "10.0.0.7:5000";
        assert_eq!(self.ask(PEER, request).await, status, "{reason}");
        let lines = self.written.take();
        let [line] = &lines[..] else { panic!("{reason}: {lines:?}") };
        assert_eq!(line["event"], event, "{line}");
        assert_eq!(line["peer"], PEER, "{line}");
        assert_eq!(line["node"], node, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["unsaid"], 0, "{line}");
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
    }
}

fn body(text: &str) -> (Option<usize>, Body) {
    (Some(text.len()), text.to_owned().into())
}

fn of(path: &str, caller: Option<ProvenNode>, text: &str) -> Request {
    let (length, body) = body(text);
    request(path, caller, length, body)
}

#[tokio::test]
async fn each_refusal_is_said_with_who_and_why() {
    let door = Door::new();
    let id = door.house.node.id.to_string();
    let node = || Value::from(id.clone());
    let refused = "node_refused";
    let known = || Some(proven(&id, "key"));
    door.check(of("report", known(), "{"), 400, refused, node(), "EOF while parsing").await;
    door.check(of("report", None, ""), 401, refused, Value::Null, "needs a node's certificate")
        .await;
    let stranger = Some(proven(&id, "another key"));
    door.check(of("report", stranger, ""), 403, refused, node(), "not known here by this key")
        .await;
    let mut old = proven(&id, "key");
    old.not_after_ms = old.not_before_ms;
    door.check(of("report", Some(old), ""), 403, refused, node(), "ran out 1000 s ago").await;
    let other = format!(r#"{{"node":"{}","known":{{"tasks":0}}}}"#, "f".repeat(32));
    door.check(of("assignment", known(), &other), 403, refused, node(), "another node").await;
    let (length, text) = body("");
    let future = request_at(9, "report", known(), length, text);
    door.check(future, 403, "node_version_refused", node(), "speaks versions 1 to 2").await;
    door.check(of("cook", known(), ""), 404, refused, node(), "Not Found").await;
    let join = format!(r#"{{"node":"{id}","certificate_request":"k","proof":"guess"}}"#);
    door.check(of("join", None, &join), 403, "node_join_refused", node(), "join token").await;
    door.check(of("join", None, "{}"), 400, "node_join_refused", Value::Null, "missing field")
        .await;
    let mut plain = of("join", None, &join.replace("guess", "token"));
    plain.extensions_mut().insert(WithoutTls);
    // Of the same kind as a call without a certificate, so not from the same peer.
    assert_eq!(door.ask("10.0.0.8:1", plain).await, 401);
    let line = door.written.take().pop().unwrap();
    assert_eq!(
        (&line["event"], &line["peer"]),
        (&"node_join_refused".into(), &"10.0.0.8:1".into())
    );
    assert!(line["reason"].as_str().unwrap().contains("over TLS"), "{line}");
}

#[tokio::test]
async fn a_stranger_fills_no_log() {
    let door = Door::new();
    for port in 1..=100 {
        for call in ["report", "logs", "register"] {
            let status = door.ask(&format!("10.0.0.7:{port}"), of(call, None, "")).await;
            assert_eq!(status, 401);
        }
        let text = "x".repeat(port);
        assert_eq!(door.ask(&format!("10.0.0.7:{port}"), of("join", None, &text)).await, 400);
    }
    assert_eq!(door.written.take().len(), 2, "one of each kind");
    for host in 0..1000 {
        let peer = format!("10.1.{}.{}:1", host / 250, host % 250);
        assert_eq!(door.ask(&peer, of("report", None, "")).await, 401);
    }
    assert!(door.written.take().len() < 256, "and of all hosts together not many");
    door.house.clock.advance(60_000);
    door.ask("10.0.0.7:1", of("report", None, "")).await;
    let lines = door.written.take();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(line["unsaid"], 299, "{line}");
}

/// Who got a certificate and then finds that its host will not do has not joined.
#[tokio::test]
async fn a_node_has_joined_when_it_is_registered() {
    let door = Door::new();
    let new = "a".repeat(32);
    let event = || door.written.take().iter().map(|line| line["event"].clone()).collect::<Vec<_>>();
    let join = format!(r#"{{"node":"{new}","certificate_request":"key","proof":"token"}}"#);
    assert_eq!(door.ask("10.0.0.7:1", of("join", None, &join)).await, 200);
    assert_eq!(event(), ["node_certificate_issued"]);
    let registration = |ask_only| {
        let registration =
            Registration { ask_only, node: NodeId::new(&new), ..door.house.node.registration() };
        let text = serde_json::to_string(&registration).unwrap();
        of("register", Some(proven(&new, "key")), &text)
    };
    assert_eq!(door.ask("10.0.0.7:1", registration(true)).await, 200);
    assert_eq!(event(), [""; 0], "it only asks");
    assert_eq!(door.ask("10.0.0.7:1", registration(false)).await, 200);
    assert_eq!(event(), ["node_joined"]);
    assert_eq!(door.ask("10.0.0.7:1", registration(false)).await, 200);
    assert_eq!(event(), [""; 0], "it is there already");
}
