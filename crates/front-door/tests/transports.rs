//! One port, many kinds of talk: plain HTTP, TLS, HTTP/2, client certificates, upgrades.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use http::{StatusCode, Version};
use http_body_util::BodyExt;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outport_front_door::{
    ALPN_PROTOCOLS, FrontDoor, FrontDoorBuilder, Limits, PeerCertificate, PlainHttp,
    SecureTransport, TlsSettings,
};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use support::{Sent, builder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the step ends in time")
}

/// A CA, and what it signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    fn certificate(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let issuer: &Issuer<'_, _> = &self.issuer;
        let certificate = params.signed_by(&key, issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    fn server(&self) -> Arc<ServerConfig> {
        let (certificate, key) = self.certificate("localhost");
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = ALPN_PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Arc::new(config)
    }

    fn client(&self, alpn: &[&[u8]], identity: Option<&Authority>) -> TlsConnector {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match identity {
            Some(authority) => {
                let (certificate, key) = authority.certificate("node");
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config).into()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Says how the request came; or becomes an echo.
fn routes() -> Router {
    let how = async |request: Request| {
        let SecureTransport(secure) = *request.extensions().get().unwrap();
        let proven = request.extensions().get::<PeerCertificate>().is_some();
        format!("secure {secure}, proven {proven}, {:?}", request.version())
    };
    let echo = async |mut request: Request| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut piece = [0; 100];
            while let Ok(count @ 1..) = stream.read(&mut piece).await {
                stream.write_all(&piece[..count]).await.unwrap();
            }
        });
        let head = [("connection", "upgrade"), ("upgrade", "echo")];
        (StatusCode::SWITCHING_PROTOCOLS, head)
    };
    Router::new().route("/_outport/how", get(how)).route("/_outport/echo", get(echo))
}

struct Running {
    address: SocketAddr,
    authority: Authority,
    server: tokio::task::JoinHandle<()>,
}

async fn start(change: impl FnOnce(FrontDoorBuilder) -> FrontDoorBuilder) -> Running {
    let authority = Authority::new();
    let (builder, _) = builder();
    let builder = builder.reserved(routes()).tls(Arc::new(authority.server()));
    let door: FrontDoor = change(builder).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        door.serve(vec![listener], std::future::pending()).await;
    });
    Running { address, authority, server }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Running {
    async fn plain(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.unwrap()
    }

    async fn tls(&self, connector: TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        within(connector.connect(name, self.plain().await)).await
    }

    async fn http2(&self, identity: Option<&Authority>) -> SendRequest<Body> {
        let connector = self.authority.client(&[b"h2"], identity);
        let stream = self.tls(connector).await.unwrap();
        http2_over(stream).await
    }
}

async fn http2_over<S>(stream: S) -> SendRequest<Body>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

