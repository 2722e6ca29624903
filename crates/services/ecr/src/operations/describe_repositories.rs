//! `DescribeRepositories`.

use outport_aws_ecr::{DescribeRepositoriesRequest, DescribeRepositoriesResponse, EcrError};
use outport_identity::Call;

use crate::access::{scope, target};
use crate::page::Page;
use crate::rejection::{invalid_parameter, rejection};
use crate::{EcrService, views};

pub(crate) async fn describe_repositories(
    service: &EcrService,
    call: &Call,
    input: DescribeRepositoriesRequest,
) -> Result<DescribeRepositoriesResponse, EcrError> {
    match input.repository_names {
        Some(_) if input.max_results.is_some() || input.next_token.is_some() => {
            Err(invalid_parameter("maxResults", "must not be used together with repositoryNames"))
        }
        Some(names) => by_name(service, call, input.registry_id.as_deref(), &names).await,
        None => {
            let page = Page::parse(input.max_results, input.next_token.as_deref())?;
            all(service, call, input.registry_id.as_deref(), page).await
        }
    }
}

/// Each must exist: ECR answers for all or for none.
async fn by_name(
    service: &EcrService,
    call: &Call,
    registry_id: Option<&str>,
    names: &[String],
) -> Result<DescribeRepositoriesResponse, EcrError> {
    let action = "ecr:DescribeRepositories";
    let mut repositories = Vec::with_capacity(names.len());
    for name in names {
        let target = target(service, call, action, registry_id, Some(name)).await?;
        let found = target
            .blocking(move |registry, target| {
                registry
                    .repository(&target.scope, &target.name)
                    .map_err(|error| target.reject(error))
            })
            .await?;
        repositories.push(views::repository(&target.scope, service.address.host(call), &found));
    }
    Ok(DescribeRepositoriesResponse { repositories: Some(repositories), next_token: None })
}

async fn all(
    service: &EcrService,
    call: &Call,
    registry_id: Option<&str>,
    page: Page,
) -> Result<DescribeRepositoriesResponse, EcrError> {
    let scope = scope(call, registry_id);
    let every = service.every_repository(call, "ecr:DescribeRepositories", scope)?;
    let (after, count) = (page.after.clone(), page.items_max + 1);
    let found = every
        .blocking(move |registry, scope| {
            let found = registry.repositories(scope, after.as_deref(), count);
            found.map_err(|error| rejection(error, scope, None))
        })
        .await?;
    let (found, next_token) = page.cut(found, |last| last.name.to_string());
    let view = |repository| views::repository(&every.scope, service.address.host(call), repository);
    let repositories = Some(found.iter().map(view).collect());
    Ok(DescribeRepositoriesResponse { repositories, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[tokio::test]
    async fn repositories_come_by_name_or_in_pages() {
        let fixture = Fixture::new();
        for name in ["b", "a", "c"].map(|letter| format!("{letter}{letter}")) {
            fixture.create(&name).await;
        }
        let mut names = Vec::new();
        let mut input = DescribeRepositoriesRequest { max_results: Some(2), ..Default::default() };
        loop {
            let answer =
                describe_repositories(&fixture.service, &fixture.call, input.clone()).await;
            let answer = answer.expect("a page");
            let page = answer.repositories.expect("a list");
            names.push(page.into_iter().filter_map(|one| one.repository_name).collect::<Vec<_>>());
            match answer.next_token {
                Some(token) => input.next_token = Some(token),
                None => break,
            }
        }
        assert_eq!(names, [vec!["aa", "bb"], vec!["cc"]]);
        let two = DescribeRepositoriesRequest {
            repository_names: Some(vec!["cc".into(), "missing".into()]),
            ..Default::default()
        };
        let refused = describe_repositories(&fixture.service, &fixture.call, two).await;
        let expected = "The repository with name 'missing' does not exist in the registry with id '000000000000'";
        assert_eq!(refused, Err(EcrError::repository_not_found_exception(expected)));
        let bad =
            DescribeRepositoriesRequest { next_token: Some("%".into()), ..Default::default() };
        let refused = describe_repositories(&fixture.service, &fixture.call, bad).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("nextToken")));
    }
}
