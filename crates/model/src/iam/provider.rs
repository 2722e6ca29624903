//! An identity provider that speaks OpenID Connect.

use serde::{Deserialize, Serialize};

use crate::{AccountId, Tags, TimestampMs};

/// The row of an OIDC provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OidcProvider {
    pub account: AccountId,
    /// Host and path of the issuer, without `https://`: the last part of its ARN.
    pub issuer: String,
    /// Audiences.
    pub client_ids: Vec<String>,
    /// SHA-1 of the certificate of the issuer's authority, in hexadecimal digits.
    pub thumbprints: Vec<String>,
    pub created_at_ms: TimestampMs,
    pub tags: Tags,
}

impl OidcProvider {
    /// `arn:aws:iam::<account>:oidc-provider/<issuer>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:oidc-provider/{}", self.account, self.issuer)
    }
}
