//! Why a connection to the control plane came to nothing, in words that help.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::verifier::OtherAuthority;

/// Errors are wrapped a few times, not without end.
const DEPTH_MAX: usize = 16;
/// What a server sends that does not take a client's certificate.
const OF_OUR_CERTIFICATE: [AlertDescription; 8] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::DecryptError,
];

/// What a failed handshake says about the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeTrouble {
    /// Somebody else answers; no other try will help.
    OtherAuthority(String),
    /// It does not take the certificate that was shown to it; no other try with that will help.
    OwnCertificate(String),
    /// It is no Outport of today; that may pass.
    Other(String),
}

/// Looks for the handshake's own error in an HTTP client's.
pub fn handshake_trouble(error: &(dyn Error + 'static)) -> Option<HandshakeTrouble> {
    let Some(error) = tls_error(error) else {
        return refusal_in_words(error).map(HandshakeTrouble::OwnCertificate);
    };
    match error {
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
        rustls::Error::AlertReceived(alert) if OF_OUR_CERTIFICATE.contains(alert) => {
            Some(HandshakeTrouble::OwnCertificate(error.to_string()))
        }
        _ => None,
    }
}

/// By TLS 1.3 a client has ended its handshake when the server looks at its certificate: the refusal comes with the first
/// read, and of that HTTP/2 keeps only the words.
fn refusal_in_words(error: &(dyn Error + 'static)) -> Option<String> {
    let refusals = OF_OUR_CERTIFICATE.map(|alert| rustls::Error::AlertReceived(alert).to_string());
    let mut next = Some(error);
    for _ in 0..DEPTH_MAX {
        let text = next?.to_string();
        if let Some(found) = refusals.iter().find(|refusal| text.contains(*refusal)) {
            return Some(found.clone());
        }
        next = next?.source();
    }
    None
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
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

    #[test]
    fn a_refused_certificate_is_told_from_a_handshake_without_a_common_version() {
        let alert = |alert| io::Error::other(rustls::Error::AlertReceived(alert));
        let refused =
            HandshakeTrouble::OwnCertificate("received fatal alert: UnknownCA".to_owned());
        let trouble = handshake_trouble(&alert(AlertDescription::UnknownCA));
        assert_eq!(trouble, Some(refused.clone()));
        let words = io::Error::other(alert(AlertDescription::UnknownCA).to_string());
        assert_eq!(handshake_trouble(&words), Some(refused));
        assert_eq!(handshake_trouble(&alert(AlertDescription::ProtocolVersion)), None);
    }
}
