//! `PutImageScanningConfiguration`: kept and shown; nothing scans.

use outport_aws_ecr::{
    EcrError, ImageScanningConfiguration, PutImageScanningConfigurationRequest,
    PutImageScanningConfigurationResponse,
};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;

pub(crate) async fn put_image_scanning_configuration(
    service: &EcrService,
    call: &Call,
    input: PutImageScanningConfigurationRequest,
) -> Result<PutImageScanningConfigurationResponse, EcrError> {
    let given = input.image_scanning_configuration.unwrap_or_default();
    let scan_on_push = given.scan_on_push.unwrap_or_default();
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let action = "ecr:PutImageScanningConfiguration";
    let target = target(service, call, action, registry_id, name).await?;
    target
        .blocking(move |registry, target| {
            let put = registry.put_scan_on_push(&target.scope, &target.name, scan_on_push);
            put.map_err(|error| target.reject(error))
        })
        .await?;
    let kept = ImageScanningConfiguration { scan_on_push: Some(scan_on_push) };
    Ok(PutImageScanningConfigurationResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        image_scanning_configuration: Some(kept),
    })
}
