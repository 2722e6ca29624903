//! One connection, from its first byte to its end.
//!
//! ```text
//! accepted ── 0x16 ──▶ TLS handshake ──▶ ALPN h2 ──▶ HTTP/2
//!     │                     └──────────▶ otherwise ─▶ HTTP/1.1
//!     └── else ──▶ may this peer speak plain HTTP? ── "PRI" ─▶ HTTP/2
//!                      │ no: one short answer            └──▶ HTTP/1.1
//! ```

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::answers::CountedBody;
use crate::server::stopped;
use crate::slots::{Rank, Slot};
use crate::socket::bound_unsent;
use crate::transport::{PeerCertificate, SecureTransport, TLS_HANDSHAKE, Transport};
use crate::watched_stream::WatchedStream;
use crate::{FrontDoor, Limits, Standing};

/// How HTTP/2 begins when both sides know it beforehand (RFC 9113, 3.4); no HTTP/1.1 method does.
const HTTP2_PREFACE: &[u8] = b"PRI";

/// For a peer that may not speak plain HTTP.
const USE_HTTPS: &[u8] = b"HTTP/1.1 421 Misdirected Request\r\n\
    content-type: text/plain\r\nconnection: close\r\ncontent-length: 186\r\n\r\n\
    Plain HTTP is not answered to this peer. Use https:// with this address and port, \
    and have clients trust the server's CA: `outport env` prints AWS_ENDPOINT_URL and AWS_CA_BUNDLE \
    for it.\n";

/// The version of HTTP that both sides settled on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

impl FrontDoor {
    /// Whether the peer has proven to be a node that is believed now.
    fn is_node(&self, transport: &Transport) -> bool {
        match (&self.inner.tls, &transport.certificate) {
            (Some(tls), Some(certificate)) => tls.is_node(certificate),
            _ => false,
        }
    }

    /// Serves a connection to its end.
    pub(crate) async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Slot,
        stopping: watch::Receiver<bool>,
    ) {
        if let Err(error) = stream.set_nodelay(true).and_then(|()| bound_unsent(&stream)) {
            tracing::debug!(%error, %peer, "a connection keeps the options of its socket");
        }
        let serving = Serving { door: self.clone(), peer, slot: slot.clone(), stopping };
        let ended = tokio::select! {
            ended = serving.serve(stream) => ended,
            () = slot.end_requested() => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
    }
}

/// One connection being served. Its deadlines are kept by whoever sweeps the places.
struct Serving {
    door: FrontDoor,
    peer: SocketAddr,
    slot: Slot,
    stopping: watch::Receiver<bool>,
}

impl Serving {
    async fn serve(self, stream: TcpStream) -> io::Result<()> {
        let opening = tokio::select! {
            opening = self.opening(&stream) => opening?,
            () = stopped(self.stopping.clone()) => return Ok(()),
        };
        // In boxes: a connection that says nothing has no memory for what might come.
        match opening {
            Opening::Tls => Box::pin(self.tls(stream)).await,
            Opening::Plain(_) if !self.door.inner.plain_http.is_for(self.peer.ip()) => {
                self.door.inner.turned_away.plain_http(self.peer);
                turn_away(WatchedStream::new(stream, self.slot.clone())).await
            }
            Opening::Plain(version) => {
                let stream = WatchedStream::new(stream, self.slot.clone());
                Box::pin(self.http(stream, Transport::PLAIN, version)).await
            }
        }
    }

    /// Looks at the first bytes and leaves them where they are: until they come, a connection costs
    /// no buffer.
    async fn opening(&self, stream: &TcpStream) -> io::Result<Opening> {
        let mut first = [0; HTTP2_PREFACE.len()];
        let count = stream.peek(&mut first).await?;
        match &first[..count] {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            [TLS_HANDSHAKE, ..] if self.door.inner.tls.is_some() => Ok(Opening::Tls),
            HTTP2_PREFACE => Ok(Opening::Plain(Version::Http2)),
            _ => Ok(Opening::Plain(Version::Http1)),
        }
    }

    async fn tls(self, stream: TcpStream) -> io::Result<()> {
        self.slot.handshake(Instant::now());
        let stream = WatchedStream::new(stream, self.slot.clone());
        let stream = tokio::select! {
            shaken = self.handshake(stream) => shaken?,
            () = stopped(self.stopping.clone()) => return Ok(()),
        };
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let transport = Transport {
            secure: SecureTransport(true),
            certificate: certificate.map(|der| PeerCertificate(der.clone().into_owned())),
        };
        let version = match session.alpn_protocol() {
            Some(b"h2") => Version::Http2,
            _ => Version::Http1,
        };
        if self.door.is_node(&transport) {
            self.slot.prove(Rank::Node);
        }
        Box::pin(self.http(stream, transport, version)).await
    }

