//! The installation's own certificate authority: ECDSA on P-256, ten years.
//!
//! | signs for | key usage | life |
//! |---|---|---|
//! | the control plane, by all of its names | server | 397 days, renewed at two thirds |
//! | a node, by its id | client | 30 days, renewed at half |
//!
//! **Invariant:** what it signs for a server is good for no client and the other way round, and nothing
//! that it signs can sign; so neither a node's certificate nor the server's makes another of either kind.

use outport_model::node_identity::KeyFingerprint;
use outport_model::{NodeId, TimestampMs};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKey, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};

use crate::CertificateError;
use crate::facts::{self, Validity};
use crate::join_token::Pin;
use crate::moment::{date_time, spoken};
use crate::names::ServerNames;

const DAY_MS: i64 = 24 * 3600 * 1000;
const AUTHORITY_LIFE_MS: i64 = 10 * 365 * DAY_MS;
/// Source: the CA/Browser Forum's baseline requirements: browsers refuse more.
pub const SERVER_LIFE_MS: i64 = 397 * DAY_MS;
pub const NODE_LIFE_MS: i64 = 30 * DAY_MS;
/// Certificates are good from a day before they are made: clocks differ.
const BACKDATED_MS: i64 = DAY_MS;
/// 2026-01-01: no clock that is right says less.
const EARLIEST_MS: TimestampMs = 1_767_225_600_000;
pub(crate) const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";
/// A certificate request of ours has some 250 bytes.
const REQUEST_BYTES_MAX: usize = 4096;

/// The key that signs, and the certificate that everybody is given.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    validity: Validity,
    pem: String,
}

/// A certificate request as it came: anybody may have made it.
pub struct NodeRequest(CertificateSigningRequestDer<'static>);

/// A certificate request whose signature was verified: whoever made it has the key.
pub struct VerifiedRequest(PublicKey);

impl Authority {
    /// A new one as [`Authority::read`] takes it. `name` tells it from others in a list of authorities.
    ///
    /// # Errors
    /// [`CertificateError::ClockBehind`] when the clock cannot be right.
    pub fn make(name: &str, now_ms: TimestampMs) -> Result<String, CertificateError> {
        let what = "the certificate authority";
        let not_made = |error: rcgen::Error| CertificateError::not_made(what, error);
        if now_ms < EARLIEST_MS {
            return Err(CertificateError::ClockBehind { now: spoken(now_ms) });
        }
        let key = new_key()?;
        let mut params = dated(now_ms, AUTHORITY_LIFE_MS);
        // From the first day: one that was made while the clock was ahead is good once it is set.
        params.not_before = date_time(EARLIEST_MS - BACKDATED_MS);
        params.distinguished_name = distinguished(&format!("Outport {name} CA"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(new_serial()?);
        let certificate = params.self_signed(&key).map_err(not_made)?;
        Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
    }

    /// Reads key and certificate from one text in PEM: a file that is written whole holds a pair.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] when one of the two is missing, or they do not belong together.
    pub fn read(pem: &str) -> Result<Self, CertificateError> {
        let what = "the certificate authority";
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| CertificateError::malformed(what, error))?;
        let key = KeyPair::from_pem(pem)
            .map_err(|error| CertificateError::malformed("the authority's key", error))?;
        let (validity, of_certificate) = {
            let parsed = facts::parse(&certificate)?;
            (facts::validity(&parsed), facts::key_of(&parsed))
        };
        if of_certificate != facts::fingerprint(&key.subject_public_key_info()) {
            return Err(CertificateError::malformed(what, "the key belongs to another"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| CertificateError::malformed(what, error))?;
        let pem = pem.find(CERTIFICATE_BEGINS).map(|at| pem[at..].to_owned()).unwrap_or_default();
        Ok(Self { issuer, certificate, validity, pem })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn pin(&self) -> Pin {
        Pin::of(&self.certificate)
    }

    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// A fresh key with a certificate for the control plane and the authority's behind it, in PEM.
    pub fn issue_server(
        &self,
        names: &ServerNames,
        now_ms: TimestampMs,
    ) -> Result<String, CertificateError> {
        let not_made = |error: rcgen::Error| CertificateError::not_made("a certificate", error);
        let key = new_key()?;
        let mut params = self.leaf(now_ms, SERVER_LIFE_MS, "Outport control plane")?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names.names() {
            let name = name.clone().try_into().map_err(not_made)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        let addresses = names.addresses().iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        let signed = params.signed_by(&key, &self.issuer).map_err(not_made)?;
        Ok(format!("{}{}", key.serialize_pem(), self.chain(&signed)))
    }

    /// A certificate for a node's key, with the authority's behind it, in PEM. Nothing of the request but its key
    /// is taken over.
    pub fn issue_node(
        &self,
        node: &NodeId,
        request: &VerifiedRequest,
        now_ms: TimestampMs,
    ) -> Result<String, CertificateError> {
        let mut params = self.leaf(now_ms, NODE_LIFE_MS, node.as_str())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params
            .signed_by(&request.0, &self.issuer)
            .map_err(|error| CertificateError::not_made("a node's certificate", error))?;
        Ok(self.chain(&signed))
    }

    fn leaf(
        &self,
        now_ms: TimestampMs,
        life_ms: i64,
        subject: &str,
    ) -> Result<CertificateParams, CertificateError> {
        let mut params = dated(now_ms, life_ms);
        params.not_after = params.not_after.min(date_time(self.validity.not_after_ms));
        params.distinguished_name = distinguished(subject);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(new_serial()?);
        Ok(params)
    }

    fn chain(&self, leaf: &Certificate) -> String {
        format!("{}{}", leaf.pem(), self.pem)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("pin", &self.pin()).finish_non_exhaustive()
    }
}

impl NodeRequest {
    /// # Errors
    /// [`CertificateError::Malformed`] when it is no PEM of a certificate request.
    pub fn read(pem: &str) -> Result<Self, CertificateError> {
        if pem.len() > REQUEST_BYTES_MAX {
            let reason = format!("it has more than {REQUEST_BYTES_MAX} bytes");
            return Err(malformed_request(reason));
        }
        CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map(Self)
            .map_err(malformed_request)
    }

    /// What a proof of the join token is made over.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// # Errors
    /// [`CertificateError::Malformed`] when it is not signed by the key in it, or that is not of the kind that
    /// nodes have.
    pub fn verify(&self) -> Result<VerifiedRequest, CertificateError> {
        let read = CertificateSigningRequestParams::from_der(&self.0).map_err(malformed_request)?;
        if *read.public_key.algorithm() != PKCS_ECDSA_P256_SHA256 {
            return Err(malformed_request("its key is not of the kind that nodes have"));
        }
        Ok(VerifiedRequest(read.public_key))
    }
}

impl VerifiedRequest {
    pub fn key(&self) -> KeyFingerprint {
        facts::fingerprint(&self.0.subject_public_key_info())
    }
}

fn malformed_request(reason: impl std::fmt::Display) -> CertificateError {
    CertificateError::malformed("a certificate request", reason)
}

pub(crate) fn new_key() -> Result<KeyPair, CertificateError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|error| CertificateError::not_made("a key", error))
}

pub(crate) fn distinguished(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Outport");
    name.push(DnType::CommonName, common_name);
    name
}

fn dated(now_ms: TimestampMs, life_ms: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time(now_ms - BACKDATED_MS);
    params.not_after = date_time(now_ms - BACKDATED_MS + life_ms);
    params
}

/// 127 random bits: two certificates of one authority never share one, which browsers insist on.
fn new_serial() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| CertificateError::not_made("a certificate", error))?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}
