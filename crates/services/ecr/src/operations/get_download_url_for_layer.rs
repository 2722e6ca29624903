//! `GetDownloadUrlForLayer`.

use outport_aws_ecr::{EcrError, GetDownloadUrlForLayerRequest, GetDownloadUrlForLayerResponse};
use outport_identity::Call;
use outport_image_registry::{Digest, RegistryError, repository_arn};

use crate::EcrService;
use crate::access::target;
use crate::password::{USER, seal};
use crate::rejection::invalid_parameter;

/// How long a URL is good. Source: what ECR's URLs say (`X-Amz-Expires=3600`).
const URL_LIFETIME_MS: i64 = 3600 * 1000;

/// The URL carries its own password, good for an hour and for the layers of this repository only, as user
/// information, which HTTP clients send as Basic credentials.
pub(crate) async fn get_download_url_for_layer(
    service: &EcrService,
    call: &Call,
    input: GetDownloadUrlForLayerRequest,
) -> Result<GetDownloadUrlForLayerResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:GetDownloadUrlForLayer", registry_id, name).await?;
    let constraint = "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
    let digest: Digest = input
        .layer_digest
        .unwrap_or_default()
        .parse()
        .map_err(|_| invalid_parameter("layerDigest", constraint))?;
    let (layer, now_ms) = (digest.clone(), call.now_ms);
    target
        .blocking(move |registry, target| {
            match registry.blob(&target.scope, &target.name, &layer, now_ms) {
                Err(RegistryError::BlobNotFound(digest)) => {
                    Err(EcrError::layers_not_found_exception(format!(
                        "Layer with digest '{digest}' does not exist in the {}",
                        target.place()
                    )))
                }
                Err(error) => Err(target.reject(error)),
                Ok(_) => Ok(()),
            }
        })
        .await?;
    let repository = repository_arn(&target.scope, &target.name);
    let grant = service.grant(call, &target.scope, Some(repository))?;
    let expires_ms = call.now_ms + URL_LIFETIME_MS;
    let password = seal(&service.sealer, &call.principal, &call.access_key_id, &grant, expires_ms)?;
    let (scheme, host) = (service.address.scheme(call), service.address.host(call));
    let name = &target.name;
    Ok(GetDownloadUrlForLayerResponse {
        download_url: Some(format!("{scheme}://{USER}:{password}@{host}/v2/{name}/blobs/{digest}")),
        layer_digest: Some(digest.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[tokio::test]
    async fn the_url_names_the_layer_and_carries_a_password() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        fixture.push("app", "1", b"layer").await;
        let request = |digest: String| GetDownloadUrlForLayerRequest {
            repository_name: Some("app".into()),
            layer_digest: Some(digest),
            ..Default::default()
        };
        let digest = fixture.digest_of(b"layer");
        let answer =
            get_download_url_for_layer(&fixture.service, &fixture.call, request(digest.clone()))
                .await;
        let url = answer.expect("a URL").download_url.expect("a URL");
        let (credentials, rest) = url.split_once('@').expect("user information");
        assert_eq!(rest, format!("127.0.0.1:4566/v2/app/blobs/{digest}"));
        assert!(credentials.starts_with("http://AWS:"));
        let missing = request(fixture.digest_of(b"missing"));
        let missing = get_download_url_for_layer(&fixture.service, &fixture.call, missing).await;
        assert!(matches!(missing, Err(EcrError::LayersNotFoundException(_))));
    }
}
