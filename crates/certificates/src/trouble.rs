//! Why a connection to the control plane came to nothing, in words that help.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::verifier::OtherAuthority;

/// What a failed handshake says about the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeTrouble {
    /// Somebody else answers; no other try will help.
    OtherAuthority(String),
    /// It is no Outport of today; that may pass.
    Other(String),
}

/// Looks for the handshake's own error in an HTTP client's.
pub fn handshake_trouble(error: &(dyn Error + 'static)) -> Option<HandshakeTrouble> {
    match tls_error(error)? {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Other(other) if other.0.is::<OtherAuthority>() => {
                Some(HandshakeTrouble::OtherAuthority(other.0.to_string()))
            }
            reason => Some(HandshakeTrouble::OtherAuthority(format!(
                "its certificate is not the control plane's: {reason}"
            ))),
        },
        rustls::Error::InvalidMessage(_) => Some(HandshakeTrouble::Other(
            "it does not answer in TLS: is it an Outport of this version?".to_owned(),
        )),
        _ => None,
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    /// Errors are wrapped a few times, not without end.
    const DEPTH_MAX: usize = 16;
    let mut next = Some(error);
    for _ in 0..DEPTH_MAX {
        let current = next?;
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        // An I/O error's source is that of what it holds, not what it holds.
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => current.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_reason_is_found_under_its_wrappings() {
        let other = rustls::OtherError(Arc::new(OtherAuthority));
        let other = rustls::Error::InvalidCertificate(CertificateError::Other(other));
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, other));
        let trouble = handshake_trouble(&wrapped);
        assert!(
            matches!(&trouble, Some(HandshakeTrouble::OtherAuthority(text)) if text.contains("join token")),
            "{trouble:?}"
        );
        assert_eq!(handshake_trouble(&io::Error::from(io::ErrorKind::NotFound)), None);
    }
}
