//! The node's end of the link against a listener of the tests' own: real TLS, real HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outport_certificates::{
    JoinToken, NODE_LIFE_MS, NodeCertificate, NodeRequest, ServerNames, ServerTls, ServerTlsOptions,
};
use outport_model::node::{Architecture, NodeCapacity};
use outport_model::task::StopCode;
use outport_model::{AccountId, NodeId, Region, Scope, TaskId, TaskStatus};
use outport_node_protocol::{
    CertificateRequest, DOOR_VERSION, IssuedCertificate, JoinRequest, KnownGenerations, LogBatch,
    LogCursor, LogEvent, ProtocolVersions, Refusal, RefusalCode, Registered, Registration, Report,
    TaskCredentials, TaskReport, TaskTags,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

use crate::agent::{Agent, AgentError, AgentSettings};
use crate::container_spec::OpenFiles;
use crate::control_plane::{ControlPlane, now_ms};
use crate::link_error::LinkError;
use crate::log_damage::LogDamage;
use crate::log_shipper::LogShipper;
use crate::log_wakeups::LogWakeups;
use crate::reporter::deliver;

const NODE: &str = "0123456789abcdef0123456789abcdef";
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// A control plane that does what the protocol says, and what a test wants it to.
pub(crate) struct House {
    address: SocketAddr,
    token: JoinToken,
    shared: Arc<Shared>,
    _directory: tempfile::TempDir,
}

struct Shared {
    tls: ServerTls,
    token: JoinToken,
    connections: AtomicUsize,
    /// The name of each call and the certificate that its connection showed.
    calls: Mutex<Vec<(String, Option<NodeCertificate>)>>,
    /// Answered once instead.
    refusal: Mutex<Option<RefusalCode>>,
    /// Whether reports are answered 409 until a `register`.
    forgot_the_node: AtomicBool,
    /// How old the certificates are that it issues.
    age_ms: Mutex<i64>,
    /// Messages of logs that it took.
    taken: Mutex<Vec<String>>,
    /// What `register` answers to be spoken.
    version: AtomicU32,
    /// The version of the last call.
    asked_version: AtomicU32,
    /// Answered once; later the node waits.
    assignment: Mutex<Option<String>>,
    reports: Mutex<Vec<Report>>,
    /// Of the role of every task; `None`: it cannot be assumed.
    credentials: Mutex<Option<TaskCredentials>>,
    /// Of every task; `None`: it does not know the call.
    tags: Mutex<Option<TaskTags>>,
}

impl House {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let options = ServerTlsOptions {
            directory: directory.path().join("tls"),
            authority_name: "test".to_owned(),
            names: Arc::new(move || ServerNames::wanted(&scope, &[], &[])),
            own: None,
        };
        let tls = ServerTls::open(options, now_ms()).unwrap();
        let token = JoinToken::new(&"0a".repeat(32), tls.authority().pin()).unwrap();
        let shared = Arc::new(Shared {
            tls,
            token: token.clone(),
            connections: AtomicUsize::default(),
            calls: Mutex::default(),
            refusal: Mutex::default(),
            forgot_the_node: AtomicBool::default(),
            age_ms: Mutex::default(),
            taken: Mutex::default(),
            version: AtomicU32::new(1),
            asked_version: AtomicU32::default(),
            assignment: Mutex::default(),
            reports: Mutex::default(),
            credentials: Mutex::default(),
            tags: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        Self { address, token, shared, _directory: directory }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn node(&self, directory: &Path) -> ControlPlane {
        let node = NodeId::new(NODE);
        ControlPlane::new(&self.url(), self.token.clone(), node, directory).unwrap()
    }

    pub(crate) fn give(&self, credentials: Option<TaskCredentials>) {
        *self.shared.credentials.lock().unwrap() = credentials;
    }

    pub(crate) fn tag(&self, tags: TaskTags) {
        *self.shared.tags.lock().unwrap() = Some(tags);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    fn last_certificate(&self) -> NodeCertificate {
        let calls = self.shared.calls.lock().unwrap();
        calls.last().and_then(|(_, certificate)| certificate.clone()).expect("a certificate")
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let Ok(start) = LazyConfigAcceptor::new(Default::default(), stream).await else { return };
        let config = self.tls.config(start.client_hello().server_name(), now_ms());
        let Ok(stream) = start.into_stream(config).await else { return };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let chain = stream.get_ref().1.peer_certificates();
        let shown = chain.map(|chain| NodeCertificate::read(&chain[0]).unwrap());
        let answer = |request: Request<Incoming>| {
            let (shared, shown) = (self.clone(), shown.clone());
            async move { Ok::<_, Infallible>(shared.answer(request, shown).await) }
        };
        // A test that is over has closed it.
        let _ended = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        shown: Option<NodeCertificate>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let (version, name) =
            path.strip_prefix("/_outport/node/v").unwrap().split_once('/').unwrap();
        let (version, name) = (version.parse().unwrap(), name.to_owned());
        if ["join", "certificate", "register"].contains(&name.as_str()) {
            assert_eq!(version, DOOR_VERSION, "{name}");
        }
        self.asked_version.store(version, Ordering::Relaxed);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.calls.lock().unwrap().push((name.clone(), shown.clone()));
        if name == "join" {
            return self.join(&body);
        }
        if shown.is_none() {
            return refused(RefusalCode::NoCertificate);
        }
        if let Some(code) = self.refusal.lock().unwrap().take() {
            return refused(code);
        }
        match name.as_str() {
            "certificate" => {
                let request: CertificateRequest = serde_json::from_slice(&body).unwrap();
                self.issue(&request.node, &request.certificate_request)
            }
            "assignment" => self.assign().await,
            "report" if self.forgot_the_node.load(Ordering::Relaxed) => {
                let mut response = Response::new(Full::new("register again".into()));
                *response.status_mut() = http::StatusCode::CONFLICT;
                response
            }
            "report" => {
                self.reports.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                no_content()
            }
            "task-credentials" => match &*self.credentials.lock().unwrap() {
                Some(credentials) => json(credentials),
                None => {
                    let mut response = Response::new(Full::new("there is no role app".into()));
                    *response.status_mut() = http::StatusCode::UNPROCESSABLE_ENTITY;
                    response
                }
            },
            "task-tags" => match &*self.tags.lock().unwrap() {
                Some(tags) => json(tags),
                None => {
                    let mut response = Response::new(Full::new("no such call".into()));
                    *response.status_mut() = http::StatusCode::NOT_FOUND;
                    response
                }
            },
            "logs" => self.take(serde_json::from_slice(&body).unwrap()),
            "register" => {
                self.forgot_the_node.store(false, Ordering::Relaxed);
                json(&Registered {
                    registry_host: "127.0.0.1:1".to_owned(),
                    registry_names: Vec::new(),
                    // Of no other test.
                    vpc_cidr: "10.248.0.0/16".to_owned(),
                    protocol_version: self.version.load(Ordering::Relaxed),
                    takes_report_changes: true,
                })
            }
            _ => no_content(),
        }
    }

    async fn assign(&self) -> Response<Full<Bytes>> {
        let assignment = self.assignment.lock().unwrap().take();
        match assignment {
            Some(text) => Response::new(Full::new(text.into())),
            None => {
                tokio::time::sleep(POLL_PAUSE).await;
                no_content()
            }
        }
    }

    /// Takes no message that begins with `never`.
    fn take(&self, batch: LogBatch) -> Response<Full<Bytes>> {
        if batch.events.iter().any(|event| event.message.starts_with("never")) {
            let mut response = refused(RefusalCode::UnacceptableLogs);
            *response.status_mut() = http::StatusCode::UNPROCESSABLE_ENTITY;
            return response;
        }
        self.taken.lock().unwrap().extend(batch.events.into_iter().map(|event| event.message));
        json(&LogCursor { committed: batch.to_cursor })
    }

    fn join(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let request: JoinRequest = serde_json::from_slice(body).unwrap();
        let read = NodeRequest::read(&request.certificate_request).unwrap();
        if !self.token.proves(&request.proof, &request.node, read.der()) {
            return refused(RefusalCode::WrongToken);
        }
        self.issue(&request.node, &request.certificate_request)
    }

    fn issue(&self, node: &NodeId, certificate_request: &str) -> Response<Full<Bytes>> {
        let request = NodeRequest::read(certificate_request).unwrap().verify().unwrap();
        let issued_ms = now_ms() - *self.age_ms.lock().unwrap();
        let chain = self.tls.authority().issue_node(node, &request, issued_ms).unwrap();
        json(&IssuedCertificate { certificate_chain: chain })
    }
}

fn no_content() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}

fn json(answer: &impl serde::Serialize) -> Response<Full<Bytes>> {
    Response::new(Full::new(serde_json::to_vec(answer).unwrap().into()))
}

fn refused(code: RefusalCode) -> Response<Full<Bytes>> {
    let mut response = json(&Refusal { code, message: "as the test wants".to_owned() });
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    response
}

pub(crate) fn report(sequence: u64) -> Report {
    Report {
        node: NodeId::new(NODE),
        boot_id: "boot".to_owned(),
        sequence,
        generation: 0,
        tasks: Vec::new(),
        accepts_tasks: true,
        changes_only: false,
        unreadable: Vec::new(),
    }
}

#[tokio::test]
async fn a_node_joins_once_and_says_everything_over_one_connection() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = house.node(directory.path());
    node.report(&report(0)).await.unwrap();
    assert_eq!(house.names(), ["join", "report"]);
    assert_eq!(house.last_certificate().node.as_str(), NODE);
    let reports: Vec<Report> = (1..200).map(report).collect();
    let many = futures_util::future::join_all(reports.iter().map(|report| node.report(report)));
    assert!(many.await.iter().all(Result::is_ok));
    assert_eq!(node.assignment(KnownGenerations::default(), "boot").await.unwrap(), None);
    let connections = house.shared.connections.load(Ordering::Relaxed);
    assert_eq!(connections, 2, "one to join, one for all that follows");

    let again = house.node(directory.path());
    again.report(&report(200)).await.unwrap();
    let joins = house.names().iter().filter(|name| *name == "join").count();
    assert_eq!(joins, 1, "the identity is kept");
}

fn settings(directory: &Path, instance: &str, url: String, token: &JoinToken) -> AgentSettings {
    AgentSettings {
        directory: directory.to_owned(),
        instance: instance.to_owned(),
        control_plane_url: url,
        join_token: token.clone(),
        cluster: "default".to_owned(),
        regions: Vec::new(),
        attributes: Vec::new(),
        capacity: NodeCapacity { cpu_units: 1, memory_mib: 1, reserved_ports: Vec::new() },
        oci_runtime: None,
        container_open_files: OpenFiles { soft: 1024, hard: 1024 },
        task_storage_gib: None,
        images_gib: 1,
        allow_privileged: false,
        host_tasks_reach_metadata: false,
        user_namespaces: false,
        subordinate_ids: Default::default(),
        host_access: crate::HostAccess::Ports(Vec::new()),
        publish: None,
    }
}

/// A whole node, older than its control plane: it says of each task that it cannot read that it failed, until it is not
/// assigned any more. Needs root, as the agent does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_a_newer_control_plane_are_reported_failed_and_nothing_else() {
    const PATIENCE: Duration = Duration::from_secs(120);
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let instance = format!("{:08x}", std::process::id());
    let settings = settings(directory.path(), &instance, house.url(), &house.token);
    let agent = Agent::start(settings).await.unwrap();
    let reported = async |task: &str| loop {
        let reports = house.shared.reports.lock().unwrap().last().cloned();
        let found = reports.into_iter().flat_map(|report| report.tasks);
        let found: Vec<TaskReport> = found.filter(|found| found.task.as_str() == task).collect();
        if let Some(found) = found.into_iter().next() {
            break found;
        }
        tokio::time::sleep(POLL_PAUSE).await;
    };
    let newer = r#"{"generation":7,"tasks":[{"task":"t1","desired":"RUNNING","network":{"Mesh":{}}},7],"sections":[]}"#;
    *house.shared.assignment.lock().unwrap() = Some(newer.to_owned());
    let failed = tokio::time::timeout(PATIENCE, reported("t1")).await.expect("it is reported");
    assert_eq!(failed.status, TaskStatus::Stopped);
    let stop = failed.stop.unwrap();
    assert_eq!(stop.code, StopCode::TaskFailedToStart);
    assert!(stop.reason.contains("upgrade it and start the task again"), "{}", stop.reason);
    let generation = house.shared.reports.lock().unwrap().last().unwrap().generation;
    assert!(generation <= 7, "{generation}");
    // And the next assignment, which is read, is followed.
    let next = r#"{"generation":8,"tasks":[]}"#;
    *house.shared.assignment.lock().unwrap() = Some(next.to_owned());
    let followed = async {
        loop {
            let last = house.shared.reports.lock().unwrap().last().cloned().unwrap();
            if last.generation == 8 && last.tasks.is_empty() {
                break;
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, followed).await.expect("it is followed");
    agent.stop_tasks("the test is over", std::future::pending()).await.unwrap();
    assert!(!Path::new("/run/outport").join(&instance).exists());
}

/// Who does not have the authority's key cannot get a node to do or to say anything.
#[tokio::test]
async fn a_stand_in_is_believed_nothing_and_told_nothing() {
    let (house, stand_in) = (House::start().await, House::start().await);
    for joined_before in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        if joined_before {
            std::fs::write(directory.path().join("node-id"), NODE).unwrap();
            house.node(directory.path()).report(&report(0)).await.unwrap();
        }
        let (url, node) = (stand_in.url(), NodeId::new(NODE));
        let node = ControlPlane::new(&url, house.token.clone(), node, directory.path()).unwrap();
        let refused = node.assignment(KnownGenerations::default(), "boot").await;
        assert!(matches!(refused, Err(LinkError::Stranger(_))), "{refused:?}");

        // The agent as a whole: it does not even begin.
        let settings = settings(directory.path(), "0badcafe", url, &house.token);
        let error = Agent::start(settings).await.err();
        assert!(matches!(error, Some(AgentError::Link(LinkError::Stranger(_)))), "{error:?}");
        let mut left: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["identity.pem", "node-id"], "no task, no image, no container");
        assert!(!Path::new("/run/outport/0badcafe").exists());
    }
    assert_eq!(stand_in.names(), [""; 0], "not one request was sent");
}

#[tokio::test]
async fn a_plain_server_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let house = House::start().await;
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1024];
        let read = stream.read(&mut first).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        first[..read].to_vec()
    });
    let directory = tempfile::tempdir().unwrap();
    let (url, node) = (format!("https://{address}"), NodeId::new(NODE));
    let node = ControlPlane::new(&url, house.token.clone(), node, directory.path()).unwrap();
    let error = node.report(&report(0)).await.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("TLS"), "{error}");
    let sent = answering.await.unwrap();
    assert_eq!(sent.first(), Some(&0x16), "a handshake");
}

