//! A registry in this process: serves what it is given, counts, and misbehaves on request.

use super::tarball::gzip;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use outport_image_store::{Credentials, Digest, ImageReference, RegistryEndpoint};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How a request goes wrong, once.
#[derive(Clone)]
pub enum Fault {
    Status(u16),
    /// The connection breaks after so many bytes of the body.
    BreakAfter(usize),
    /// Other bytes.
    Replace(Vec<u8>),
    Redirect(String),
    /// One byte of the body, and then nothing, for as long as the client waits.
    Stall,
}

/// What it takes to be served.
#[derive(Clone, PartialEq)]
pub enum Access {
    Open,
    Basic,
    Bearer,
    /// Tokens from this address.
    BearerAt(String),
}

struct State {
    authority: String,
    access: Access,
    documents: Mutex<HashMap<String, (String, Vec<u8>)>>,
    requests: Mutex<Vec<String>>,
    faults: Mutex<Vec<(String, Fault)>>,
}

#[derive(Clone)]
pub struct Registry(Arc<State>);

type Body = BoxBody<Bytes, io::Error>;

impl Registry {
    pub async fn start(access: Access) -> Registry {
        Registry::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), access).await
    }

    pub async fn start_at(address: IpAddr, access: Access) -> Registry {
        let listener = listen(address).await;
        let authority = listener.local_addr().unwrap().to_string();
        let registry = Registry(Arc::new(State {
            authority,
            access,
            documents: Mutex::default(),
            requests: Mutex::default(),
            faults: Mutex::default(),
        }));
        let serving = registry.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { break };
                let registry = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let registry = registry.clone();
                        async move { Ok::<_, Infallible>(registry.answer(&request)) }
                    });
                    // A client that goes away is no failure.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        registry
    }

    pub fn port(&self) -> u16 {
        self.0.authority.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    pub fn reference(&self, rest: &str) -> ImageReference {
        format!("{}/{rest}", self.0.authority).parse().unwrap()
    }

    pub fn endpoint(&self) -> RegistryEndpoint {
        RegistryEndpoint::http(&self.0.authority, "app", None)
    }

    pub fn endpoint_as(&self, username: &str, password: &str) -> RegistryEndpoint {
        let (username, password) = (username.to_owned(), password.to_owned());
        RegistryEndpoint::http(&self.0.authority, "app", Some(Credentials { username, password }))
    }

    pub fn endpoint_of(
        &self,
        repository: &str,
        username: &str,
        password: &str,
    ) -> RegistryEndpoint {
        let (username, password) = (username.to_owned(), password.to_owned());
        let credentials = Some(Credentials { username, password });
        RegistryEndpoint::http(&self.0.authority, repository, credentials)
    }

    /// Another repository has what begins so, too.
    pub fn lend(&self, repository: &str, beginnings: &[&str]) {
        let mut documents = self.0.documents.lock().unwrap();
        let lent = documents.iter().filter_map(|(path, document)| {
            let rest = path.strip_prefix("/v2/app/")?;
            let is_lent = beginnings.iter().any(|beginning| rest.starts_with(beginning));
            is_lent.then(|| (format!("/v2/{repository}/{rest}"), document.clone()))
        });
        let lent: Vec<_> = lent.collect();
        documents.extend(lent);
    }

    /// It has that no more.
    pub fn take(&self, path: &str) {
        self.take_from("app", path);
    }

    pub fn take_from(&self, repository: &str, path: &str) {
        let path = format!("/v2/{repository}/{path}");
        self.0.documents.lock().unwrap().remove(&path).expect("it is there");
    }

    /// The next request whose path contains `path` goes wrong.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.0.faults.lock().unwrap().push((path.to_owned(), fault));
    }

    pub fn requests(&self, containing: &str) -> usize {
        self.0.requests.lock().unwrap().iter().filter(|line| line.contains(containing)).count()
    }

    pub fn put(&self, path: &str, content_type: &str, bytes: &[u8]) {
        let document = (content_type.to_owned(), bytes.to_vec());
        self.0.documents.lock().unwrap().insert(format!("/v2/app/{path}"), document);
    }

    pub fn put_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.put(&format!("blobs/{digest}"), "application/octet-stream", bytes);
        digest
    }

    /// Puts an image of these tar files, gzipped; returns the manifest's digest.
    pub fn put_image(&self, tag: &str, tars: &[Vec<u8>]) -> Digest {
        let blobs: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
        let manifest = self.manifest(&blobs, &diff_ids);
        self.put_manifest(tag, OCI_MANIFEST, &manifest)
    }

    /// The manifest of these blobs, which are put as well.
    pub fn manifest(&self, blobs: &[Vec<u8>], diff_ids: &[Digest]) -> serde_json::Value {
        self.manifest_for("amd64", blobs, diff_ids)
    }

    pub fn manifest_for(
        &self,
        architecture: &str,
        blobs: &[Vec<u8>],
        diff_ids: &[Digest],
    ) -> serde_json::Value {
        let config = serde_json::json!({
            "architecture": architecture, "os": "linux",
            "config": {
                "Entrypoint": ["/app"], "Cmd": ["serve"], "Env": ["A=b"], "User": "1000",
                "WorkingDir": "/srv", "StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        })
        .to_string();
        let layers: Vec<serde_json::Value> = blobs
            .iter()
            .map(|blob| {
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": self.put_blob(blob), "size": blob.len(),
                })
            })
            .collect();
        serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.put_blob(config.as_bytes()), "size": config.len(),
            },
            "layers": layers,
        })
    }

    pub fn put_manifest(&self, tag: &str, kind: &str, manifest: &serde_json::Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        self.put(&format!("manifests/{tag}"), kind, &bytes);
        self.put(&format!("manifests/{digest}"), kind, &bytes);
        digest
    }

    /// Puts an index whose entries say nothing of their platform, as `(is an index, digest)`.
    pub fn put_bare_index(&self, tag: &str, entries: &[(bool, Digest)]) -> Digest {
        let manifests: Vec<serde_json::Value> = entries
            .iter()
            .map(|(is_index, digest)| {
                let kind = if *is_index { OCI_INDEX } else { OCI_MANIFEST };
                serde_json::json!({"mediaType": kind, "digest": digest, "size": 1})
            })
            .collect();
        let index =
            serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        self.put_manifest(tag, OCI_INDEX, &index)
    }

    /// Puts an index of `(architecture, manifest digest)`.
    pub fn put_index(&self, tag: &str, entries: &[(&str, Digest)]) -> Digest {
        let manifests: Vec<serde_json::Value> = entries
            .iter()
            .map(|(architecture, digest)| {
                serde_json::json!({
                    "mediaType": OCI_MANIFEST, "digest": digest, "size": 1,
                    "platform": {"os": "linux", "architecture": architecture},
                })
            })
            .collect();
        let index =
            serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        self.put_manifest(tag, OCI_INDEX, &index)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let path = request.uri().path().to_owned();
        let line = format!("{path} range={} auth={}", header("range"), header("authorization"));
        self.0.requests.lock().unwrap().push(line);
        if path == "/token" {
            let query = request.uri().query().unwrap_or_default();
            let allowed =
                query.contains("scope=repository%3Aapp%3Apull") && query.contains("service=test");
            let status = if allowed { 200 } else { 400 };
            return full(
                status,
                "application/json",
                br#"{"token":"t0k3n","access_token":"t0k3n"}"#,
            );
        }
        if let Some(refusal) = self.refusal(header("authorization")) {
            return refusal;
        }
        let fault = {
            let mut faults = self.0.faults.lock().unwrap();
            let found = faults.iter().position(|(part, _)| path.contains(part.as_str()));
            found.map(|index| faults.remove(index).1)
        };
        let documents = self.0.documents.lock().unwrap();
        let Some((kind, bytes)) = documents.get(&path) else {
            return full(
                404,
                "application/json",
                br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#,
            );
        };
        let range =
            header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        let from: usize = range.map_or(0, |from| from.parse().unwrap());
        let rest = &bytes[from.min(bytes.len())..];
        match fault {
            Some(Fault::Status(status)) => full(status, "text/plain", b"fault"),
            Some(Fault::Replace(bytes)) => full(200, kind, &bytes),
            Some(Fault::Redirect(to)) => Response::builder()
                .status(StatusCode::TEMPORARY_REDIRECT)
                .header("location", to)
                .body(whole(b""))
                .unwrap(),
            Some(Fault::Stall) => {
                let sent = Bytes::copy_from_slice(&rest[..1.min(rest.len())]);
                let first = stream::iter([Ok(Frame::data(sent))]);
                let endless = futures_util::StreamExt::chain(first, stream::pending());
                Response::builder()
                    .header("content-length", rest.len())
                    .body(BodyExt::boxed(StreamBody::new(endless)))
                    .unwrap()
            }
            Some(Fault::BreakAfter(length)) => {
                let sent = Bytes::copy_from_slice(&rest[..length.min(rest.len())]);
                let broken = stream::iter([Ok(Frame::data(sent)), Err(io::Error::other("broken"))]);
                Response::builder()
                    .header("content-length", rest.len())
                    .status(if from > 0 { 206 } else { 200 })
                    .body(BodyExt::boxed(StreamBody::new(broken)))
                    .unwrap()
            }
            None => full(if from > 0 { 206 } else { 200 }, kind, rest),
        }
    }

    fn refusal(&self, authorization: &str) -> Option<Response<Body>> {
        // AWS:secret
        let (wanted, challenge) = match &self.0.access {
            Access::Open => return None,
            Access::Basic => ("Basic QVdTOnNlY3JldA==", "Basic realm=\"test\"".to_owned()),
            Access::Bearer => (
                "Bearer t0k3n",
                format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.0.authority),
            ),
            Access::BearerAt(realm) => {
                ("Bearer t0k3n", format!("Bearer realm=\"{realm}\",service=\"test\""))
            }
        };
        (authorization != wanted).then(|| {
            Response::builder()
                .status(StatusCode::UNAUTHORIZED)
                .header("www-authenticate", challenge)
                .body(whole(br#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#))
                .unwrap()
        })
    }
}

/// A loopback port below the kernel's own range.
async fn listen(address: IpAddr) -> TcpListener {
    let start = 22_000 + (std::process::id() % 4000) as u16;
    for port in start..start + 4000 {
        if let Ok(listener) = TcpListener::bind((address, port)).await {
            return listener;
        }
    }
    panic!("no free port")
}

fn whole(bytes: &[u8]) -> Body {
    Full::new(Bytes::copy_from_slice(bytes)).map_err(|never| match never {}).boxed()
}

fn full(status: u16, kind: &str, bytes: &[u8]) -> Response<Body> {
    Response::builder().status(status).header("content-type", kind).body(whole(bytes)).unwrap()
}
