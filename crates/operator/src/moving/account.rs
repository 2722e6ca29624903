//! An account, or an Outport, as it is read: every list to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Left;
use super::inputs::{Found, Place, PolicyKind};
use super::names::{is_account, is_region};
use crate::api::{Api, Endpoint};
use crate::value::{list, name_of, text};

/// Pages of one list: far more than an account may have of anything, and an end for one that goes on for ever.
const PAGES_MAX: usize = 2_000;
/// Members of one list: they are all in memory.
const MEMBERS_MAX: usize = 200_000;
/// Revisions that are described, each by a call of its own.
const DEFINITIONS_MAX: usize = 10_000;
/// As many as `DescribeServices` and `DescribeClusters` take.
const SERVICES_PER_CALL: usize = 10;
const CLUSTERS_PER_CALL: usize = 100;
/// How often a call is tried that AWS wants to be slower, with twice the wait each time.
const TRIES_MAX: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Who is asked for what: on AWS each service has a host of its own.
pub struct Account {
    pub ecs: Api,
    pub ecr: Api,
    pub logs: Api,
    pub sts: Api,
}

/// Of which service an operation is.
#[derive(Clone, Copy)]
pub enum Service {
    Ecs,
    Ecr,
    Logs,
}

impl Account {
    /// One URL for all, or AWS's own.
    ///
    /// # Errors
    /// As of [`Api::new`].
    pub fn new(url: Option<&str>, endpoint: impl Fn(String) -> Endpoint) -> Result<Self> {
        let api = |host: &str| {
            if let Some(url) = url {
                return Api::new(endpoint(url.to_owned()));
            }
            let region = endpoint(String::new()).region;
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            Api::new(endpoint(format!("https://{host}.{region}.amazonaws.com{suffix}")))
        };
        Ok(Self { ecs: api("ecs")?, ecr: api("api.ecr")?, logs: api("logs")?, sts: api("sts")? })
    }

    /// # Errors
    /// As of [`Api::new`].
    pub fn of(endpoint: &Endpoint) -> Result<Self> {
        Self::new(Some(&endpoint.url), |url| Endpoint { url, ..endpoint.clone() })
    }

