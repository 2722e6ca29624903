//! Who is believed in a handshake.
//!
//! **Invariant:** neither side has a list of public authorities on the node link: a node believes the
//! one authority whose pin it was given, the control plane believes its own.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as TlsCertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, RootCertStore, SignatureScheme,
};

use crate::facts;
use crate::join_token::Pin;

/// One way to encrypt in the whole house.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The server showed no authority with the pin of the join token.
#[derive(Debug, thiserror::Error)]
#[error(
    "its certificate is not of the authority that the join token names: somebody else answers at this address, or the \
     server has a new authority (then copy the file join-token from its data directory again)"
)]
pub struct OtherAuthority;

/// Believes a server whose certificate was signed, for the name that is asked for, by the authority with
/// the pin. The authority's certificate comes with the chain; the pin says whether it is the one.
///
/// Whether it is good at this time is not asked. A server renews its certificate by its own clock, which a node
/// whose clock is another cannot judge: a step of either would cut off every node. It would keep nobody out: the key of
/// an old certificate lies beside the authority's own, and who has the one has the other.
#[derive(Debug)]
pub struct PinnedAuthority {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    pub fn new(pin: Pin) -> Self {
        Self { pin, provider: provider() }
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let other = || {
            let error = OtherError(Arc::new(OtherAuthority));
            Error::InvalidCertificate(TlsCertificateError::Other(error))
        };
        let authority = intermediates.iter().find(|certificate| Pin::of(certificate) == self.pin);
        let authority = authority.ok_or_else(other)?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
        let at = within_its_time(end_entity, now)?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The time nearest to now at which the certificate is good.
fn within_its_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<UnixTime, Error> {
    let malformed = |_| Error::InvalidCertificate(TlsCertificateError::BadEncoding);
    let validity = facts::validity(&facts::parse(certificate).map_err(malformed)?);
    let seconds = |ms: i64| u64::try_from(ms / 1000).unwrap_or(0);
    let (first, last) = (seconds(validity.not_before_ms), seconds(validity.not_after_ms));
    // A certificate that ends before it begins is good at no time.
    let good = now.as_secs().min(last).max(first);
    Ok(UnixTime::since_unix_epoch(std::time::Duration::from_secs(good)))
}

/// Lets a node show its certificate, and one that has none yet connect to join.
///
/// The chain and the signature are verified here. Whether the certificate is good at this time is not:
/// that is asked at every call, since a connection lives longer than a handshake, and it is answered in
/// words there; a handshake could only break off.
#[derive(Debug)]
pub struct NodeVerifier(Arc<dyn ClientCertVerifier>);

impl NodeVerifier {
    pub fn new(authority: &CertificateDer<'static>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self(verifier))
    }
}

impl ClientCertVerifier for NodeVerifier {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let at = within_its_time(end_entity, now)?;
        self.0.verify_client_cert(end_entity, intermediates, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
