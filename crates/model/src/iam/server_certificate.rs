//! A server certificate that was uploaded.

use serde::{Deserialize, Serialize};

use crate::{AccountId, Tags, TimestampMs};

/// The row of a server certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerCertificate {
    pub account: AccountId,
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `ASCA…`.
    pub id: String,
    pub uploaded_at_ms: TimestampMs,
    pub expires_at_ms: TimestampMs,
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub chain: Option<String>,
    /// The private key, sealed. It is never shown.
    pub sealed_key: String,
    pub tags: Tags,
}

impl ServerCertificate {
    /// `arn:aws:iam::<account>:server-certificate<path><name>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:server-certificate{}{}", self.account, self.path, self.name)
    }

    /// For what place the private key of the certificate with an id is sealed: a name may change.
    pub fn key_place(id: &str) -> String {
        format!("iam server certificate {id}")
    }
}
