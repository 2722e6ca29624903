//! Certificates and keys in PEM, as they are uploaded.
//!
//! Looked at: that they can be read, that the key is the certificate's, and that each certificate of the chain is named as the
//! issuer of the one before. Signatures are not verified: who connects does that.
//!
//! Source of the texts of unreadable certificates and chains: answers as callers report them. Those of keys are guesses.

use outport_model::TimestampMs;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::rejection::Rejection;

/// When a certificate ends, with its key and chain checked.
///
/// # Errors
/// `MalformedCertificate`, `KeyPairMismatch`.
pub fn check(certificate: &str, key: &str, chain: Option<&str>) -> Result<TimestampMs, Rejection> {
    let [body] = &*read(certificate)? else {
        let text = "The certificate body must contain one certificate.";
        return Err(Rejection::MalformedCertificate(text.to_owned()));
    };
    let parsed = parse(body)?;
    check_key(&parsed, key)?;
    if let Some(chain) = chain {
        check_chain(&parsed, &read(chain)?)?;
    }
    Ok(parsed.validity().not_after.timestamp().saturating_mul(1000))
}

fn read(pem: &str) -> Result<Vec<CertificateDer<'static>>, Rejection> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok().filter(|read| !read.is_empty()).ok_or_else(unreadable)
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Rejection> {
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| unreadable())?;
    if rest.is_empty() { Ok(parsed) } else { Err(unreadable()) }
}

fn unreadable() -> Rejection {
    let text = "Unable to parse certificate. Please ensure the certificate is in PEM format.";
    Rejection::MalformedCertificate(text.to_owned())
}

/// Keys are those that TLS can use here: RSA from 2,048 bits, ECDSA on P-256 and P-384, Ed25519; not encrypted.
fn check_key(certificate: &X509Certificate<'_>, key: &str) -> Result<(), Rejection> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok();
    let public =
        key.and_then(|key| any_supported_type(&key).ok()?.public_key().map(|key| key.to_vec()));
    let Some(public) = public else {
        let text = "Unable to parse private key. Please ensure the private key is in PEM format and not encrypted.";
        return Err(Rejection::MalformedCertificate(text.to_owned()));
    };
    if certificate.public_key().raw != public {
        let text = "The private key does not match the public key in the certificate.";
        return Err(Rejection::KeyPairMismatch(text.to_owned()));
    }
    Ok(())
}

fn check_chain(
    certificate: &X509Certificate<'_>,
    chain: &[CertificateDer<'_>],
) -> Result<(), Rejection> {
    let mut issuer = certificate.issuer().as_raw().to_vec();
    for (index, der) in chain.iter().enumerate() {
        let parsed = parse(der)?;
        if parsed.subject().as_raw() != issuer {
            return Err(Rejection::MalformedCertificate(format!(
                "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order. The index within the chain of the invalid certificate is: {index}"
            )));
        }
        issuer = parsed.issuer().as_raw().to_vec();
    }
    Ok(())
}
