//! `GetAuthorizationToken`: the password of `docker login`.

use outport_aws_ecr::{
    AuthorizationData, EcrError, GetAuthorizationTokenRequest, GetAuthorizationTokenResponse,
};
use outport_aws_wire::Timestamp;
use outport_identity::{Call, Question, Subject};

use crate::EcrService;
use crate::access::scope;
use crate::password::{PASSWORD_LIFETIME_MS, authorization_token, seal};
use crate::service::open;

/// `registryIds` is deprecated by AWS and still answered: one password for each registry that is named.
/// What a password opens is asked again at every request of the registry.
pub(crate) async fn get_authorization_token(
    service: &EcrService,
    call: &Call,
    input: GetAuthorizationTokenRequest,
) -> Result<GetAuthorizationTokenResponse, EcrError> {
    open(call, Subject::from(Question::without_resource("ecr:GetAuthorizationToken")))?;
    let named = input.registry_ids.unwrap_or_default();
    let mut registries: Vec<Option<&str>> = named.iter().map(|id| Some(id.as_str())).collect();
    if registries.is_empty() {
        registries.push(None);
    }
    let expires_ms = call.now_ms + PASSWORD_LIFETIME_MS;
    let (scheme, host) = (service.address.scheme(call), service.address.host(call));
    let mut granted = Vec::with_capacity(registries.len());
    for registry_id in registries {
        let scope = scope(call, registry_id);
        let grant = service.grant(call, &scope, None)?;
        let (sealer, id) = (&service.sealer, &call.access_key_id);
        let password = seal(sealer, &call.principal, id, &grant, expires_ms)?;
        granted.push(AuthorizationData {
            authorization_token: Some(authorization_token(&password)),
            expires_at: Some(Timestamp::from_millis(expires_ms)),
            proxy_endpoint: Some(format!("{scheme}://{host}")),
        });
    }
    Ok(GetAuthorizationTokenResponse { authorization_data: Some(granted) })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use std::sync::Arc;

    use outport_identity::{AccountRoots, Arrival};
    use outport_image_registry::{AuthenticationError, RegistryAuthorizer};

    use super::*;
    use crate::EcrAuthorizer;
    use crate::testing::{Fixture, NOW_MS, NoTasks};

    #[tokio::test]
    async fn a_password_opens_the_registry_for_twelve_hours() {
        let fixture = Fixture::new();
        let input = GetAuthorizationTokenRequest::default();
        let answer = get_authorization_token(&fixture.service, &fixture.call, input).await;
        let granted = answer.expect("a token").authorization_data.expect("a list").remove(0);
        assert_eq!(granted.proxy_endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        let expires_ms = NOW_MS + 12 * 3600 * 1000;
        assert_eq!(granted.expires_at.map(|time| time.as_millis()), Some(expires_ms));
        let token = granted.authorization_token.expect("a token");
        let text = String::from_utf8(STANDARD.decode(token).expect("base64")).expect("a text");
        let (user, password) = text.split_once(':').expect("user and password");
        assert!(!password.contains([':', '=', ' ']));
        let authorizer = EcrAuthorizer::new(
            fixture.service.sealer.clone(),
            fixture.service.credentials.clone(),
            Arc::new(AccountRoots),
            Arc::new(NoTasks),
        );
        let mut arrived = http::Extensions::new();
        arrived.insert(Arrival::for_tests());
        let caller = authorizer
            .authenticate(user, password, expires_ms - 1, &arrived)
            .expect("a good password");
        assert_eq!(caller.scope().region.as_str(), "us-east-1");
        let late = authorizer.authenticate(user, password, expires_ms, &arrived).map(|_| ());
        assert_eq!(late, Err(AuthenticationError::Expired));
    }

    #[tokio::test]
    async fn a_client_is_told_the_address_that_it_came_by() {
        let mut fixture = Fixture::new();
        for (host, secure, expected) in [
            (Some("localhost:4566"), true, "https://localhost:4566"),
            (Some("localhost:4566"), false, "http://localhost:4566"),
            (Some("evil.example:4566"), true, "https://127.0.0.1:4566"),
            (Some("localhost:80"), false, "http://127.0.0.1:4566"),
            (None, false, "http://127.0.0.1:4566"),
        ] {
            fixture.call.host = host.map(str::to_owned);
            fixture.call.secure_transport = secure;
            let input = GetAuthorizationTokenRequest::default();
            let answer = get_authorization_token(&fixture.service, &fixture.call, input).await;
            let granted = answer.expect("a token").authorization_data.expect("a list").remove(0);
            assert_eq!(granted.proxy_endpoint.as_deref(), Some(expected), "{host:?}");
        }
    }
}
