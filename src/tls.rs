//! The TLS of the listener: which certificate a client is shown, and who signs for nodes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use outport_certificates::{
    JoinToken, NodeRequest, OwnCertificate, ServerName, ServerNames, ServerTls, ServerTlsOptions,
    VerifiedRequest, node_id,
};
use outport_controllers::node_link::{NodeAuthority, NodeLink, NotIssued};
use outport_front_door::{PeerCertificate, TlsSettings};
use outport_model::host_name::split_port;
use outport_model::node_identity::KeyFingerprint;
use outport_model::own_registry::OwnRegistry;
use outport_model::{NodeId, Scope};
use outport_node_protocol::{IssuedCertificate, JoinRequest};
use rustls::ServerConfig;
use rustls::server::ClientHello;

use crate::command_line::{ControlPlaneOptions, PlainHttp};
use crate::control_plane::now_ms;
use crate::data_dir::DataDir;
use crate::node_link;

/// The operator's own certificate, if the options name one.
///
/// # Errors
/// When they name half of it. The command line is refused before; a configuration file comes as far as here.
pub fn own_certificate(options: &ControlPlaneOptions) -> Result<Option<OwnCertificate>> {
    match (&options.tls_certificate, &options.tls_key) {
        (Some(certificate), Some(key)) => {
            Ok(Some(OwnCertificate { certificate: certificate.clone(), key: key.clone() }))
        }
        (None, None) => Ok(None),
        _ => bail!("--tls-certificate and --tls-key go together: give both or none"),
    }
}

/// Shows the certificates of a data directory.
pub struct ListenerTls(ServerTls);

impl ListenerTls {
    /// Makes the authority and the server's certificate at the first start.
    pub fn open(data_dir: &DataDir, options: &ControlPlaneOptions, scope: &Scope) -> Result<Self> {
        let own = own_certificate(options)?;
        let (scope, mut given) = (scope.clone(), options.tls_name.clone());
        if !options.listen.ip().is_unspecified() {
            given.push(ServerName::Address(options.listen.ip()));
        }
        let public = options.public_address.iter();
        given.extend(public.filter_map(|public| split_port(public).0.parse().ok()));
        let tls_options = ServerTlsOptions {
            directory: data_dir.tls_path()?,
            authority_name: data_dir.instance().to_owned(),
            names: Arc::new(move || ServerNames::wanted(&scope, &host_names(), &given)),
            own,
        };
        Ok(Self(ServerTls::open(tls_options, now_ms())?))
    }

    /// The file with the authority that clients have to trust; `None` when they are shown a certificate of the
    /// operator's.
    pub fn authority_for_clients(&self, options: &ControlPlaneOptions) -> Option<PathBuf> {
        options.tls_certificate.is_none().then(|| self.0.authority_file())
    }

    /// The registry under all names that the certificate is for, at the listener's port. It is as it is now:
    /// an address that this host gets later is known after the next start.
    pub fn own_registry(&self, options: &ControlPlaneOptions, address: SocketAddr) -> OwnRegistry {
        let port = address.port();
        let mut names: Vec<String> =
            self.0.names().iter().map(|name| with_port(name, port)).collect();
        names.push(address.to_string());
        let public = options.public_address.as_deref().map(|public| with_port(public, port));
        OwnRegistry { host: public.unwrap_or_else(|| address.to_string()), names }
    }

    pub fn server(&self) -> &ServerTls {
        &self.0
    }
}

/// What the listener shows, and who counts as a node there.
pub struct NodesAtTheDoor {
    pub tls: Arc<ListenerTls>,
    pub link: NodeLink,
}

impl TlsSettings for NodesAtTheDoor {
    fn server_config(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        self.tls.0.config(hello.server_name(), now_ms())
    }

    fn is_node_link(&self, hello: &ClientHello<'_>) -> bool {
        ServerTls::is_node_link(hello.server_name())
    }

    fn is_node(&self, certificate: &PeerCertificate) -> bool {
        node_link::proven(certificate).is_some_and(|proven| self.link.believe(&proven).is_ok())
    }
}

/// The host with its port; with `port` unless it says another.
fn with_port(host: &str, port: u16) -> String {
    match split_port(host) {
        (_, Some(_)) => host.to_owned(),
        (host, None) if host.contains(':') => format!("[{host}]:{port}"),
        (host, None) => format!("{host}:{port}"),
    }
}

/// What `--public-address` takes: a name or an address, with or without a port.
pub fn public_address(text: &str) -> Result<String, String> {
    let (host, _) = split_port(text);
    let is_one = match host.parse::<ServerName>() {
        Ok(ServerName::Address(address)) => !address.is_unspecified(),
        Ok(_) => !host.starts_with("*."),
        Err(_) => false,
    };
    if !is_one {
        let advice = "give a host name or an address, such as ecs.example.org or 10.0.0.7:4566";
        return Err(advice.to_owned());
    }
    Ok(text.to_owned())
}

