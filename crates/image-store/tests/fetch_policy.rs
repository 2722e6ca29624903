//! Where a registry may send a node, and what it gets to know. Needs root (layers have owners).
//!
//! All servers are on loopback; the network that is handed in says which of its addresses is public, private or nobody's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::{
    Credentials, Digest, ImageReference, ImageStore, Nearness, Network, Platform, RegistryEndpoint,
    StoreOptions,
};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use support::registry::{Access, Fault, Registry};
use support::tarball::{Tarball, gzip};

const LOOPBACK: u8 = 1;
const PUBLIC: u8 = 2;
const PRIVATE: u8 = 3;
const FORBIDDEN: u8 = 4;

struct Town;

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

impl Network for Town {
    fn resolve(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let last = match host.as_str() {
                "loopback.test" => vec![LOOPBACK],
                "public.test" | "other.test" => vec![PUBLIC],
                "private.test" => vec![PRIVATE],
                "metadata.test" => vec![FORBIDDEN],
                // Answers with both, in the hope that one is looked at and the other used.
                "both.test" => vec![PRIVATE, PUBLIC],
                _ => return Err(io::Error::other("no such host")),
            };
            Ok(last.into_iter().map(address).collect())
        })
    }

    fn nearness(&self, asked: IpAddr) -> Nearness {
        match asked {
            _ if asked == address(PUBLIC) => Nearness::Public,
            _ if asked == address(PRIVATE) => Nearness::Private,
            _ if asked == address(FORBIDDEN) => Nearness::Forbidden,
            _ => Nearness::Loopback,
        }
    }
}

fn open(directory: &Path) -> ImageStore {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    let options = StoreOptions { platform, network: Arc::new(Town), ..StoreOptions::default() };
    ImageStore::open(directory, options).unwrap()
}

fn tar() -> Vec<u8> {
    Tarball::new().file("f", b"content").finish()
}

async fn pull(from: &Registry, host: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let authority = format!("{host}:{}", from.port());
    let reference: ImageReference = format!("{authority}/app:1").parse().unwrap();
    let endpoint = RegistryEndpoint::http(&authority, "app", None);
    store.pull(&reference, &endpoint).await.map(|_| ()).map_err(|error| error.reason())
}

/// Pulls from a registry that sends the node on for a blob; `taken` is whether it may.
async fn check_redirect(from: (&str, u8), to: (&str, u8), taken: bool) {
    let case = format!("{} to {}", from.0, to.0);
    let source = Registry::start_at(address(from.1), Access::Open).await;
    let target = Registry::start_at(address(to.1), Access::Open).await;
    source.put_image("1", &[tar()]);
    target.put_image("1", &[tar()]);
    let blob = Digest::of(&gzip(&tar()));
    let location = format!("http://{}:{}/v2/app/blobs/{blob}", to.0, target.port());
    source.fault(&format!("blobs/{blob}"), Fault::Redirect(location.clone()));
    source.fault(&format!("blobs/{blob}"), Fault::Redirect(location.clone()));
    source.fault(&format!("blobs/{blob}"), Fault::Redirect(location));
    let done = pull(&source, from.0).await;
    assert_eq!(done.is_ok(), taken, "{case}: {done:?}");
    assert_eq!(target.requests("") > 0, taken, "{case}");
    if let Err(reason) = done {
        assert!(reason.contains("may not send this node"), "{case}: {reason}");
    }
}

#[tokio::test]
async fn a_registry_sends_no_nearer_than_it_is() {
    check_redirect(("public.test", PUBLIC), ("other.test", PUBLIC), true).await;
    check_redirect(("public.test", PUBLIC), ("private.test", PRIVATE), false).await;
    check_redirect(("public.test", PUBLIC), ("loopback.test", LOOPBACK), false).await;
    check_redirect(("public.test", PUBLIC), ("metadata.test", FORBIDDEN), false).await;
    check_redirect(("public.test", PUBLIC), ("127.0.0.3", PRIVATE), false).await;
    check_redirect(("public.test", PUBLIC), ("127.0.0.1", LOOPBACK), false).await;
    check_redirect(("public.test", PUBLIC), ("127.0.0.4", FORBIDDEN), false).await;
    check_redirect(("public.test", PUBLIC), ("both.test", PUBLIC), true).await;
    check_redirect(("private.test", PRIVATE), ("public.test", PUBLIC), true).await;
    check_redirect(("private.test", PRIVATE), ("127.0.0.3", PRIVATE), true).await;
    check_redirect(("private.test", PRIVATE), ("loopback.test", LOOPBACK), false).await;
    check_redirect(("private.test", PRIVATE), ("metadata.test", FORBIDDEN), false).await;
    // A port of loopback may be a tenant's.
    check_redirect(("127.0.0.1", LOOPBACK), ("public.test", PUBLIC), false).await;
    check_redirect(("127.0.0.1", LOOPBACK), ("private.test", PRIVATE), false).await;
    check_redirect(("127.0.0.1", LOOPBACK), ("loopback.test", LOOPBACK), false).await;
    check_redirect(("127.0.0.1", LOOPBACK), ("127.0.0.1", LOOPBACK), false).await;
    check_redirect(("127.0.0.1", LOOPBACK), ("127.0.0.4", FORBIDDEN), false).await;
}

