//! The endpoint's listener.
//!
//! **Invariant:** one address keeps no other waiting: it has so many connections at most, each for a few seconds and one request.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::answers::Answer;
use super::{ADDRESS, TaskEndpoint, api};

/// Each instance on this host has its own.
const PORTS: RangeInclusive<u16> = 21_679..=21_778;
const BACKLOG: u32 = 1_024;
/// Of one address at one time.
const CONNECTIONS_PER_PEER_MAX: usize = 64;
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept that failed, most often for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port of the endpoint's address, `wanted` if it can be had. The address need not be there yet: it comes with the network
/// of tasks.
pub fn listen(wanted: Option<u16>) -> io::Result<(TcpListener, u16)> {
    let mut last = None;
    for port in wanted.into_iter().chain(PORTS) {
        match listen_at(port) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn listen_at(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    setsockopt(&socket, sockopt::IpFreebind, &true)?;
    socket.bind(SocketAddr::from((ADDRESS, port)))?;
    socket.listen(BACKLOG)
}

/// The endpoint at work. Dropping it ends that.
pub struct Serving(JoinHandle<()>);

impl Serving {
    pub fn begin(endpoint: Arc<TaskEndpoint>, listener: TcpListener) -> Self {
        Self(tokio::spawn(accept(endpoint, listener)))
    }

    pub fn end(&self) {
        self.0.abort();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(endpoint: Arc<TaskEndpoint>, listener: TcpListener) {
    // Those of the API are counted apart: they last longer, and a task that has many has its credentials all the same.
    let (places, calls) = (Arc::new(Places::default()), Arc::new(Places::default()));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // One that is too much is closed: it has others that are answered.
                if let Some(place) = places.take(peer.ip()) {
                    let (endpoint, calls) = (endpoint.clone(), calls.clone());
                    tokio::spawn(answer(endpoint, stream, peer.ip(), place, calls));
                }
            }
            Err(error) => {
                tracing::warn!(
                    event = "task_endpoint_not_accepted",
                    %error,
                    "cannot accept a connection of a task yet"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a task does with its connection is its own affair: it is closed when it is of no use.
async fn answer(
    endpoint: Arc<TaskEndpoint>,
    stream: TcpStream,
    peer: IpAddr,
    place: Place,
    calls: Arc<Places>,
) {
    if endpoint.may_call(peer) {
        let asks = tokio::time::timeout(CONNECTION_TIMEOUT, api::asks_for_the_api(&stream)).await;
        match asks {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => {
                drop(place);
                let Some(_call) = calls.take(peer) else { return };
                if let Err(error) = endpoint.carry(stream).await {
                    tracing::debug!(%peer, %error, "a task's connection to the API ended");
                }
                return;
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, serve(endpoint, stream, peer)).await;
    drop(place);
}

async fn serve(endpoint: Arc<TaskEndpoint>, stream: TcpStream, peer: IpAddr) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let endpoint = endpoint.clone();
        async move {
            let answer = endpoint.answer(peer, request.method(), request.uri().path()).await;
            Ok::<_, Infallible>(response(answer))
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn response(Answer { status, body }: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The connections of each address.
#[derive(Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

struct Place {
    of: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(peer).or_default();
        if *count >= CONNECTIONS_PER_PEER_MAX {
            return None;
        }
        *count += 1;
        Some(Place { of: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}
