//! `BatchGetRepositoryScanningConfiguration`.

use outport_aws_ecr::{
    BatchGetRepositoryScanningConfigurationRequest,
    BatchGetRepositoryScanningConfigurationResponse, EcrError, RepositoryScanningConfiguration,
    RepositoryScanningConfigurationFailure, ScanningConfigurationFailureCode,
};
use outport_identity::Call;
use outport_image_registry::{RegistryError, repository_arn};

use crate::EcrService;
use crate::access::target;
use crate::scanning::Scanning;
use crate::service::Target;

pub(crate) async fn batch_get_repository_scanning_configuration(
    service: &EcrService,
    call: &Call,
    input: BatchGetRepositoryScanningConfigurationRequest,
) -> Result<BatchGetRepositoryScanningConfigurationResponse, EcrError> {
    let action = "ecr:BatchGetRepositoryScanningConfiguration";
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in input.repository_names.unwrap_or_default() {
        let target = target(service, call, action, None, Some(&name)).await?;
        match configuration(&target).await? {
            Some(configuration) => found.push(configuration),
            None => failures.push(not_found(name)),
        }
    }
    Ok(BatchGetRepositoryScanningConfigurationResponse {
        scanning_configurations: Some(found),
        failures: Some(failures),
    })
}

async fn configuration(
    target: &Target,
) -> Result<Option<RepositoryScanningConfiguration>, EcrError> {
    target
        .blocking(|registry, target| {
            let repository = match registry.repository(&target.scope, &target.name) {
                Err(RegistryError::RepositoryNotFound { .. }) => return Ok(None),
                found => found.map_err(|error| target.reject(error))?,
            };
            let scanning = Scanning::of(registry, &target.scope);
            let scanning = scanning.map_err(|error| target.reject(error))?;
            let name = target.name.to_string();
            let (frequency, filters) = scanning.applied(&name, repository.scan_on_push);
            Ok(Some(RepositoryScanningConfiguration {
                repository_arn: Some(repository_arn(&target.scope, &target.name)),
                repository_name: Some(name),
                scan_on_push: Some(repository.scan_on_push),
                scan_frequency: Some(frequency),
                applied_scan_filters: Some(filters),
            }))
        })
        .await
}

/// Source of the reason: public test suites, which have the code there too.
fn not_found(name: String) -> RepositoryScanningConfigurationFailure {
    let code = ScanningConfigurationFailureCode::RepositoryNotFound;
    RepositoryScanningConfigurationFailure {
        repository_name: Some(name),
        failure_code: Some(code),
        failure_reason: Some(code.to_string()),
    }
}