#[tokio::test]
async fn nobody_has_a_registry_beside_a_metadata_service() {
    let there = Registry::start_at(address(FORBIDDEN), Access::Open).await;
    there.put_image("1", &[tar()]);
    for host in ["metadata.test", "127.0.0.4"] {
        let reason = pull(&there, host).await.unwrap_err();
        assert!(reason.contains("may not send this node"), "{host}: {reason}");
    }
    assert_eq!(there.requests(""), 0);
}

/// A registry that names an internal service as the one that gives tokens, to be told what it says.
#[tokio::test]
async fn a_realm_is_no_nearer_and_gets_no_password_that_is_not_its() {
    for (host, last) in [("private.test", PRIVATE), ("127.0.0.1", LOOPBACK)] {
        let inside = Registry::start_at(address(last), Access::Open).await;
        let realm = format!("http://{host}:{}/token", inside.port());
        let outside = Registry::start_at(address(PUBLIC), Access::BearerAt(realm)).await;
        outside.put_image("1", &[tar()]);
        let reason = pull(&outside, "public.test").await.unwrap_err();
        assert!(reason.contains("may not send this node"), "{host}: {reason}");
        assert_eq!(inside.requests(""), 0, "{host}");
        assert_eq!(outside.requests("t0k3n"), 0, "{host}");
    }
    // Of a registry on loopback only itself.
    let beside = Registry::start_at(address(LOOPBACK), Access::Open).await;
    let realm = format!("http://127.0.0.1:{}/token", beside.port());
    let tenant = Registry::start_at(address(LOOPBACK), Access::BearerAt(realm)).await;
    tenant.put_image("1", &[tar()]);
    let reason = pull(&tenant, "127.0.0.1").await.unwrap_err();
    assert!(reason.contains("may not send this node"), "{reason}");
    assert_eq!(beside.requests(""), 0);
    let honest = Registry::start_at(address(LOOPBACK), Access::Bearer).await;
    honest.put_image("1", &[tar()]);
    pull(&honest, "127.0.0.1").await.unwrap();
    // A realm elsewhere without TLS gives tokens, and is told no password.
    let elsewhere = Registry::start_at(address(PUBLIC), Access::Open).await;
    let realm = format!("http://other.test:{}/token", elsewhere.port());
    let registry = Registry::start_at(address(PUBLIC), Access::BearerAt(realm)).await;
    registry.put_image("1", &[tar()]);
    let directory = tempfile::tempdir().unwrap();
    let authority = format!("public.test:{}", registry.port());
    let (username, password) = ("AWS".to_owned(), "secret".to_owned());
    let credentials = Some(Credentials { username, password });
    let endpoint = RegistryEndpoint::http(&authority, "app", credentials);
    let reference: ImageReference = format!("{authority}/app:1").parse().unwrap();
    open(directory.path()).pull(&reference, &endpoint).await.unwrap();
    assert_eq!(elsewhere.requests("/token"), 1);
    assert_eq!(elsewhere.requests("Basic"), 0, "the realm was told the registry's password");
    for bad in ["ftp://public.test/token", "http://user:word@public.test/token", "/token"] {
        let registry = Registry::start_at(address(PUBLIC), Access::BearerAt(bad.to_owned())).await;
        registry.put_image("1", &[tar()]);
        let reason = pull(&registry, "public.test").await.unwrap_err();
        assert!(reason.contains("not a valid address"), "{bad}: {reason}");
    }
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let registry = Registry::start_at(address(PUBLIC), Access::Open).await;
    registry.put_image("1", &[tar()]);
    let blob = Digest::of(&gzip(&tar()));
    let to_itself = format!("http://public.test:{}/v2/app/blobs/{blob}", registry.port());
    for _ in 0..20 {
        registry.fault(&format!("blobs/{blob}"), Fault::Redirect(to_itself.clone()));
    }
    let reason = pull(&registry, "public.test").await.unwrap_err();
    assert!(reason.contains("too many redirects"), "{reason}");
    assert!(registry.requests("blobs/") < 12, "{}", registry.requests("blobs/"));
}