    /// # Errors
    /// What the API answers, after some patience where it wants to be asked more slowly.
    pub async fn call(&self, service: Service, operation: &str, input: &Value) -> Result<Value> {
        let mut wait = FIRST_WAIT;
        for tries in 1.. {
            let input = input.clone();
            let answer = match service {
                Service::Ecs => self.ecs.ecs(operation, input).await,
                Service::Ecr => self.ecr.ecr(operation, input).await,
                Service::Logs => self.logs.logs(operation, input).await,
            };
            match answer {
                Err(error) if tries < TRIES_MAX && is_throttled(&error.to_string()) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
        unreachable!("tries end")
    }

    /// The members of all pages of a list.
    ///
    /// # Errors
    /// As of [`Account::call`], and when the list has no end.
    pub async fn pages(
        &self,
        service: Service,
        operation: &str,
        member: &str,
        input: Value,
    ) -> Result<Vec<Value>> {
        let (mut found, mut input) = (Vec::new(), input);
        for _ in 0..PAGES_MAX {
            let page = self.call(service, operation, &input).await?;
            found.extend_from_slice(list(&page, member));
            match page["nextToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => input["nextToken"] = json!(token),
                None => return Ok(found),
            }
            if found.len() > MEMBERS_MAX {
                bail!("{operation} of {} has over {MEMBERS_MAX} members", self.ecs.endpoint.url);
            }
        }
        bail!("{operation} of {} has no end", self.ecs.endpoint.url)
    }

    /// Its account and region, and the hosts of its registry.
    ///
    /// # Errors
    /// As of [`Account::call`], and when it has no account that AWS could have.
    pub async fn place(&self, repositories: &[Value]) -> Result<Place> {
        let account = self.sts.account().await?;
        let region = self.ecs.endpoint.region.clone();
        if !is_account(&account) || !is_region(&region) {
            bail!("{account:?} in {region:?} is no account in a region");
        }
        let mut registries: BTreeSet<String> = repositories
            .iter()
            .filter_map(|repository| text(repository, "repositoryUri").split_once('/'))
            .map(|(host, _)| host.to_owned())
            .collect();
        // The registry of an Outport is at its port, by whatever name of this machine.
        if let Some((_, port)) = registries.clone().iter().find_map(|host| host.rsplit_once(':')) {
            registries.extend(["localhost", "127.0.0.1"].map(|name| format!("{name}:{port}")));
        }
        Ok(Place { account, region, registries: registries.into_iter().collect() })
    }

    /// All that can be carried, of one cluster or of all.
    ///
    /// # Errors
    /// When ECS cannot be read, or not the account's number. What of the rest cannot be read is in `left`.
    pub async fn read(&self, cluster: Option<&str>, all_revisions: bool) -> Result<Found> {
        let mut left = Vec::new();
        let repositories = match self.repositories(&mut left).await {
            Ok(repositories) => repositories,
            Err(error) => {
                left.push(Left::not_made("repositories", format!("{error:#}")));
                Vec::new()
            }
        };
        let place = self.place(&repositories).await?;
        let clusters = self.clusters(cluster).await?;
        let mut services = Vec::new();
        for cluster in &clusters {
            services.extend(self.services(text(cluster, "clusterArn"), &mut left).await?);
        }
        let definitions = self.definitions(&services, all_revisions, &mut left).await?;
        let mut found = Found {
            place,
            clusters,
            services,
            definitions,
            repositories,
            left,
            ..Found::default()
        };
        self.add_log_groups(&mut found).await;
        Ok(found)
    }

    async fn clusters(&self, wanted: Option<&str>) -> Result<Vec<Value>> {
        let arns = match wanted {
            Some(cluster) => vec![cluster.to_owned()],
            None => {
                let arns =
                    self.pages(Service::Ecs, "ListClusters", "clusterArns", json!({})).await?;
                arns.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
        };
        let mut clusters = Vec::new();
        for arns in arns.chunks(CLUSTERS_PER_CALL) {
            let include = ["TAGS", "SETTINGS", "CONFIGURATIONS"];
            let input = json!({ "clusters": arns, "include": include });
            let answer = self.call(Service::Ecs, "DescribeClusters", &input).await?;
            let active = list(&answer, "clusters").iter();
            clusters.extend(active.filter(|c| text(c, "status") != "INACTIVE").cloned());
        }
        match wanted {
            Some(cluster) if clusters.is_empty() => {
                bail!("there is no cluster {cluster:?} at {}", self.ecs.endpoint.url)
            }
            _ => Ok(clusters),
        }
    }

    async fn services(&self, cluster: &str, left: &mut Vec<Left>) -> Result<Vec<Value>> {
        let input = json!({ "cluster": cluster });
        let arns = self.pages(Service::Ecs, "ListServices", "serviceArns", input).await?;
        let mut services = Vec::new();
        for arns in arns.chunks(SERVICES_PER_CALL) {
            let input = json!({ "cluster": cluster, "services": arns, "include": ["TAGS"] });
            let answer = self.call(Service::Ecs, "DescribeServices", &input).await?;
            for service in list(&answer, "services") {
                match text(service, "status") {
                    "ACTIVE" => services.push(service.clone()),
                    status => {
                        let what = format!("service {:?}", text(service, "serviceName"));
                        left.push(Left::new(what, format!("it is {status}")));
                    }
                }
            }
        }
        Ok(services)
    }

    /// The newest revision of each family, or all that are active, and those of services.
    async fn definitions(
        &self,
        services: &[Value],
        all_revisions: bool,
        left: &mut Vec<Left>,
    ) -> Result<Vec<Value>> {
        let input = json!({ "status": "ACTIVE" });
        let arns =
            self.pages(Service::Ecs, "ListTaskDefinitions", "taskDefinitionArns", input).await?;
        let arns = arns.iter().filter_map(Value::as_str);
        let mut wanted: BTreeSet<String> =
            if all_revisions { arns.map(str::to_owned).collect() } else { newest(arns) };
        wanted.extend(services.iter().map(|service| text(service, "taskDefinition").to_owned()));
        if wanted.len() > DEFINITIONS_MAX {
            bail!("there are {} revisions to read; {DEFINITIONS_MAX} is the most", wanted.len());
        }
        let mut definitions = Vec::with_capacity(wanted.len());
        for arn in wanted {
            let input = json!({ "taskDefinition": arn, "include": ["TAGS"] });
            match self.call(Service::Ecs, "DescribeTaskDefinition", &input).await {
                Ok(answer) => definitions.push(answer),
                Err(error) => {
                    let what = format!("task definition {:?}", name_of(&arn));
                    left.push(Left::not_made(what, format!("{error:#}")));
                }
            }
        }
        Ok(definitions)
    }

    async fn repositories(&self, left: &mut Vec<Left>) -> Result<Vec<Value>> {
        let mut repositories =
            self.pages(Service::Ecr, "DescribeRepositories", "repositories", json!({})).await?;
        for repository in &mut repositories {
            let input = json!({ "resourceArn": repository["repositoryArn"] });
            let answer = self.call(Service::Ecr, "ListTagsForResource", &input).await?;
            repository["tags"] = answer["tags"].clone();
            for kind in [PolicyKind::Repository, PolicyKind::Lifecycle] {
                match self.policy(repository, kind).await {
                    Ok(text) => repository[kind.member()] = text,
                    Err(error) => {
                        let name = text(repository, "repositoryName");
                        left.push(Left::not_made(
                            format!("{} {name:?}", kind.noun()),
                            format!("{error:#}"),
                        ));
                    }
                }
            }
        }
        Ok(repositories)
    }

    /// The text of a policy of a repository; null when it has none.
    ///
    /// # Errors
    /// As of [`Account::call`].
    pub async fn policy(&self, repository: &Value, kind: PolicyKind) -> Result<Value> {
        let input = json!({ "repositoryName": repository["repositoryName"] });
        match self.call(Service::Ecr, kind.get(), &input).await {
            Ok(answer) => Ok(answer[kind.member()].clone()),
            // `RepositoryPolicyNotFoundException` and `LifecyclePolicyNotFoundException`.
            Err(error) if error.to_string().contains("PolicyNotFound") => Ok(Value::Null),
            Err(error) => Err(error),
        }
    }

    /// Those that the definitions name: an account has others, of functions and the like, that are none of ECS.
    async fn add_log_groups(&self, found: &mut Found) {
        for name in named_log_groups(&found.definitions) {
            match self.log_group(&name).await {
                Ok(Some(group)) => found.log_groups.push(group),
                // The first task makes it, or says that it is not there.
                Ok(None) => {}
                Err(error) => {
                    let what = format!("log group {name:?}");
                    found.left.push(Left::not_made(what, format!("{error:#}")));
                }
            }
        }
    }

    /// # Errors
    /// As of [`Account::call`].
    pub async fn log_group(&self, name: &str) -> Result<Option<Value>> {
        let input = json!({ "logGroupNamePrefix": name });
        let groups = self.pages(Service::Logs, "DescribeLogGroups", "logGroups", input).await?;
        let Some(mut group) = groups.into_iter().find(|group| text(group, "logGroupName") == name)
        else {
            return Ok(None);
        };
        let arn = text(&group, "arn").trim_end_matches(":*");
        let input = json!({ "resourceArn": arn });
        let answer = self.call(Service::Logs, "ListTagsForResource", &input).await?;
        group["tags"] = answer["tags"].clone();
        Ok(Some(group))
    }

    /// The active revisions of a family, with their tags.
    ///
    /// # Errors
    /// As of [`Account::call`].
    pub async fn revisions(&self, family: &str) -> Result<Vec<Value>> {
        let input = json!({ "familyPrefix": family, "status": "ACTIVE" });
        let arns =
            self.pages(Service::Ecs, "ListTaskDefinitions", "taskDefinitionArns", input).await?;
        let mut revisions = Vec::with_capacity(arns.len());
        for arn in arns {
            let input = json!({ "taskDefinition": arn, "include": ["TAGS"] });
            revisions.push(self.call(Service::Ecs, "DescribeTaskDefinition", &input).await?);
        }
        Ok(revisions)
    }
}

/// `ThrottlingException` and its like, by their codes.
fn is_throttled(error: &str) -> bool {
    let code = error.split(':').next().unwrap_or_default();
    ["Throttling", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable"]
        .iter()
        .any(|known| code.starts_with(known))
}

/// The ARN of the highest revision of each family.
fn newest<'a>(arns: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut newest: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for arn in arns {
        let Some((family, revision)) = name_of(arn).rsplit_once(':') else { continue };
        let Ok(revision) = revision.parse() else { continue };
        let kept = newest.entry(family).or_insert((revision, arn));
        if kept.0 < revision {
            *kept = (revision, arn);
        }
    }
    newest.into_values().map(|(_, arn)| arn.to_owned()).collect()
}

fn named_log_groups(definitions: &[Value]) -> BTreeSet<String> {
    let containers = definitions
        .iter()
        .flat_map(|described| list(&described["taskDefinition"], "containerDefinitions"));
    containers
        .map(|container| text(&container["logConfiguration"]["options"], "awslogs-group"))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_family_the_highest_number_is_the_newest() {
        let arn = |name: &str| format!("arn:aws:ecs:r:a:task-definition/{name}");
        let arns = ["app:9", "app:10", "app-2:3", "app:2", "odd", "odd:x"].map(arn);
        let newest = newest(arns.iter().map(String::as_str));
        assert_eq!(newest.into_iter().collect::<Vec<_>>(), ["app-2:3", "app:10"].map(arn));
    }
}
