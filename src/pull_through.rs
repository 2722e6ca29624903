//! Other registries, for ECR's pull-through caches: the client that pulls for tasks, and secrets of Secrets Manager.
//!
//! **Invariant:** a registry that AWS does not know is asked only if the operator has named it, and without TLS only if named so.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use outport_aws_secretsmanager::{GetSecretValueRequest, SecretsManagerHandler};
use outport_aws_wire::WireError;
use outport_identity::{AccessKeyId, AccountRoots, Arrival, Call, Caller, Principal, RequestId};
use outport_image_store::{Credentials, RegistryEndpoint, RegistryError, UpstreamRegistries};
use outport_model::Scope;
use outport_service_ecr::{
    Upstream, UpstreamError, UpstreamManifest, UpstreamRepository, UpstreamUser,
};
use outport_service_secretsmanager::SecretsManagerService;
use outport_store::RandomIds;
use outport_store::identifiers::uuid;
use serde_json::Value;

const HTTPS: &str = "https://";
const HTTP: &str = "http://";
/// As AWS's service calls itself.
const USER_AGENT: &str = "pullthroughcache.ecr.amazonaws.com";

/// A registry that the operator names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAddress {
    https: bool,
    /// `HOST[:PORT]`.
    authority: String,
}

/// Reads `https://HOST[:PORT]` or `http://HOST[:PORT]`.
pub fn parse(text: &str) -> Result<UpstreamAddress, String> {
    let (https, rest) = match (text.strip_prefix(HTTPS), text.strip_prefix(HTTP)) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(format!("it begins with {HTTPS} or {HTTP}")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match !authority.is_empty() && authority.bytes().all(is_host) {
        true => Ok(UpstreamAddress { https, authority: authority.to_ascii_lowercase() }),
        false => Err("it is a registry's address and nothing behind it".to_owned()),
    }
}

/// The registries that rules may name.
pub struct OtherRegistries {
    named: Vec<UpstreamAddress>,
    client: UpstreamRegistries,
    secrets: SecretsManagerService,
}

impl OtherRegistries {
    /// `directory`: of the disk on which the registry is.
    pub fn new(
        named: Vec<UpstreamAddress>,
        directory: PathBuf,
        secrets: SecretsManagerService,
    ) -> Self {
        Self { named, client: UpstreamRegistries::new(directory), secrets }
    }
}

fn endpoint(of: &UpstreamRepository) -> RegistryEndpoint {
    let user = of.user.as_ref();
    let credentials =
        user.map(|user| Credentials { username: user.name.clone(), password: user.token.clone() });
    match of.registry.strip_prefix(HTTP) {
        Some(authority) => RegistryEndpoint::http(authority, &of.name, credentials),
        None => {
            let authority = of.registry.strip_prefix(HTTPS).unwrap_or(&of.registry);
            RegistryEndpoint::https(authority, &of.name, credentials)
        }
    }
}

fn failed(error: &RegistryError) -> UpstreamError {
    match error {
        RegistryError::NotFound => UpstreamError::NotFound,
        error => UpstreamError::Failed(error.to_string()),
    }
}

#[async_trait]
impl Upstream for OtherRegistries {
    fn named_by_operator(&self, address: &str) -> Option<String> {
        let found = self.named.iter().find(|it| it.authority.eq_ignore_ascii_case(address))?;
        Some(format!("{}{}", if found.https { HTTPS } else { HTTP }, found.authority))
    }

    /// Source: user guide, "Storing your upstream registry credentials in an AWS Secrets Manager secret": a key `username` and a key
    /// `accessToken`. On AWS a role of ECR reads it, whoever pulls; here the account itself does.
    async fn user(&self, scope: &Scope, secret_arn: &str) -> Result<UpstreamUser, UpstreamError> {
        let arrival = Arrival {
            request_id: RequestId::new(uuid(&RandomIds)),
            now_ms: crate::control_plane::now_ms(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: Some(USER_AGENT.to_owned()),
            secure_transport: true,
            host: None,
        };
        let caller = Caller {
            principal: Principal::root(scope.account.clone()),
            access_key_id: AccessKeyId::new("ecr"),
            session: None,
        };
        let call = Call::new(arrival, caller, scope.region.clone(), Arc::new(AccountRoots));
        let request = GetSecretValueRequest {
            secret_id: Some(secret_arn.to_owned()),
            version_id: None,
            version_stage: None,
        };
        let read = self.secrets.get_secret_value(&call, request).await;
        let read = read.map_err(|error| {
            let error = WireError::from(error).to_string();
            match error.contains("ResourceNotFoundException") {
                true => UpstreamError::SecretNotFound(format!(
                    "The secret {secret_arn} is not there: {error}"
                )),
                false => UpstreamError::SecretUnusable(format!(
                    "The secret {secret_arn} cannot be read: {error}"
                )),
            }
        })?;
        let document: Option<Value> =
            read.secret_string.and_then(|text| serde_json::from_str(&text).ok());
        let text = |name: &str| {
            let found = document.as_ref().and_then(|document| document.get(name)?.as_str());
            found.filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| {
                UpstreamError::SecretUnusable(format!(
                    "The secret {secret_arn} is no JSON object with the text \"{name}\""
                ))
            })
        };
        Ok(UpstreamUser { name: text("username")?, token: text("accessToken")? })
    }

    async fn ping(&self, of: &UpstreamRepository) -> Result<(), UpstreamError> {
        self.client.ping(&endpoint(of)).await.map_err(|error| failed(&error))
    }

    async fn manifest(
        &self,
        of: &UpstreamRepository,
        selector: &str,
    ) -> Result<UpstreamManifest, UpstreamError> {
        let read = self.client.manifest(&endpoint(of), selector).await;
        let read = read.map_err(|error| failed(&error))?;
        Ok(UpstreamManifest { body: read.bytes.to_vec(), media_type: read.media_type })
    }

    async fn blob(
        &self,
        of: &UpstreamRepository,
        digest: &str,
        size_bytes: u64,
    ) -> Result<File, UpstreamError> {
        let digest = digest.parse().map_err(|_| {
            UpstreamError::Failed(format!("the digest {digest} is of a kind that is not taken"))
        })?;
        let read = self.client.blob(&endpoint(of), digest, size_bytes).await;
        read.map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_address_with_its_scheme() {
        let check = |text: &str, expected: Option<(bool, &str)>| {
            let read = parse(text).ok();
            let read = read.as_ref().map(|read| (read.https, read.authority.as_str()));
            assert_eq!(read, expected, "{text}");
        };
        check("https://Registry.example", Some((true, "registry.example")));
        check("http://127.0.0.1:5000/", Some((false, "127.0.0.1:5000")));
        check("registry.example", None);
        check("https://registry.example/path", None);
        check("https://user@registry.example", None);
        check("https://", None);
    }
}
