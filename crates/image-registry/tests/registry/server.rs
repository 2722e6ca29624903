//! A registry on a scratch directory behind a real listener, and a client for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use outport_image_registry::{
    AccessDenied, Algorithm, AuthenticationError, Digest, Limits, NewRepository, Registry,
    RegistryAuthorizer, RegistryCaller, TagMutability, http as endpoint,
};
use outport_model::{AccountId, Region, Scope, Tags, TimestampMs};

/// Knows the passwords `owner` (may do all), `reader` (may pull), `team` (nothing in `private`),
/// `elsewhere` (owner of another account) and `old` (expired).
struct Passwords;

struct Caller {
    password: String,
    scope: Scope,
}

impl RegistryAuthorizer for Passwords {
    fn authenticate(
        &self,
        user: &str,
        password: &str,
        _now_ms: TimestampMs,
        _arrival: &http::Extensions,
    ) -> Result<Box<dyn RegistryCaller>, AuthenticationError> {
        let scope = match password {
            "old" => return Err(AuthenticationError::Expired),
            "elsewhere" => Scope::new(AccountId::new("111111111111"), Region::new("us-east-1")),
            "owner" | "reader" | "team" => scope(),
            _ => return Err(AuthenticationError::Invalid),
        };
        match user {
            "AWS" => Ok(Box::new(Caller { password: password.to_owned(), scope })),
            _ => Err(AuthenticationError::Invalid),
        }
    }
}

impl RegistryCaller for Caller {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn authorize(
        &self,
        action: &'static str,
        resource: &str,
        _tags: &Tags,
        _policy: Option<&str>,
    ) -> Result<(), AccessDenied> {
        let own = resource.contains(self.scope.account.as_str());
        let allowed = own
            && match self.password.as_str() {
                "reader" => action.starts_with("ecr:Batch") || action.starts_with("ecr:Get"),
                "team" => !resource.contains("repository/private"),
                _ => true,
            };
        let message = format!("not authorized to perform: {action} on resource: {resource}");
        if allowed { Ok(()) } else { Err(AccessDenied { message }) }
    }
}

pub fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that look random and are the same every time.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub struct Server {
    pub registry: Arc<Registry>,
    pub address: SocketAddr,
    pub now_ms: Arc<AtomicI64>,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The code of the first error in the body.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]).into_owned();
        assert_eq!(self.status.as_u16(), status, "{body}");
        self
    }
}

impl Server {
    pub async fn start(directory: &Path) -> Self {
        Self::start_with(directory, Limits::default()).await
    }

    pub async fn start_with(directory: &Path, limits: Limits) -> Self {
        let registry = Registry::open(directory, limits).expect("the registry opens");
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = Arc::new(AtomicI64::new(started.expect("after 1970").as_millis() as i64));
        let clock = Arc::clone(&now_ms);
        let routes = endpoint::router(
            Arc::clone(&registry),
            Arc::new(Passwords),
            Arc::new(move || clock.load(Ordering::Relaxed)),
        );
        let listener = listen().await;
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("the listener works");
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { registry, address, now_ms, client, serving }
    }

    pub fn create(&self, name: &str) {
        self.create_with(name, TagMutability::Mutable);
    }

    pub fn create_with(&self, name: &str, tag_mutability: TagMutability) {
        let name = name.parse().expect("a repository name");
        let new =
            NewRepository { name, tag_mutability, scan_on_push: false, tags: Default::default() };
        self.registry.create_repository(&scope(), &new, 1).expect("the repository is created");
    }

    /// Sends a request as the owner.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send_as("owner", method, path, &[], body).await
    }

    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send_as("owner", method, path, headers, body).await
    }

    pub async fn send_as(
        &self,
        password: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let credentials = STANDARD.encode(format!("AWS:{password}"));
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        if !password.is_empty() {
            request = request.header("authorization", format!("Basic {credentials}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let response = self.client.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Uploads a blob in one request.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = sha256(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.send(Method::POST, &path, bytes.to_vec()).await.expect(201);
        digest
    }

    /// Uploads an image of one layer, and returns the digest of its manifest.
    pub async fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> Digest {
        let config = self.push_blob(repository, b"{}").await;
        let layer_digest = self.push_blob(repository, layer).await;
        let manifest = image_manifest(&config, &[(layer_digest, layer.len())]);
        let path = format!("/v2/{repository}/manifests/{tag}");
        let headers = [("content-type", OCI_MANIFEST)];
        self.send_with(Method::PUT, &path, &headers, manifest.clone()).await.expect(201);
        sha256(manifest.as_bytes())
    }
}

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub fn image_manifest(config: &Digest, layers: &[(Digest, usize)]) -> String {
    let layers: Vec<_> = layers
        .iter()
        .map(|(digest, size)| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest.to_string(), "size": size,
            })
        })
        .collect();
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config.to_string(), "size": 2,
        },
        "layers": layers,
    })
    .to_string()
}

/// A free port of the loopback interface that the system does not hand out to clients.
async fn listen() -> tokio::net::TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    for _ in 0..2_000 {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if let Ok(listener) = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return listener;
        }
    }
    panic!("no free port from {start} on");
}

/// Every file below a directory, but for the SQLite files.
pub fn files_below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if !path.to_string_lossy().contains("registry.") {
                found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