    async fn handshake<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let tls = self.door.inner.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let (config, is_node_link) = (tls.server_config(&hello), tls.is_node_link(&hello));
        let shaken = start.into_stream(config).await;
        if is_node_link && let Err(error) = &shaken {
            self.door.inner.turned_away.node_handshake(self.peer, error);
        }
        shaken
    }

    async fn http<S>(self, stream: S, transport: Transport, version: Version) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.slot.ready(version == Version::Http2, Instant::now());
        let limits = &self.door.inner.limits;
        let (http1, http2) = (http1(limits), http2(limits, self.door.is_node(&transport)));
        let stopping = self.stopping.clone();
        let exchange =
            Exchange { door: self.door, peer: self.peer, slot: self.slot, transport, version };
        let answer = move |request: Request<Incoming>| {
            let exchange = exchange.clone();
            async move { Ok::<_, Infallible>(exchange.answer(request).await) }
        };
        let (stream, service) = (TokioIo::new(stream), service_fn(answer));
        // The two kinds of connection have the same methods, and no trait for them.
        macro_rules! until_the_end {
            ($connection:expr) => {{
                let connection = $connection;
                tokio::pin!(connection);
                tokio::select! {
                    ended = &mut connection => ended,
                    () = stopped(stopping) => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            }};
        }
        match version {
            Version::Http1 => {
                until_the_end!(http1.serve_connection(stream, service).with_upgrades())
            }
            Version::Http2 => until_the_end!(http2.serve_connection(stream, service)),
        }
        .map_err(io::Error::other)
    }
}

async fn turn_away(mut stream: WatchedStream<TcpStream>) -> io::Result<()> {
    stream.write_all(USE_HTTPS).await?;
    stream.shutdown().await
}

/// The time of a head is kept by the sweep, which tells a head that has begun from a connection that rests.
fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max);
    builder
}

/// Streams, their heads and their windows are bounded by what is told to the peer; resets of streams (CVE-2023-44487)
/// and heads without end (CVE-2024-27316) by the `h2` crate.
fn http2(limits: &Limits, is_node: bool) -> http2::Builder<TokioExecutor> {
    let http2 = if is_node { &limits.node_http2 } else { &limits.http2 };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_concurrent_streams(http2.streams_max)
        .initial_stream_window_size(http2.stream_window_bytes)
        .initial_connection_window_size(http2.connection_window_bytes)
        .max_send_buf_size(http2.send_buffer_bytes)
        .max_pending_accept_reset_streams(http2.pending_resets_max)
        .max_local_error_reset_streams(http2.pending_resets_max)
        .keep_alive_interval(http2.ping_interval)
        .keep_alive_timeout(http2.ping_timeout);
    builder
}

/// What every request of a connection is answered with.
#[derive(Clone)]
struct Exchange {
    door: FrontDoor,
    peer: SocketAddr,
    slot: Slot,
    transport: Transport,
    version: Version,
}

impl Exchange {
    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let now = Instant::now();
        if self.transport.certificate.is_some() && !self.door.is_node(&self.transport) {
            self.slot.withdraw(Rank::Node, now);
        }
        let under_way = self.slot.request(self.version == Version::Http2, now);
        let turn = self.slot.turn(now);
        if !turn.is_zero() {
            tokio::time::sleep(turn).await;
        }
        let request = with_transport(request, self.transport, &self.slot);
        let mut response = self.door.answer(request, self.peer).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && !self.slot.upgrade() {
            response = unavailable("Too many connections have been upgraded\n");
        }
        let (head, body) = response.into_parts();
        let answers = &self.door.inner.answers;
        if let Some(body) = CountedBody::new(body, answers, &self.slot, under_way).await {
            return Response::from_parts(head, Body::new(body));
        }
        let mut refused = unavailable("Too many answers have not been read yet. Try again.\n");
        if let Some(closes) = head.headers.get(header::CONNECTION) {
            refused.headers_mut().insert(header::CONNECTION, closes.clone());
        }
        refused
    }
}

fn unavailable(text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Tls,
    Plain(Version),
}

/// The request as everything behind the connection sees it. HTTP/2 names the host in `:authority`, which signatures
/// cover as `host` (RFC 9113, 8.3.1).
fn with_transport(request: Request<Incoming>, transport: Transport, slot: &Slot) -> Request<Body> {
    let mut request = request.map(Body::new);
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let extensions = request.extensions_mut();
    extensions.insert(transport.secure);
    extensions.insert(Standing(slot.clone()));
    if let Some(certificate) = transport.certificate {
        extensions.insert(certificate);
    }
    request
}
