//! `GetRegistryScanningConfiguration`.

use outport_aws_ecr::{
    EcrError, GetRegistryScanningConfigurationRequest, GetRegistryScanningConfigurationResponse,
};
use outport_identity::Call;

use crate::EcrService;
use crate::rejection::rejection;
use crate::scanning::Scanning;

pub(crate) async fn get_registry_scanning_configuration(
    service: &EcrService,
    call: &Call,
    _input: GetRegistryScanningConfigurationRequest,
) -> Result<GetRegistryScanningConfigurationResponse, EcrError> {
    let whole = service.whole_registry(call, "ecr:GetRegistryScanningConfiguration")?;
    let scanning = whole
        .blocking(|registry, scope| {
            Scanning::of(registry, scope).map_err(|error| rejection(error, scope, None))
        })
        .await?;
    Ok(GetRegistryScanningConfigurationResponse {
        registry_id: Some(whole.scope.account.to_string()),
        scanning_configuration: Some(scanning.view()),
    })
}
