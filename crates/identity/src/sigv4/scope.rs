//! A credential with its scope: `AKID/20150830/us-east-1/service/aws4_request`.

use std::fmt;

/// What a signing key is good for: one day, one region, one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CredentialScope {
    /// `YYYYMMDD`.
    pub date: String,
    /// `us-east-1`.
    pub region: String,
    /// The signing name of the service, `ecs`.
    pub service: String,
    /// Always `aws4_request` in a scope that passes.
    pub terminator: String,
}

impl CredentialScope {
    /// Reads `keyid/date/region/service/term` into the access key id and its scope. `None` when it
    /// has not exactly five parts; the words of the parts are judged later, together, as AWS does.
    pub fn parse_credential(text: &str) -> Option<(&str, CredentialScope)> {
        let mut parts = text.split('/');
        let access_key_id = parts.next()?;
        let scope = CredentialScope {
            date: parts.next()?.to_owned(),
            region: parts.next()?.to_owned(),
            service: parts.next()?.to_owned(),
            terminator: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some((access_key_id, scope))
    }
}

impl fmt::Display for CredentialScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}/{}", self.date, self.region, self.service, self.terminator)
    }
}
