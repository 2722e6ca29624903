//! `DeleteRepositoryCreationTemplate`. Repositories that were made with it stay as they are.

use outport_aws_ecr::{
    DeleteRepositoryCreationTemplateRequest, DeleteRepositoryCreationTemplateResponse, EcrError,
};
use outport_identity::Call;

use crate::EcrService;
use crate::pull_through::{Templates, trimmed};

pub(crate) async fn delete_repository_creation_template(
    service: &EcrService,
    call: &Call,
    input: DeleteRepositoryCreationTemplateRequest,
) -> Result<DeleteRepositoryCreationTemplateResponse, EcrError> {
    let prefix = trimmed(input.prefix.as_deref());
    let whole = service.whole_registry(call, "ecr:DeleteRepositoryCreationTemplate")?;
    let gone = whole
        .blocking(move |registry, scope| {
            Templates::change(registry, scope, |templates| {
                let gone = templates.get_mut(scope, &prefix)?.clone();
                templates.templates.retain(|template| template.prefix != prefix);
                Ok(gone)
            })
        })
        .await?;
    Ok(DeleteRepositoryCreationTemplateResponse {
        registry_id: Some(whole.scope.account.to_string()),
        repository_creation_template: Some(gone.view(&*service.principals)),
    })
}
