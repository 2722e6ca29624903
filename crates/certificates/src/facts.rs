//! What is read of a certificate.

use std::collections::BTreeSet;
use std::net::IpAddr;

use outport_model::node_identity::KeyFingerprint;
use outport_model::{NodeId, TimestampMs};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::CertificateError;
use crate::names::ServerNames;
use crate::verifier::provider;

/// The longest certificate that is looked at, in bytes; ours are below one KiB, but for many names.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;

/// From when to when a certificate is good, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before_ms: TimestampMs,
    pub not_after_ms: TimestampMs,
}

impl Validity {
    pub fn contains(&self, now_ms: TimestampMs) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }
}

/// What a node's certificate says. Whoever has it has verified the chain and, by the handshake, that
/// the peer has the key; whether the certificate is good *now* is for the reader to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCertificate {
    pub node: NodeId,
    pub key: KeyFingerprint,
    pub validity: Validity,
}

impl NodeCertificate {
    /// # Errors
    /// [`CertificateError::Malformed`] when it is no certificate, or not that of a node.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let parsed = parse(certificate)?;
        let malformed = |reason| CertificateError::malformed("a node's certificate", reason);
        let mut names = parsed.subject().iter_common_name();
        let name = match (names.next(), names.next()) {
            (Some(name), None) => name.as_str().map_err(|error| malformed(error.to_string()))?,
            _ => return Err(malformed("it does not name one node".to_owned())),
        };
        let node = node_id(name).ok_or_else(|| malformed(format!("{name:?} is no node id")))?;
        Ok(Self { node, key: key_of(&parsed), validity: validity(&parsed) })
    }
}

/// A node id is 32 lower-case hexadecimal digits.
pub fn node_id(text: &str) -> Option<NodeId> {
    const DIGITS: usize = 32;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == DIGITS && text.bytes().all(is_digit)).then(|| NodeId::new(text))
}

/// The fingerprint of a public key in DER (SubjectPublicKeyInfo).
pub(crate) fn fingerprint(public_key: &[u8]) -> KeyFingerprint {
    KeyFingerprint::new(hex::encode(Sha256::digest(public_key)))
}

pub(crate) fn key_of(certificate: &X509Certificate<'_>) -> KeyFingerprint {
    fingerprint(certificate.public_key().raw)
}

pub(crate) fn parse<'der>(
    der: &'der CertificateDer<'_>,
) -> Result<X509Certificate<'der>, CertificateError> {
    let malformed = |reason: String| CertificateError::malformed("a certificate", reason);
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(malformed(format!("it has more than {CERTIFICATE_BYTES_MAX} bytes")));
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(malformed("something follows it".to_owned())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// Whether the certificate of an authority is as it was signed, each bit of it.
pub(crate) fn is_signed_by_itself(
    authority: &CertificateDer<'_>,
) -> Result<bool, CertificateError> {
    let parsed = parse(authority)?;
    let (signed, signature) = (parsed.tbs_certificate.as_ref(), &*parsed.signature_value.data);
    let key = &*parsed.public_key().subject_public_key.data;
    let provider = provider();
    let mut algorithms = provider.signature_verification_algorithms.all.iter();
    let is_signed =
        algorithms.any(|algorithm| algorithm.verify_signature(key, signed, signature).is_ok());
    Ok(is_signed && parsed.signature_algorithm == parsed.tbs_certificate.signature)
}

pub(crate) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity {
        not_before_ms: validity.not_before.timestamp().saturating_mul(1000),
        not_after_ms: validity.not_after.timestamp().saturating_mul(1000),
    }
}

/// The names that a server's certificate is good for.
pub(crate) fn server_names(certificate: &X509Certificate<'_>) -> ServerNames {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => {
                    names.insert((*name).to_owned());
                }
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    ServerNames::from_parts(names, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