#[tokio::test]
async fn a_node_without_a_good_certificate_joins_again_with_its_key() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = house.node(directory.path());
    node.report(&report(0)).await.unwrap();
    let key = house.last_certificate().key;
    for code in [RefusalCode::CertificateOutOfTime, RefusalCode::UnknownNode] {
        *house.shared.refusal.lock().unwrap() = Some(code);
        node.report(&report(1)).await.unwrap();
        let names = house.names();
        assert_eq!(names[names.len() - 3..], ["report", "join", "report"], "{code:?}");
        assert_eq!(house.last_certificate().key, key, "{code:?}");
    }
    for (code, is_final, is_passing) in [
        (RefusalCode::Revoked, true, false),
        (RefusalCode::OtherKey, true, false),
        (RefusalCode::OtherNode, false, false),
        (RefusalCode::WrongToken, false, false),
        (RefusalCode::NoCommonVersion, false, true),
    ] {
        *house.shared.refusal.lock().unwrap() = Some(code);
        let error = node.report(&report(2)).await.unwrap_err();
        assert_eq!((error.is_final(), error.is_passing()), (is_final, is_passing), "{code:?}");
        assert_eq!(house.names().last().map(String::as_str), Some("report"), "{code:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_with_a_new_key_at_half_of_its_life() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    *house.shared.age_ms.lock().unwrap() = NODE_LIFE_MS / 2;
    let node = house.node(directory.path());
    node.report(&report(0)).await.unwrap();
    let first = house.last_certificate();
    *house.shared.age_ms.lock().unwrap() = 0;
    node.keep_certificate().await.unwrap();
    assert_eq!(house.names().last().map(String::as_str), Some("certificate"));
    assert_eq!(house.last_certificate(), first, "the old one asks");
    node.report(&report(1)).await.unwrap();
    let second = house.last_certificate();
    assert_ne!(second.key, first.key);
    assert!(second.validity.not_after_ms > first.validity.not_after_ms);
    let calls = house.names().len();
    node.keep_certificate().await.unwrap();
    assert_eq!(house.names().len(), calls, "it is not due");
    let restarted = house.node(directory.path());
    restarted.report(&report(2)).await.unwrap();
    assert_eq!(house.last_certificate(), second);
}

fn shipper(house: &House, directory: &Path) -> LogShipper {
    LogShipper {
        control_plane: Arc::new(house.node(directory)),
        wakeups: LogWakeups::open().unwrap(),
        task: TaskId::new("t"),
        container: "main".to_owned(),
        directory: directory.join("log"),
        // A sender that is gone has said all.
        ended: tokio::sync::watch::channel(true).1,
        dropped: 0,
        damage: LogDamage::new(),
    }
}

async fn delivered(messages: &[&str]) -> (Vec<String>, usize) {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut shipper = shipper(&house, directory.path());
    let events = messages.iter().zip(1..).map(|(message, end_cursor)| LogEvent {
        timestamp_ms: now_ms(),
        message: (*message).to_owned(),
        end_cursor,
    });
    let committed = shipper.deliver(0, events.collect()).await.unwrap();
    assert_eq!(committed, messages.len() as u64);
    let taken = house.shared.taken.lock().unwrap().clone();
    (taken, house.names().iter().filter(|name| *name == "logs").count())
}

/// They would hold up all that the container writes after them.
#[tokio::test]
async fn lines_that_are_never_taken_are_dropped_by_name_and_no_others() {
    assert_eq!(delivered(&["a", "b", "c"]).await, (vec!["a".into(), "b".into(), "c".into()], 1));
    let (taken, _) = delivered(&["a", "b", "never 1", "c", "d", "e", "never 2"]).await;
    let dropped = "[outport] log lines dropped: 1 (7 bytes): as the test wants";
    assert_eq!(taken, ["a", "b", dropped, "c", "d", "e", dropped]);
    // Where nothing is taken at all, what is asked has an end.
    let never = vec!["never"; 10_000];
    let (taken, calls) = delivered(&never).await;
    assert!(calls < 300 && taken.len() < 100, "{calls} calls, {} notes", taken.len());
    let counts =
        taken.iter().filter_map(|note| note.split_whitespace().nth(4)?.parse::<u32>().ok());
    assert_eq!(counts.sum::<u32>(), 10_000, "each is counted");
}

/// A line "hi" of one frame, as `container-runtime` keeps its bytes.
const FRAME: [u8; 22] =
    [2, 0, 0, 0, 0x95, 0x48, 0x2d, 0x3c, 8, 7, 6, 5, 4, 3, 2, 1, 2, 1, 0, 0, 0x68, 0x69];

#[tokio::test]
async fn what_cannot_be_read_of_a_log_is_named_in_it() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let name = "0000000000000001.log";
    let log_dir = directory.path().join("log");
    std::fs::create_dir(&log_dir).unwrap();
    let mut bytes = [FRAME; 3].concat();
    bytes[30] ^= 1;
    std::fs::write(log_dir.join(name), &bytes).unwrap();
    shipper(&house, directory.path()).run().await;
    let dropped = "[outport] log lines dropped: unknown";
    let note = format!("{dropped} (22 bytes): {name} cannot be read from byte 22 on");
    assert_eq!(*house.shared.taken.lock().unwrap(), ["hi", &note, "hi"]);
    // The house commits nothing; a node goes by what it has marked.
    std::fs::write(log_dir.join(name), "").unwrap();
    shipper(&house, directory.path()).run().await;
    let note = format!("{dropped} (unknown bytes): {name} cannot be read from byte 66 on");
    assert_eq!(house.shared.taken.lock().unwrap()[3..], [note]);
    std::fs::remove_dir_all(&log_dir).unwrap();
    shipper(&house, directory.path()).run().await;
    let note = format!("{dropped} (unknown bytes): {name} cannot be read from byte 0 on");
    assert_eq!(house.shared.taken.lock().unwrap()[4..], [note]);
}

