//! `DescribeRepositoryCreationTemplates`.

use outport_aws_ecr::{
    DescribeRepositoryCreationTemplatesRequest, DescribeRepositoryCreationTemplatesResponse,
    EcrError,
};
use outport_identity::Call;

use crate::EcrService;
use crate::page::Page;
use crate::pull_through::{Templates, trimmed};

/// Prefixes that have no template are left out: the model has no error for one.
pub(crate) async fn describe_repository_creation_templates(
    service: &EcrService,
    call: &Call,
    input: DescribeRepositoryCreationTemplatesRequest,
) -> Result<DescribeRepositoryCreationTemplatesResponse, EcrError> {
    let page = Page::parse(input.max_results, input.next_token.as_deref())?;
    let whole = service.whole_registry(call, "ecr:DescribeRepositoryCreationTemplates")?;
    let templates = whole.blocking(|registry, scope| Templates::of(registry, scope)).await?;
    let mut found = templates.templates;
    if let Some(prefixes) = input.prefixes.filter(|prefixes| !prefixes.is_empty()) {
        let wanted: Vec<String> = prefixes.iter().map(|prefix| trimmed(Some(prefix))).collect();
        found.retain(|template| wanted.contains(&template.prefix));
    }
    found.retain(|one| page.after.as_deref().is_none_or(|after| one.prefix.as_str() > after));
    let (found, next_token) = page.cut(found, |last| last.prefix.clone());
    let views = found.iter().map(|template| template.view(&*service.principals));
    Ok(DescribeRepositoryCreationTemplatesResponse {
        registry_id: Some(whole.scope.account.to_string()),
        repository_creation_templates: Some(views.collect()),
        next_token,
    })
}
