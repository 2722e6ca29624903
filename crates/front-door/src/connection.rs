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

use axum::body::Body;
use http::{HeaderValue, Request, header};
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

use crate::FrontDoor;
use crate::server::stopped;
use crate::transport::{PeerCertificate, SecureTransport, TLS_HANDSHAKE, Transport};

/// How HTTP/2 begins when both sides know it beforehand (RFC 9113, 3.4); no HTTP/1.1 method does.
const HTTP2_PREFACE: &[u8] = b"PRI";

/// For a peer that may not speak plain HTTP.
const USE_HTTPS: &[u8] = b"HTTP/1.1 421 Misdirected Request\r\n\
    content-type: text/plain\r\nconnection: close\r\ncontent-length: 199\r\n\r\n\
    Plain HTTP is answered on the server's own host only. Use https:// with this address and port, \
    and have clients trust the server's CA: `outport env` prints AWS_ENDPOINT_URL and AWS_CA_BUNDLE \
    for it.\n";

/// The version of HTTP that both sides settled on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

impl FrontDoor {
    /// Serves a connection to its end.
    pub(crate) async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stopping: watch::Receiver<bool>,
    ) {
        let _open = self.inner.metrics.connection();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "a connection keeps its delay");
        }
        let ended = tokio::select! {
            opened = self.opened(&stream) => opened,
            () = stopped(stopping.clone()) => return,
        };
        let ended = match ended {
            Ok(Opening::Tls) => self.tls(stream, peer, stopping).await,
            Ok(Opening::Plain(_)) if !self.inner.plain_http.is_for(peer.ip()) => {
                self.turn_away(stream).await
            }
            Ok(Opening::Plain(version)) => {
                self.http(stream, peer, Transport::PLAIN, version, stopping).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
    }

    /// Looks at the first bytes and leaves them where they are: until they come, a connection costs
    /// no buffer.
    async fn opened(&self, stream: &TcpStream) -> io::Result<Opening> {
        let mut first = [0; HTTP2_PREFACE.len()];
        let peeked =
            tokio::time::timeout(self.inner.limits.first_byte_timeout, stream.peek(&mut first));
        let count = peeked.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        match &first[..count] {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            [TLS_HANDSHAKE, ..] if self.inner.tls.is_some() => Ok(Opening::Tls),
            HTTP2_PREFACE => Ok(Opening::Plain(Version::Http2)),
            _ => Ok(Opening::Plain(Version::Http1)),
        }
    }

    async fn tls(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.inner.limits.handshake_timeout, self.handshake(stream)) => shaken,
            () = stopped(stopping.clone()) => return Ok(()),
        };
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
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
        self.http(stream, peer, transport, version, stopping).await
    }

    async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let tls = self.inner.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let _turn = self.inner.handshakes.acquire().await.map_err(io::Error::other)?;
        let config = tls.server_config(&start.client_hello());
        start.into_stream(config).await
    }

    async fn turn_away(&self, mut stream: TcpStream) -> io::Result<()> {
        let answer = async {
            stream.write_all(USE_HTTPS).await?;
            stream.shutdown().await
        };
        let answered = tokio::time::timeout(self.inner.limits.first_byte_timeout, answer).await;
        answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn http<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        transport: Transport,
        version: Version,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = |request: Request<Incoming>| {
            let (door, transport) = (self.clone(), transport.clone());
            async move {
                let request = with_transport(request, transport);
                Ok::<_, Infallible>(door.answer(request, peer).await)
            }
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
                until_the_end!(self.http1().serve_connection(stream, service).with_upgrades())
            }
            Version::Http2 => until_the_end!(self.http2().serve_connection(stream, service)),
        }
        .map_err(io::Error::other)
    }

    fn http1(&self) -> http1::Builder {
        let limits = &self.inner.limits;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_headers(limits.headers_max)
            .max_buf_size(limits.head_bytes_max);
        builder
    }

    /// Streams, their heads and their windows are bounded by what is told to the peer; resets of
    /// streams (CVE-2023-44487) and unending heads (CVE-2024-27316) by the `h2` crate.
    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let limits = &self.inner.limits;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max)
            .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .max_send_buf_size(limits.send_buffer_bytes)
            .max_pending_accept_reset_streams(limits.pending_resets_max)
            .max_local_error_reset_streams(limits.pending_resets_max)
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_timeout);
        builder
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Tls,
    Plain(Version),
}

/// The request as everything behind the connection sees it. HTTP/2 names the host in `:authority`, which signatures
/// cover as `host` (RFC 9113, 8.3.1).
fn with_transport(request: Request<Incoming>, transport: Transport) -> Request<Body> {
    let mut request = request.map(Body::new);
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let extensions = request.extensions_mut();
    extensions.insert(transport.secure);
    if let Some(certificate) = transport.certificate {
        extensions.insert(certificate);
    }
    request
}
