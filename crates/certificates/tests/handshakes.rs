//! Who believes whom, in real handshakes over a pipe in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use outport_certificates::{
    Authority, CertificateError, IdentitySlot, NODE_LIFE_MS, NODE_LINK_NAME, NodeCertificate,
    NodeIdentity, NodeKey, NodeRequest, OwnCertificate, Pin, SERVER_LIFE_MS, ServerNames,
    ServerTls, ServerTlsOptions, is_due,
};
use outport_model::{AccountId, NodeId, Region, Scope};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

/// A time at which everything was made, 2026-11-28; handshakes are at another one.
const MADE_MS: i64 = 1_795_880_000_000;
const DAY_MS: i64 = 24 * 3600 * 1000;
const NODE: &str = "0123456789abcdef0123456789abcdef";

#[derive(Debug)]
struct Clock(i64);

impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0 / 1000).unwrap();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

fn names(given: &[&str]) -> ServerNames {
    let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
    let given: Vec<_> = given.iter().map(|text| text.parse().unwrap()).collect();
    ServerNames::wanted(&scope, &[], &given)
}

fn options(directory: &Path, given: &'static [&'static str]) -> ServerTlsOptions {
    ServerTlsOptions {
        directory: directory.join("tls"),
        authority_name: "0a1b2c3d".to_owned(),
        names: Arc::new(move || names(given)),
        own: None,
    }
}

fn server(directory: &Path) -> ServerTls {
    ServerTls::open(options(directory, &[]), MADE_MS).unwrap()
}

fn identity(authority: &Authority, node: &str, now_ms: i64) -> NodeIdentity {
    let key = NodeKey::generate().unwrap();
    let node = NodeId::new(node);
    let request = NodeRequest::read(&key.request(&node).unwrap().0).unwrap().verify().unwrap();
    let chain = authority.issue_node(&node, &request, now_ms).unwrap();
    NodeIdentity::new(&key, &chain).unwrap()
}

fn client(pin: Pin, identity: Option<&NodeIdentity>) -> ClientConfig {
    let slot = Arc::new(IdentitySlot::default());
    if let Some(identity) = identity {
        slot.show(identity).unwrap();
    }
    outport_certificates::node_client(pin, slot).unwrap()
}

/// What the server was shown by its peer, or what the one said that broke off.
fn shake(
    client: ClientConfig,
    server: Arc<ServerConfig>,
    name: &str,
    now_ms: i64,
) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    shake_at(client, server, name, now_ms, now_ms)
}

/// A client and a server whose clocks differ.
fn shake_at(
    mut client: ClientConfig,
    server: Arc<ServerConfig>,
    name: &str,
    client_ms: i64,
    server_ms: i64,
) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    const ROUNDS_MAX: usize = 10;
    let mut server = (*server).clone();
    client.time_provider = Arc::new(Clock(client_ms));
    server.time_provider = Arc::new(Clock(server_ms));
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    for _ in 0..ROUNDS_MAX {
        let mut pipe = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut pipe).unwrap();
        }
        let mut sent = pipe.as_slice();
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets().map_err(|error| format!("server: {error:?}"))?;
        }
        let mut pipe = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut pipe).unwrap();
        }
        let mut sent = pipe.as_slice();
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets().map_err(|error| format!("client: {error:?}"))?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(server.peer_certificates().map(<[_]>::to_vec))
}

fn link(
    server: &ServerTls,
    pin: Pin,
    identity: Option<&NodeIdentity>,
    now_ms: i64,
) -> Result<Option<NodeCertificate>, String> {
    let config = server.config(Some(NODE_LINK_NAME), now_ms);
    let client = client(pin, identity);
    let peer = shake(client, config, NODE_LINK_NAME, now_ms)?;
    Ok(peer.map(|chain| NodeCertificate::read(&chain[0]).unwrap()))
}

#[test]
fn a_node_and_its_control_plane_believe_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path());
    let pin = server.authority().pin();
    assert_eq!(link(&server, pin, None, MADE_MS), Ok(None), "to join it needs no certificate");
    let identity = identity(server.authority(), NODE, MADE_MS);
    let proven = link(&server, pin, Some(&identity), MADE_MS).unwrap().unwrap();
    assert_eq!(proven.node.as_str(), NODE);
    assert_eq!(&proven, identity.certificate());
    let read = NodeIdentity::read(&identity.file()).unwrap();
    assert_eq!(read.certificate(), identity.certificate());
}