fn registration() -> Registration {
    Registration {
        node: NodeId::new(NODE),
        host_name: "host".to_owned(),
        agent_version: "1".to_owned(),
        boot_id: "boot".to_owned(),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity { cpu_units: 1, memory_mib: 1, reserved_ports: Vec::new() },
        cluster: "default".to_owned(),
        ask_only: false,
        allows_privileged: false,
        regions: Vec::new(),
        attributes: Vec::new(),
        protocol: ProtocolVersions::SPOKEN,
    }
}

/// Though the poll for its assignment may be answered all the time.
#[tokio::test]
async fn a_node_whose_report_is_not_taken_for_its_boot_registers_again() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = house.node(directory.path());
    house.shared.forgot_the_node.store(true, Ordering::Relaxed);
    let refused = deliver(&node, &registration(), &report(1)).await.unwrap_err();
    assert!(refused.to_string().contains("register again"), "{refused}");
    deliver(&node, &registration(), &report(2)).await.unwrap();
    assert_eq!(house.names(), ["join", "report", "register", "report"]);
}

/// It says which it speaks, believes no answer that it does not speak, and asks again.
#[tokio::test]
async fn a_control_plane_of_another_version_is_waited_for() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = house.node(directory.path());
    let registration = registration();
    for version in [0, 3, 9] {
        house.shared.version.store(version, Ordering::Relaxed);
        let error = node.register(&registration).await.unwrap_err();
        assert!(error.is_passing() && !error.is_final(), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("speaks version {version} of")), "{text}");
        assert!(text.contains("versions 1 to 2"), "{text}");
        // What is still asked is asked in the version that was spoken before.
        node.report(&report(u64::from(version))).await.unwrap();
    }
    for version in [1, 2] {
        house.shared.version.store(version, Ordering::Relaxed);
        node.register(&registration).await.unwrap();
        assert_eq!(node.assignment(KnownGenerations::default(), "boot").await.unwrap(), None);
        assert_eq!(house.shared.asked_version.load(Ordering::Relaxed), version);
    }
}

#[tokio::test]
async fn the_token_of_another_installation_is_refused() {
    let house = House::start().await;
    let directory = tempfile::tempdir().unwrap();
    let guessed = JoinToken::new(&"0b".repeat(32), house.token.pin()).unwrap();
    let node =
        ControlPlane::new(&house.url(), guessed, NodeId::new(NODE), directory.path()).unwrap();
    let error = node.report(&report(0)).await.unwrap_err();
    assert!(matches!(error, LinkError::Refused { code: RefusalCode::WrongToken, .. }), "{error}");
    assert_eq!(house.names(), ["join"]);
}
