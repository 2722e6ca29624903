//! How a node connects to its control plane.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use crate::CertificateError;
use crate::join_token::Pin;
use crate::node_key::NodeIdentity;
use crate::verifier::{PinnedAuthority, provider};

/// What a node shows in its next handshake: nothing before it has joined, then its newest certificate.
#[derive(Debug, Default)]
pub struct IdentitySlot(RwLock<Option<Arc<CertifiedKey>>>);

impl IdentitySlot {
    /// # Errors
    /// When the identity's key cannot be used.
    pub fn show(&self, identity: &NodeIdentity) -> Result<(), CertificateError> {
        let (chain, key) = identity.for_handshake()?;
        let shown = CertifiedKey::from_der(chain, key, &provider()).map_err(unfit)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shown));
        Ok(())
    }

    fn shown(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesClientCert for IdentitySlot {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.shown()
    }

    fn has_certs(&self) -> bool {
        self.shown().is_some()
    }
}

/// Believes the authority of the pin only. Ask for [`NODE_LINK_NAME`](crate::NODE_LINK_NAME), whatever the
/// address is.
pub fn node_client(pin: Pin, slot: Arc<IdentitySlot>) -> Result<ClientConfig, CertificateError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unfit)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedAuthority::new(pin)))
        .with_client_cert_resolver(slot);
    // Each connection proves itself anew.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn unfit(error: rustls::Error) -> CertificateError {
    CertificateError::malformed("the node's certificate", error)
}