#[test]
fn a_stand_in_is_not_believed() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ours = server(directories[0].path());
    let stand_in = server(directories[1].path());
    let pin = ours.authority().pin();
    let other = link(&stand_in, pin, None, MADE_MS).unwrap_err();
    assert!(other.contains("OtherAuthority"), "{other}");

    // One that sends our authority's certificate along with a certificate of its own.
    let (chain, key) = pair(&directories[1].path().join("tls/server.pem"));
    let chain = vec![chain[0].clone(), ours.authority().certificate().clone()];
    let error = shake_as(chain, key, pin).unwrap_err();
    assert!(error.contains("BadSignature") || error.contains("UnknownIssuer"), "{error}");

    // A node that plays the control plane with the certificate that it was given.
    let node = identity(ours.authority(), NODE, MADE_MS);
    std::fs::write(directories[1].path().join("node.pem"), node.file()).unwrap();
    let (chain, key) = pair(&directories[1].path().join("node.pem"));
    let error = shake_as(chain, key, pin).unwrap_err();
    assert!(error.contains("client: InvalidCertificate"), "{error}");

    // A machine that has the authority's certificate, as every client does, and no key of it.
    let (_, key) = pair(&directories[1].path().join("tls/server.pem"));
    let (chain, _) = pair(&directories[0].path().join("tls/server.pem"));
    let refused = ServerConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    assert!(refused.is_err());
}

fn ring() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn pair(file: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let text = std::fs::read(file).unwrap();
    let chain = CertificateDer::pem_slice_iter(&text).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(&text).unwrap())
}

fn shake_as(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
) -> Result<(), String> {
    let config = ServerConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let client = client(pin, None);
    shake(client, Arc::new(config), NODE_LINK_NAME, MADE_MS).map(drop)
}

#[test]
fn only_nodes_of_this_authority_are_heard() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (ours, other) = (server(directories[0].path()), server(directories[1].path()));
    let pin = ours.authority().pin();
    let stranger = identity(other.authority(), NODE, MADE_MS);
    let error = link(&ours, pin, Some(&stranger), MADE_MS).unwrap_err();
    assert!(error.starts_with("server: InvalidCertificate"), "{error}");

    // The server's own certificate is no node's.
    let (chain, key) = pair(&directories[0].path().join("tls/server.pem"));
    let mut client = ClientConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(ring())))
        .with_client_auth_cert(chain, key)
        .unwrap();
    client.resumption = rustls::client::Resumption::disabled();
    let config = ours.config(Some(NODE_LINK_NAME), MADE_MS);
    let error = shake(client, config, NODE_LINK_NAME, MADE_MS).unwrap_err();
    assert!(error.starts_with("server: InvalidCertificate"), "{error}");
}

/// Believes everybody, as a hostile client may.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn a_node_whose_certificate_ran_out_is_still_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path());
    let pin = server.authority().pin();
    let identity = identity(server.authority(), NODE, MADE_MS);
    for now_ms in [MADE_MS + NODE_LIFE_MS, MADE_MS - 2 * DAY_MS] {
        let validity = identity.certificate().validity;
        assert!(!validity.contains(now_ms));
        // The server makes a certificate that is good at its own time; its authority is older than any.
        let config = server.config(Some(NODE_LINK_NAME), MADE_MS);
        let client = client(pin, Some(&identity));
        let peer = shake_at(client, config, NODE_LINK_NAME, MADE_MS, now_ms).unwrap().unwrap();
        let read = NodeCertificate::read(&peer[0]).unwrap();
        assert_eq!(read.validity, validity, "who reads it can tell");
    }
}

#[test]
fn a_node_believes_its_server_whatever_its_own_clock_says() {
    const YEAR_MS: i64 = 365 * DAY_MS;
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path());
    let pin = server.authority().pin();
    let identity = identity(server.authority(), NODE, MADE_MS);
    let config = server.config(Some(NODE_LINK_NAME), MADE_MS);
    for node_ms in [MADE_MS + YEAR_MS, MADE_MS + 20 * YEAR_MS, MADE_MS - YEAR_MS, 0] {
        let node = client(pin, Some(&identity));
        let peer = shake_at(node, Arc::clone(&config), NODE_LINK_NAME, node_ms, MADE_MS);
        let peer = peer.unwrap_or_else(|error| panic!("at {node_ms}: {error}")).unwrap();
        assert_eq!(&NodeCertificate::read(&peer[0]).unwrap(), identity.certificate());
    }
    // The server's clock steps, it makes a certificate for its new time, and so does the node's.
    for server_ms in [MADE_MS + YEAR_MS, MADE_MS - 100 * DAY_MS] {
        let server = ServerTls::open(options(directory.path(), &[]), server_ms).unwrap();
        let config = server.config(Some(NODE_LINK_NAME), server_ms);
        let node = client(pin, Some(&identity));
        let peer = shake_at(node, config, NODE_LINK_NAME, MADE_MS, server_ms).unwrap().unwrap();
        assert!(!NodeCertificate::read(&peer[0]).unwrap().validity.contains(server_ms));
    }
}

