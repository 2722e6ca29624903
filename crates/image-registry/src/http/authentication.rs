//! Who sends a request, and to whose registry.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, header};
use outport_model::{AccountId, Region, Scope, TimestampMs};

use super::SecureTransport;
use crate::{AuthenticationError, RegistryAuthorizer, RegistryCaller};

/// Reads the Basic credentials that `docker login` stores.
pub(crate) fn caller(
    authorizer: &dyn RegistryAuthorizer,
    request: &Request<Body>,
    now_ms: TimestampMs,
) -> Result<Box<dyn RegistryCaller>, AuthenticationError> {
    let (user, password) = credentials(request.headers()).ok_or(AuthenticationError::Invalid)?;
    authorizer.authenticate(&user, &password, now_ms, request.extensions())
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The realm of the challenge: the address that the client used, as it used it.
pub(crate) fn realm(request: &Request<Body>) -> String {
    let clean = |host: &&str| host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let host = host(request).filter(clean).unwrap_or("registry");
    let is_secure = request.extensions().get() == Some(&SecureTransport(true));
    format!("{}://{host}/", if is_secure { "https" } else { "http" })
}

/// AWS's form of a registry host, `<account>.dkr.ecr.<region>.<suffix>`, says whose registry is meant;
/// whether the caller may use it is still asked. Any other host means the caller's own registry.
pub(crate) fn scope_of_host(request: &Request<Body>) -> Option<Scope> {
    let (account, rest) = host(request)?.split_once(".dkr.ecr.")?;
    let (region, _) = rest.split_once('.')?;
    let region_like = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !region.is_empty()
        && region.bytes().all(region_like);
    good.then(|| Scope::new(AccountId::new(account), Region::new(region)))
}

fn host(request: &Request<Body>) -> Option<&str> {
    match request.headers().get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => request.uri().authority().map(|authority| authority.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(authorization: &str, expected: Option<(&str, &str)>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().expect("a header value"));
        let found = credentials(&headers);
        let found = found.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        assert_eq!(found, expected, "{authorization}");
    }

    #[test]
    fn the_realm_is_the_address_that_the_client_used() {
        for (secure, expected) in [
            (None, "http://registry.example:4566/"),
            (Some(false), "http://registry.example:4566/"),
            (Some(true), "https://registry.example:4566/"),
        ] {
            let mut request = Request::get("/v2/").header(header::HOST, "registry.example:4566");
            if let Some(secure) = secure {
                request = request.extension(SecureTransport(secure));
            }
            let request = request.body(Body::empty()).expect("a request");
            assert_eq!(realm(&request), expected, "{secure:?}");
        }
    }

    #[test]
    fn basic_credentials_are_read() {
        check("Basic QVdTOnRva2Vu", Some(("AWS", "token")));
        check("basic QVdTOmE6Yg==", Some(("AWS", "a:b")));
        check("Bearer QVdTOnRva2Vu", None);
        check("Basic ***", None);
        check("Basic QVdT", None);
        check("Basic", None);
    }
}
