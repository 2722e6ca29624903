//! What can go wrong with keys and certificates.

use std::path::PathBuf;

/// `Display` says what to do where somebody can do something.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{what} cannot be read: {reason}")]
    Malformed { what: &'static str, reason: String },
    #[error("{what} cannot be made: {reason}")]
    NotMade { what: &'static str, reason: String },
    #[error("{what} {}: {source}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "the clock of this machine says {now}, which was before Outport: certificates made now would be worth \
         nothing; set the clock"
    )]
    ClockBehind { now: String },
    #[error(
        "the certificate authority in {} is good from {not_before} to {not_after} and now it is {now}: \
         set the clock of this machine, or move that directory away, start again, and give the nodes the new \
         join token and the clients the new authority (outport ca)",
        path.display()
    )]
    AuthorityOutOfTime { path: PathBuf, not_before: String, not_after: String, now: String },
    #[error(
        "{} is damaged or gone, or {} is: the two are not of one certificate authority, and the nodes and clients of this \
         installation believe one of them; restore both from a backup, or move their directory away, start again, and \
         give the nodes the new join token and the clients the new authority (outport ca)",
        key.display(), public.display()
    )]
    OtherAuthority { key: PathBuf, public: PathBuf },
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    OtherKey { certificate: PathBuf, key: PathBuf },
}

impl CertificateError {
    pub(crate) fn malformed(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { what, reason: reason.to_string() }
    }

    pub(crate) fn not_made(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::NotMade { what, reason: reason.to_string() }
    }
}
