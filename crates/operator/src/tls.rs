//! What to do where TLS is spoken by one side alone, or the other side is not trusted.

use std::path::Path;

use rustls::{CertificateError, Error, InvalidMessage};

/// How a client comes to trust an Outport.
pub const TRUST: &str = "have this command trust its authority: on its host `outport ca > outport-ca.pem`, here \
                         AWS_CA_BUNDLE=outport-ca.pem";

/// What to do about an error of a connection to `host`; `None` where it is none of TLS. `authority`: the file of those that
/// are trusted, where one was named.
pub fn hint(error: &anyhow::Error, host: &str, authority: Option<&Path>) -> Option<String> {
    let error = error.chain().find_map(of_tls)?;
    Some(match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => match authority {
            Some(file) => format!(
                "its certificate is of an authority that is not in {}, which AWS_CA_BUNDLE or the data directory names: on \
                 its host `outport ca` prints the right one",
                file.display()
            ),
            None => format!("its certificate is of an authority that is not trusted here: {TRUST}"),
        },
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "its certificate is good for other names than {host}: start that Outport with --tls-name for this one, or use \
             another"
        ),
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => {
            "its certificate is not valid at this time: compare the clocks of both hosts".to_owned()
        }
        Error::InvalidCertificate(_) => format!("its certificate is not believed: {TRUST}"),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "no TLS is spoken there: should its URL begin with http://?".to_owned()
        }
        _ => return None,
    })
}

/// Errors of I/O have it inside, which is not their source.
fn of_tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => of_tls(error.get_ref()?),
        None => error.downcast_ref::<Error>(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[track_caller]
    fn check(error: Error, authority: Option<&str>, expected: Option<&str>) {
        // As hyper hands it on.
        let error = anyhow::Error::new(std::io::Error::other(std::io::Error::other(error)));
        let said = hint(&error.context("connect"), "h:1", authority.map(Path::new));
        match expected {
            Some(expected) => {
                assert!(said.as_deref().unwrap_or_default().contains(expected), "{said:?}")
            }
            None => assert_eq!(said, None),
        }
    }

    #[test]
    fn each_fault_of_tls_says_what_to_do() {
        let certificate = |error| Error::InvalidCertificate(error);
        let unknown = || certificate(CertificateError::UnknownIssuer);
        check(unknown(), None, Some("`outport ca > outport-ca.pem`, here AWS_CA_BUNDLE="));
        check(unknown(), Some("/a.pem"), Some("not in /a.pem"));
        check(certificate(CertificateError::NotValidForName), None, Some("--tls-name"));
        check(certificate(CertificateError::Expired), None, Some("clocks"));
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        check(plain, None, Some("http://?"));
        check(Error::EncryptError, None, None);
        assert_eq!(hint(&anyhow!("refused"), "h:1", None), None);
    }
}
