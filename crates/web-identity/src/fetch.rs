//! Documents of issuers, over HTTP.
//!
//! Source of the time limit: AWS re:Post, "How can I resolve the AWS STS API call error InvalidIdentityToken": more than 5
//! seconds of latency.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use outport_model::nearness::{Nearness, nearness};

/// Of one document, from the name to its last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Some hundred keys.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Gets documents. In tests, from a table.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// From an address that is near at most so much; `None`: the operator says so, wherever that is.
    ///
    /// # Errors
    /// Why there is none.
    async fn get(&self, url: &str, reach: Option<Nearness>) -> Result<Fetched, String>;
}

/// A document, and how near its server is.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub document: Bytes,
    pub nearness: Nearness,
}

type HttpsClient = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// With the certificate authorities of this host.
#[derive(Default)]
pub struct HttpFetch {
    /// By how near they reach: a connection that one may use is not taken by another. Made at the first use: reading the host's
    /// certificates costs time and memory.
    clients: [OnceLock<HttpsClient>; 3],
}

impl HttpFetch {
    fn client(&self, reach: Option<Nearness>) -> io::Result<&HttpsClient> {
        let [public, private, anywhere] = &self.clients;
        let client = match reach {
            Some(Nearness::Public) => public,
            Some(_) => private,
            None => anywhere,
        };
        if let Some(client) = client.get() {
            return Ok(client);
        }
        let mut tcp = HttpConnector::new_with_resolver(Resolver(reach));
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(TIMEOUT));
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?;
        let schemes = if reach.is_none() { tls.https_or_http() } else { tls.https_only() };
        let connector = schemes.enable_http1().wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE_TIMEOUT).pool_timer(TokioTimer::new());
        Ok(client.get_or_init(|| builder.build(connector)))
    }

    async fn ask(&self, url: &str, reach: Option<Nearness>) -> Result<Fetched, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>()
            && !allows(reach, address)
        {
            return Err(refused(host).to_string());
        }
        let request = Request::get(uri)
            .header(http::header::ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let client = self.client(reach).map_err(|error| error.to_string())?;
        let response = client.request(request).await.map_err(|error| innermost(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answered {}", response.status()));
        }
        let peer = response.extensions().get::<HttpInfo>().map(HttpInfo::remote_addr);
        let nearness = peer.map_or(Nearness::Public, |peer| nearness(peer.ip()));
        let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await;
        let document = body.map_err(|error| innermost(error.as_ref()))?.to_bytes();
        Ok(Fetched { document, nearness })
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn get(&self, url: &str, reach: Option<Nearness>) -> Result<Fetched, String> {
        let asked = tokio::time::timeout(TIMEOUT, self.ask(url, reach)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
    }
}

/// The root cause, which says more than "client error (Connect)".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn allows(reach: Option<Nearness>, address: IpAddr) -> bool {
    reach.is_none_or(|reach| nearness(address) <= reach)
}

fn refused(host: &str) -> io::Error {
    let text = format!("{host} is an address that an issuer may not send this server to");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// Resolves to addresses that are near at most so much; none is an error.
#[derive(Clone)]
struct Resolver(Option<Nearness>);

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|found| allows(reach, found.ip())).collect();
            if allowed.is_empty() { Err(refused(name.as_str())) } else { Ok(allowed.into_iter()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives one answer to each request.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                drop(stream.read(&mut request).await);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        format!("http://{address}/keys")
    }

    #[tokio::test]
    async fn the_operator_may_name_any_url() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        let fetched = HttpFetch::default().get(&url, None).await.unwrap();
        assert_eq!((&*fetched.document, fetched.nearness), (&b"{}"[..], Nearness::Loopback));
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let url = server("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
        let error = HttpFetch::default().get(&url, None).await.unwrap_err();
        assert_eq!(error, "it answered 302 Found");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{").await;
        assert!(HttpFetch::default().get(&url, None).await.is_err());
    }

    #[tokio::test]
    async fn an_issuer_leads_nowhere_near() {
        let text = "is an address that an issuer may not send this server to";
        for host in ["127.0.0.1", "[::1]", "169.254.169.254", "localhost"] {
            let url = format!("https://{host}/keys");
            let error = HttpFetch::default().get(&url, Some(Nearness::Private)).await.unwrap_err();
            assert!(error.ends_with(text), "{error}");
        }
        let private = HttpFetch::default().get("https://10.0.0.1/", Some(Nearness::Public)).await;
        assert!(private.unwrap_err().ends_with(text));
    }
}
