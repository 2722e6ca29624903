//! A front door on a real port.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::routing::post;
use metrics_exporter_prometheus::PrometheusHandle;
use outport_front_door::{FrontDoor, Limits};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::recording::{Recording, record};
use super::{Sent, builder};

/// No step of these tests may take longer.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct Running {
    pub address: SocketAddr,
    pub door: FrontDoor,
    pub metrics: PrometheusHandle,
    _recording: Recording,
    pub stop: oneshot::Sender<()>,
    pub server: JoinHandle<()>,
}

pub async fn start(limits: Limits) -> Running {
    let (metrics, _recording) = record();
    let slow = axum::Router::new().route("/_outport/echo", post(async |body: Bytes| body));
    let (builder, _) = builder();
    let door: FrontDoor = builder.limits(limits).reserved(slow).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = door.clone();
    let server = tokio::spawn(async move {
        serving
            .serve(vec![listener], async {
                stopped.await.unwrap();
            })
            .await;
    });
    Running { address, door, metrics, _recording, stop, server }
}

impl Running {
    pub async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.unwrap()
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.server).await.unwrap();
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the step ends in time")
}

/// All until the server closes.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The next bytes until they contain `text`.
pub async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    loop {
        let found = String::from_utf8_lossy(&bytes).into_owned();
        if found.contains(text) {
            return found;
        }
        let mut piece = [0; 4096];
        let count = within(stream.read(&mut piece)).await.unwrap();
        assert_ne!(count, 0, "the connection ended after {found}");
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// The bytes of a request, without its body.
pub fn head(sent: &Sent, extra: &str) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", sent.method, sent.path).into_bytes();
    for (name, value) in &sent.headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(extra.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes
}

pub fn list_clusters() -> Sent {
    Sent::ecs("ListClusters", "{}").signed("ecs")
}