#[test]
fn a_server_renews_itself_by_its_own_clock() {
    let directory = tempfile::tempdir().unwrap();
    let first = server(directory.path());
    let pin = first.authority().pin();
    let late_ms = MADE_MS + SERVER_LIFE_MS;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(first.authority().certificate().clone()).unwrap();
    // As other clients are: they look at their clocks.
    let believes = |server: &ServerTls, made_ms: i64, now_ms: i64| {
        let client = ClientConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        shake(client, server.config(Some("localhost"), made_ms), "localhost", now_ms).map(drop)
    };
    let error = believes(&first, MADE_MS, late_ms).unwrap_err();
    assert!(error.contains("client: InvalidCertificate(Expired"), "{error}");
    drop(first);
    // Started again, and in the middle of things.
    for now_ms in [late_ms, MADE_MS] {
        let server = ServerTls::open(options(directory.path(), &[]), now_ms).unwrap();
        assert_eq!(server.authority().pin(), pin, "the authority stays");
        assert_eq!(believes(&server, now_ms, now_ms), Ok(()));
    }
    let running = ServerTls::open(options(directory.path(), &[]), MADE_MS).unwrap();
    let renewed = until(|| believes(&running, late_ms, late_ms).is_ok());
    assert!(renewed, "a running server renews at a handshake");
}

/// A renewal that is due is looked at every few seconds only.
fn until(mut holds: impl FnMut() -> bool) -> bool {
    let begun = std::time::Instant::now();
    while begun.elapsed().as_secs() < 30 {
        if holds() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    false
}

#[test]
fn a_new_name_gets_a_new_certificate_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    drop(server(directory.path()));
    let file = directory.path().join("tls/server.pem");
    let before = std::fs::read(&file).unwrap();
    drop(server(directory.path()));
    assert_eq!(std::fs::read(&file).unwrap(), before, "a good one stays");
    // A host may have a name that is none in the eyes of some.
    let given: &[&str] = &["ecs.example.org", "under_score", "123", "1.2.3"];
    let server = ServerTls::open(options(directory.path(), given), MADE_MS).unwrap();
    assert_eq!(link(&server, server.authority().pin(), None, MADE_MS), Ok(None));
    assert_ne!(std::fs::read(&file).unwrap(), before);
    let hosts =
        ["ecs.example.org", "stream-logs.ecs.example.org", "logs.outport.localhost", "127.0.0.1"];
    for name in hosts {
        assert_eq!(public_client(&server, name), Ok(None), "{name}");
    }
}

/// What a client that trusts the server's authority gets.
fn public_client(
    server: &ServerTls,
    name: &str,
) -> Result<Option<Vec<CertificateDer<'static>>>, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.authority().certificate().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    shake(client, server.config(Some(name), MADE_MS), name, MADE_MS)
}

/// As on a full disk, on which an Outport has to start: an address that the host has got meanwhile is no reason not to.
#[test]
fn a_certificate_that_cannot_be_kept_is_shown_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    drop(server(directory.path()));
    let file = directory.path().join("tls/server.pem");
    let before = std::fs::read(&file).unwrap();
    std::fs::create_dir(file.with_extension("new")).unwrap();
    let server = ServerTls::open(options(directory.path(), &["ecs.example.org"]), MADE_MS).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(public_client(&server, "ecs.example.org"), Ok(None));
}

#[test]
fn keys_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path());
    let mode = |name: &str| {
        let file = directory.path().join("tls").join(name);
        file.metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!([mode("authority-key.pem"), mode("server.pem")], [0o600, 0o600]);
    assert_eq!([mode("authority.pem"), mode("")], [0o644, 0o700]);
    let public = std::fs::read_to_string(server.authority_file()).unwrap();
    assert!(!public.contains("PRIVATE"));
}