async fn how_over_http1<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> String {
    stream
        .write_all(b"GET /_outport/how HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

async fn how_over_http2(sender: &mut SendRequest<Body>) -> String {
    let request = Request::get("https://localhost/_outport/how").body(Body::empty()).unwrap();
    let answer = within(sender.send_request(request)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn one_port_answers_every_kind() {
    let running = start(|builder| builder).await;
    let said = how_over_http1(running.plain().await).await;
    assert!(said.ends_with("secure false, proven false, HTTP/1.1"), "{said}");

    for alpn in [&[][..], &[b"http/1.1".as_slice()]] {
        let stream = running.tls(running.authority.client(alpn, None)).await.unwrap();
        let said = how_over_http1(stream).await;
        assert!(said.ends_with("secure true, proven false, HTTP/1.1"), "{said}");
    }
    let said = how_over_http2(&mut running.http2(None).await).await;
    assert_eq!(said, "secure true, proven false, HTTP/2.0");
    let said = how_over_http2(&mut http2_over(running.plain().await).await).await;
    assert_eq!(said, "secure false, proven false, HTTP/2.0");
}

#[tokio::test]
async fn a_client_certificate_is_handed_on_if_it_is_ours() {
    let running = start(|builder| builder).await;
    let mut node = running.http2(Some(&running.authority)).await;
    assert_eq!(how_over_http2(&mut node).await, "secure true, proven true, HTTP/2.0");

    let connector = running.authority.client(&[b"http/1.1"], Some(&Authority::new()));
    let answer = match running.tls(connector).await {
        // TLS 1.3: the client only learns of it with the first read.
        Ok(mut stream) => {
            let mut answer = Vec::new();
            let _ = stream.write_all(b"GET /_outport/how HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let _ = within(stream.read_to_end(&mut answer)).await;
            answer
        }
        Err(_) => Vec::new(),
    };
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn one_http2_connection_carries_many_calls_at_once() {
    let running = start(|builder| builder).await;
    // A node: others may have 32 at a time.
    let sender = running.http2(Some(&running.authority)).await;
    let calls = (0..100).map(|_| {
        let mut sender = sender.clone();
        // The host is signed; HTTP/2 sends it as :authority.
        let mut sent = Sent::ecs("ListClusters", "{}").signed("ecs");
        let host = sent.headers.remove(0);
        assert_eq!(host.0, "host");
        sent.path = format!("https://{}/", support::HOST);
        tokio::spawn(async move {
            let answer = sender.send_request(sent.to_http().unwrap()).await.unwrap();
            assert_eq!(answer.version(), Version::HTTP_2);
            (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (status, body) = within(call).await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn plain_http_is_told_to_use_https_where_it_is_not_wanted() {
    let running = start(|builder| builder.plain_http(PlainHttp::Nobody)).await;
    let said = how_over_http1(running.plain().await).await;
    assert!(said.starts_with("HTTP/1.1 421 "), "{said}");
    let (head, text) = said.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}\r\n", text.len()))
            || head.ends_with(&format!("content-length: {}", text.len())),
        "{head} {}",
        text.len()
    );
    assert!(text.contains("https://") && text.contains("AWS_CA_BUNDLE"), "{text}");
    let stream = running.tls(running.authority.client(&[], None)).await.unwrap();
    assert!(how_over_http1(stream).await.contains("secure true"));
}

/// Every line by its event and advice. Settings that are an `Arc<ServerConfig>` take every name for that of the node link.
#[tokio::test]
async fn what_comes_to_nothing_is_said_once_a_minute_for_a_peer_and_a_reason() {
    let (written, _logging) = support::written::log();
    let running = start(|builder| builder.plain_http(PlainHttp::Nobody)).await;
    for _ in 0..3 {
        assert!(how_over_http1(running.plain().await).await.starts_with("HTTP/1.1 421 "));
        let foreign = running.authority.client(&[], Some(&Authority::new()));
        if let Ok(mut stream) = running.tls(foreign).await {
            let _ = within(stream.read_to_end(&mut Vec::new())).await;
        }
        assert!(running.tls(Authority::new().client(&[], None)).await.is_err());
    }
    let said = async {
        while written.lines().len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(said).await;
    let lines = written.lines();
    let field = |name: &str| -> Vec<String> {
        lines.iter().map(|line| line["fields"][name].as_str().unwrap_or("").to_owned()).collect()
    };
    let events = ["plain_http_refused", "node_handshake_failed", "node_handshake_failed"];
    assert_eq!(field("event"), events, "{lines:?}");
    assert!(field("peer").iter().all(|peer| peer.starts_with("127.0.0.1:")), "{lines:?}");
    let advice = field("advice");
    assert!(advice[1].contains("of another installation: see the file identity.pem"), "{lines:?}");
    assert!(advice[2].contains("give it the file join-token of this server"), "{lines:?}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let short = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let running = start(|builder| builder.limits(short)).await;
    // A record that announces 512 bytes and brings few.
    let mut stream = running.plain().await;
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn a_connection_may_become_something_else() {
    let running = start(|builder| builder).await;
    let mut stream = running.tls(running.authority.client(&[], None)).await.unwrap();
    stream
        .write_all(b"GET /_outport/echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        let byte = within(stream.read_u8()).await.unwrap();
        answer.push(char::from(byte));
    }
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for text in [b"hello", b"again"] {
        stream.write_all(text).await.unwrap();
        let mut echo = [0; 5];
        within(stream.read_exact(&mut echo)).await.unwrap();
        assert_eq!(&echo, text);
    }
}

#[tokio::test]
async fn no_more_connections_than_allowed_become_something_else() {
    let running =
        start(|builder| builder.limits(Limits { upgraded_max: 1, ..Limits::default() })).await;
    let ask =
        b"GET /_outport/echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut first = running.plain().await;
    first.write_all(ask).await.unwrap();
    let mut head = [0; 12];
    within(first.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    let mut second = running.plain().await;
    second.write_all(ask).await.unwrap();
    within(second.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 503");
    // The place is free again when the first one is gone.
    drop(first);
    let begun = std::time::Instant::now();
    while &head != b"HTTP/1.1 101" {
        assert!(begun.elapsed() < DEADLINE);
        let mut third = running.plain().await;
        third.write_all(ask).await.unwrap();
        within(third.read_exact(&mut head)).await.unwrap();
    }
}

/// The one thing of ours that is called for a connection before any request.
struct Panics;

impl TlsSettings for Panics {
    fn server_config(&self, _: &ClientHello<'_>) -> Arc<ServerConfig> {
        panic!("no configuration today");
    }

    fn is_node_link(&self, _: &ClientHello<'_>) -> bool {
        false
    }

    fn is_node(&self, _: &PeerCertificate) -> bool {
        false
    }
}

/// Nodes that are believed until a test says otherwise.
struct Nodes {
    config: Arc<ServerConfig>,
    believed: AtomicBool,
}

impl TlsSettings for Nodes {
    fn server_config(&self, _: &ClientHello<'_>) -> Arc<ServerConfig> {
        self.config.clone()
    }

    fn is_node_link(&self, _: &ClientHello<'_>) -> bool {
        true
    }

    fn is_node(&self, _: &PeerCertificate) -> bool {
        self.believed.load(Ordering::Relaxed)
    }
}

/// Of strangers one may speak HTTP/2 here, so that the next one takes its place.
#[tokio::test]
async fn a_certificate_that_is_believed_no_more_is_worth_a_strangers_place() {
    let authority = Authority::new();
    let (config, believed) = (authority.server(), AtomicBool::new(true));
    let nodes = Arc::new(Nodes { config, believed });
    let limits = Limits { http2_strangers_max: 1, ..Limits::default() };
    let settings = nodes.clone();
    let mut running = start(|builder| builder.limits(limits).tls(settings)).await;
    running.authority = authority;
    let mut node = running.http2(Some(&running.authority)).await;
    assert_eq!(how_over_http2(&mut node).await, "secure true, proven true, HTTP/2.0");
    let mut stranger = running.http2(None).await;
    how_over_http2(&mut stranger).await;
    assert_eq!(how_over_http2(&mut node).await, "secure true, proven true, HTTP/2.0");

    nodes.believed.store(false, Ordering::Relaxed);
    // It is answered, so that it can be told why; and then it is one stranger too many.
    assert_eq!(how_over_http2(&mut node).await, "secure true, proven true, HTTP/2.0");
    is_let_go(&stranger).await;
    let mut revoked = running.http2(Some(&running.authority)).await;
    how_over_http2(&mut revoked).await;
    is_let_go(&node).await;
}

async fn is_let_go(connection: &SendRequest<Body>) {
    within(async {
        while !connection.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_panics_takes_nobody_with_it() {
    let running = start(|builder| builder.tls(Arc::new(Panics))).await;
    for _ in 0..3 {
        assert!(running.tls(running.authority.client(&[], None)).await.is_err());
        let said = how_over_http1(running.plain().await).await;
        assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    }
}
