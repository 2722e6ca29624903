//! Connections to the registry of this installation: over TLS to the control plane's own certificate,
//! whatever its address.

use rustls::pki_types::ServerName;

/// How the node reaches its control plane, and with it the registry.
#[derive(Debug, Clone)]
pub struct OwnRegistry {
    /// Believes the control plane and nobody else.
    pub tls: rustls::ClientConfig,
    /// What the handshake asks for, instead of the address.
    pub server_name: ServerName<'static>,
}