/// Where this host is answered without TLS.
pub fn plain_url(options: &ControlPlaneOptions, address: SocketAddr) -> Option<String> {
    let is_answered = match options.plain_http {
        PlainHttp::Loopback => address.ip().is_loopback(),
        PlainHttp::Everyone => true,
        PlainHttp::Nobody => false,
    };
    is_answered.then(|| format!("http://{address}"))
}

/// Says once at the start what everybody on the network could do.
pub fn warn_of_plain_http(options: &ControlPlaneOptions) {
    if options.plain_http == PlainHttp::Everyone && !options.listen.ip().is_loopback() {
        tracing::warn!(
            event = "plain_http_open",
            listen = %options.listen,
            "plain HTTP is answered to the network: passwords and answers can be read and changed on the way; use \
             https:// and leave out --plain-http everyone"
        );
    }
}

impl From<PlainHttp> for outport_front_door::PlainHttp {
    fn from(who: PlainHttp) -> Self {
        match who {
            PlainHttp::Loopback => Self::Loopback,
            PlainHttp::Everyone => Self::Everyone,
            PlainHttp::Nobody => Self::Nobody,
        }
    }
}

/// What this host goes by now: its name and the addresses of its links, but those that are good on one link only.
fn host_names() -> Vec<ServerName> {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let mut names: Vec<ServerName> = name.and_then(|name| name.parse().ok()).into_iter().collect();
    match nix::ifaddrs::getifaddrs() {
        Ok(links) => names.extend(links.filter_map(|link| address(&link.address?))),
        Err(error) => tracing::warn!(
            event = "host_addresses_unknown",
            %error,
            "cannot list the addresses of this host for the server's certificate"
        ),
    }
    names
}

fn address(address: &nix::sys::socket::SockaddrStorage) -> Option<ServerName> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    let v6 = || address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
    let address = v4.or_else(v6)?;
    let is_of_one_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    (!is_of_one_link).then_some(ServerName::Address(address))
}

/// Signs for nodes with the installation's authority.
pub struct NodeSigner {
    tls: Arc<ListenerTls>,
    token: JoinToken,
}

impl NodeSigner {
    pub fn new(tls: Arc<ListenerTls>, token: JoinToken) -> Self {
        Self { tls, token }
    }
}

impl NodeAuthority for NodeSigner {
    fn admit(&self, request: &JoinRequest) -> Result<KeyFingerprint, NotIssued> {
        let read = NodeRequest::read(&request.certificate_request).map_err(malformed)?;
        // Cheap before dear: who does not have the token costs no verification of a signature.
        if !self.token.proves(&request.proof, &request.node, read.der()) {
            return Err(NotIssued::WrongToken);
        }
        Ok(read.verify().map_err(malformed)?.key())
    }

    fn key(&self, certificate_request: &str) -> Result<KeyFingerprint, NotIssued> {
        Ok(verified(certificate_request)?.key())
    }

    fn issue(
        &self,
        node: &NodeId,
        certificate_request: &str,
    ) -> Result<IssuedCertificate, NotIssued> {
        let node = node_id(node.as_str())
            .ok_or_else(|| NotIssued::Malformed("it is no node id".to_owned()))?;
        let request = verified(certificate_request)?;
        let certificate_chain = self
            .tls
            .server()
            .authority()
            .issue_node(&node, &request, now_ms())
            .map_err(|error| NotIssued::Fault(error.to_string()))?;
        Ok(IssuedCertificate { certificate_chain })
    }
}

fn verified(certificate_request: &str) -> Result<VerifiedRequest, NotIssued> {
    NodeRequest::read(certificate_request).and_then(|request| request.verify()).map_err(malformed)
}

fn malformed(error: outport_certificates::CertificateError) -> NotIssued {
    NotIssued::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = public_address(text).ok().map(|public| with_port(&public, 4566));
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn a_public_address_is_a_host_and_perhaps_a_port() {
        check("ecs.example.org", Some("ecs.example.org:4566"));
        check("ecs.example.org:443", Some("ecs.example.org:443"));
        check("10.0.0.7", Some("10.0.0.7:4566"));
        check("fd00::7", Some("[fd00::7]:4566"));
        check("[fd00::7]:443", Some("[fd00::7]:443"));
        for text in
            ["", "https://ecs.example.org", "*.example.org", "a:b", "a/b", "0.0.0.0", "[::]:443"]
        {
            check(text, None);
        }
    }
}