#[test]
fn the_operators_certificate_is_shown_to_all_but_nodes_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::read(&Authority::make("other", MADE_MS).unwrap()).unwrap();
    let issue = |name: &'static str| {
        let issued = other.issue_server(&names(&[name]), MADE_MS).unwrap();
        let begins = issued.find("-----BEGIN CERTIFICATE").unwrap();
        std::fs::write(elsewhere.path().join("key"), &issued[..begins]).unwrap();
        std::fs::write(elsewhere.path().join("certificate"), &issued[begins..]).unwrap();
    };
    issue("first.example.org");
    let own = OwnCertificate {
        certificate: elsewhere.path().join("certificate"),
        key: elsewhere.path().join("key"),
    };
    let open = || {
        let own = Some(own.clone());
        ServerTls::open(ServerTlsOptions { own, ..options(directory.path(), &[]) }, MADE_MS)
    };
    let server = open().unwrap();
    let pin = server.authority().pin();
    assert_eq!(link(&server, pin, None, MADE_MS), Ok(None), "nodes see the installation's own");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(other.certificate().clone()).unwrap();
    let ask = |server: &ServerTls, name: &str| {
        let client = ClientConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        shake(client, server.config(Some(name), MADE_MS), name, MADE_MS).is_ok()
    };
    assert!(ask(&server, "first.example.org") && !ask(&server, "second.example.org"));
    issue("second.example.org");
    assert!(ask(&open().unwrap(), "second.example.org"));

    std::fs::write(elsewhere.path().join("key"), NodeKey::generate().unwrap().pem()).unwrap();
    let error = open().err().unwrap();
    assert!(matches!(error, CertificateError::OtherKey { .. }), "{error}");
    std::fs::remove_file(elsewhere.path().join("key")).unwrap();
    let error = open().err().unwrap().to_string();
    assert!(error.contains("cannot read") && error.contains("/key"), "{error}");
}

#[test]
fn a_clock_that_cannot_be_right_makes_no_authority() {
    let directory = tempfile::tempdir().unwrap();
    let error = ServerTls::open(options(directory.path(), &[]), 0).err().unwrap().to_string();
    assert!(
        error.contains("1970-01-01 00:00:00 UTC") && error.contains("set the clock"),
        "{error}"
    );
    drop(server(directory.path()));
    // A clock that was ahead when it was made: an authority is good from the first day of Outport.
    let earlier_ms = MADE_MS - 300 * DAY_MS;
    assert!(ServerTls::open(options(directory.path(), &[]), earlier_ms).is_ok());
    let later_ms = MADE_MS + 11 * 365 * DAY_MS;
    let error = ServerTls::open(options(directory.path(), &[]), later_ms).err().unwrap();
    assert!(matches!(error, CertificateError::AuthorityOutOfTime { .. }), "{error}");
}

#[test]
fn a_request_that_is_not_signed_by_its_key_gets_nothing() {
    let key = NodeKey::generate().unwrap();
    let (pem, der) = key.request(&NodeId::new(NODE)).unwrap();
    let request = NodeRequest::read(&pem).unwrap();
    assert_eq!(request.der(), der);
    let once = request.verify().unwrap();
    let again = key.request(&NodeId::new(NODE)).unwrap().0;
    assert_eq!(NodeRequest::read(&again).unwrap().verify().unwrap().key(), once.key());
    for position in [40, der.len() / 2, der.len() - 3] {
        let mut changed = der.clone();
        changed[position] ^= 1;
        let changed = pem_of(&changed);
        let verified = NodeRequest::read(&changed).and_then(|request| request.verify().map(drop));
        assert!(verified.is_err(), "a change at {position}");
    }
    assert!(NodeRequest::read("").is_err());
    assert!(NodeRequest::read(&"x".repeat(5000)).is_err());
}

fn pem_of(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
}

#[test]
fn a_node_asks_again_at_half_of_its_certificates_life() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path());
    let validity = identity(server.authority(), NODE, MADE_MS).certificate().validity;
    assert!(!is_due(validity, MADE_MS));
    assert!(is_due(validity, MADE_MS + NODE_LIFE_MS / 2));
    assert!(validity.contains(MADE_MS + NODE_LIFE_MS / 2));
    assert_eq!(validity.not_after_ms - validity.not_before_ms, NODE_LIFE_MS);
}
