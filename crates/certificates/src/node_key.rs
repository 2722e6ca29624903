//! The node's end: its key, and the certificate that says whose it is.

use outport_model::{NodeId, TimestampMs};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use crate::CertificateError;
use crate::authority::{CERTIFICATE_BEGINS, distinguished, new_key};
use crate::facts::{self, NodeCertificate, Validity};
use crate::verifier::NodeVerifier;

/// Certificates of a chain: the node's and the authority's.
const CHAIN_LENGTH: usize = 2;

/// A key of a node.
pub struct NodeKey {
    pair: KeyPair,
}

/// A key with its certificate: what a node shows.
pub struct NodeIdentity {
    key_pem: String,
    chain_pem: String,
    chain: Vec<CertificateDer<'static>>,
    certificate: NodeCertificate,
}

impl NodeKey {
    pub fn generate() -> Result<Self, CertificateError> {
        Ok(Self { pair: new_key()? })
    }

    /// # Errors
    /// [`CertificateError::Malformed`] when the text holds no key.
    pub fn read(pem: &str) -> Result<Self, CertificateError> {
        let pair = KeyPair::from_pem(pem)
            .map_err(|error| CertificateError::malformed("the node's key", error))?;
        Ok(Self { pair })
    }

    pub fn pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// A certificate request, `(PEM, DER)`, signed with the key.
    pub fn request(&self, node: &NodeId) -> Result<(String, Vec<u8>), CertificateError> {
        let not_made =
            |error: rcgen::Error| CertificateError::not_made("a certificate request", error);
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(node.as_str());
        let request = params.serialize_request(&self.pair).map_err(not_made)?;
        Ok((request.pem().map_err(not_made)?, request.der().to_vec()))
    }
}

impl NodeIdentity {
    /// A key and the chain that was issued for it.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when they do not belong together or are not a node's, and when one of the two
    /// certificates is not as the authority signed it.
    pub fn new(key: &NodeKey, chain_pem: &str) -> Result<Self, CertificateError> {
        let malformed =
            |reason: String| CertificateError::malformed("the node's certificate", reason);
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(chain_pem.as_bytes())
                .take(CHAIN_LENGTH + 1)
                .collect::<Result<_, _>>()
                .map_err(|error| malformed(error.to_string()))?;
        if chain.len() != CHAIN_LENGTH {
            return Err(malformed("it is not one certificate and its authority".to_owned()));
        }
        let certificate = NodeCertificate::read(&chain[0])?;
        if certificate.key != facts::fingerprint(&key.pair.subject_public_key_info()) {
            return Err(malformed("it is of another key".to_owned()));
        }
        if !facts::is_signed_by_itself(&chain[1])? {
            return Err(malformed("the authority's certificate beside it is damaged".to_owned()));
        }
        NodeVerifier::new(&chain[1])
            .and_then(|verifier| verifier.verify_client_cert(&chain[0], &[], UnixTime::now()))
            .map_err(|error| {
                malformed(format!("the authority beside it has not signed it: {error}"))
            })?;
        Ok(Self { key_pem: key.pem(), chain_pem: chain_pem.to_owned(), chain, certificate })
    }

    /// As [`NodeIdentity::file`] wrote it.
    pub fn read(file: &str) -> Result<Self, CertificateError> {
        let certificates = file.find(CERTIFICATE_BEGINS).ok_or_else(|| {
            CertificateError::malformed("the node's certificate", "there is none in the file")
        })?;
        Self::new(&NodeKey::read(file)?, &file[certificates..])
    }

    /// Key and chain in one text: a file that is replaced whole holds a pair that belongs together.
    pub fn file(&self) -> String {
        format!("{}{}", self.key_pem, self.chain_pem)
    }

    pub fn certificate(&self) -> &NodeCertificate {
        &self.certificate
    }

    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.chain[CHAIN_LENGTH - 1]
    }

    pub(crate) fn for_handshake(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|error| CertificateError::malformed("the node's key", error))?;
        Ok((self.chain.clone(), key))
    }
}

/// Whether a node asks for its next certificate: from half of the life of the one that it has.
pub fn is_due(validity: Validity, now_ms: TimestampMs) -> bool {
    let life_ms = validity.not_after_ms.saturating_sub(validity.not_before_ms);
    now_ms >= validity.not_before_ms.saturating_add(life_ms / 2)
}
