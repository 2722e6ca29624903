//! Rules: which repositories take their images from where. They are kept as one document of the registry.

use outport_aws_ecr::{EcrError, PullThroughCacheRule, UpstreamRegistry};
use outport_aws_wire::Timestamp;
use outport_image_registry::{Registry, RegistrySetting, RepositoryName};
use outport_model::{Scope, TimestampMs};
use serde::{Deserialize, Serialize};

use super::kept::{self, Kept};
use crate::rejection::invalid_parameter;

/// The prefix of all repositories that no other rule is for.
pub(crate) const ROOT: &str = "ROOT";
/// Of one registry. Source: ECR service quotas, "Pull through cache rules".
const RULES_MAX: usize = 50;

/// One rule. The form is a promise: members are only added, with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// Without a slash at its end; or [`ROOT`].
    pub prefix: String,
    /// As it was given, without a scheme.
    pub upstream_url: String,
    /// AWS's name of the registry; `None`: one that the operator has named.
    #[serde(default)]
    pub upstream: Option<String>,
    #[serde(default)]
    pub credential_arn: Option<String>,
    /// What stands before the repository's name there; [`ROOT`]: nothing.
    pub upstream_prefix: String,
    pub created_at_ms: TimestampMs,
    pub updated_at_ms: TimestampMs,
}

/// All rules of a registry, in the order of their prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A registry that AWS knows by a name.
pub(crate) struct Kind {
    pub name: UpstreamRegistry,
    pub needs_credentials: bool,
}

impl Kind {
    /// Which registry has an address. Source: API reference, CreatePullThroughCacheRule, `upstreamRegistryUrl`; that Docker Hub, GitHub,
    /// GitLab, Azure and Chainguard need credentials is in the user guide's "Creating a pull through cache rule".
    pub fn of(address: &str) -> Option<Self> {
        use UpstreamRegistry::{
            AzureContainerRegistry, Chainguard, DockerHub, Ecr, EcrPublic, GithubContainerRegistry,
            GitlabContainerRegistry, K8s, Quay,
        };
        let (name, needs_credentials) = match address {
            "public.ecr.aws" => (EcrPublic, false),
            "registry.k8s.io" => (K8s, false),
            "quay.io" => (Quay, false),
            "registry-1.docker.io" => (DockerHub, true),
            "ghcr.io" => (GithubContainerRegistry, true),
            "registry.gitlab.com" => (GitlabContainerRegistry, true),
            "cgr.dev" => (Chainguard, true),
            _ if address.ends_with(".azurecr.io") => (AzureContainerRegistry, true),
            _ if is_ecr(address) => (Ecr, false),
            _ => return None,
        };
        Some(Self { name, needs_credentials })
    }
}

/// `<account>.dkr.ecr.<region>.amazonaws.com`.
fn is_ecr(address: &str) -> bool {
    let Some((account, rest)) = address.split_once(".dkr.ecr.") else { return false };
    account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.ends_with(".amazonaws.com") || rest.ends_with(".amazonaws.com.cn"))
}

/// The address in what was given: `HOST[:PORT]`, without `https://`.
///
/// # Errors
/// `InvalidParameterException`.
pub(crate) fn address(url: &str) -> Result<&str, EcrError> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match !rest.is_empty() && rest.len() <= 255 && rest.bytes().all(is_host) {
        true => Ok(rest),
        false => Err(invalid_parameter("upstreamRegistryUrl", "must be the address of a registry")),
    }
}

impl Rule {
    pub fn view(&self, scope: &Scope) -> PullThroughCacheRule {
        PullThroughCacheRule {
            ecr_repository_prefix: Some(self.prefix.clone()),
            upstream_registry_url: Some(self.upstream_url.clone()),
            created_at: Some(Timestamp::from_millis(self.created_at_ms)),
            registry_id: Some(scope.account.to_string()),
            credential_arn: self.credential_arn.clone(),
            custom_role_arn: None,
            upstream_repository_prefix: Some(self.upstream_prefix.clone()),
            upstream_registry: self.upstream_registry(),
            updated_at: Some(Timestamp::from_millis(self.updated_at_ms)),
        }
    }

    pub fn upstream_registry(&self) -> Option<UpstreamRegistry> {
        self.upstream.as_deref().and_then(UpstreamRegistry::from_name)
    }

    /// The name there of what is called so here; `None`: the rule is not for it.
    pub fn upstream_name(&self, name: &RepositoryName) -> Option<String> {
        let rest = match self.prefix.as_str() {
            ROOT => name.as_str(),
            prefix => name.as_str().strip_prefix(prefix)?.strip_prefix('/')?,
        };
        Some(match self.upstream_prefix.as_str() {
            ROOT => rest.to_owned(),
            prefix => format!("{prefix}/{rest}"),
        })
    }
}

impl Kept for Rules {
    const SETTING: RegistrySetting = RegistrySetting::PullThroughCache;
    const NAME: &'static str = "pull through cache rules";

    fn sort(&mut self) {
        self.rules.sort_by(|one, other| one.prefix.cmp(&other.prefix));
    }
}

impl Rules {
    /// What is kept.
    ///
    /// # Errors
    /// Those of the disk. What does not read is a fault.
    pub fn of(registry: &Registry, scope: &Scope) -> Result<Self, EcrError> {
        kept::of(registry, scope)
    }

    /// The rule of a repository: that with the longest prefix.
    pub fn find(&self, name: &RepositoryName) -> Option<(&Rule, String)> {
        let fitting = self.rules.iter().filter_map(|rule| Some((rule, rule.upstream_name(name)?)));
        fitting.max_by_key(|(rule, _)| if rule.prefix == ROOT { 0 } else { rule.prefix.len() })
    }

    pub fn get(&self, scope: &Scope, prefix: &str) -> Result<&Rule, EcrError> {
        let found = self.rules.iter().find(|rule| rule.prefix == prefix);
        found.ok_or_else(|| not_found(scope, prefix))
    }

    /// Changes the rules, one at a time.
    ///
    /// # Errors
    /// What `change` refuses; those of the disk.
    pub fn change<T>(
        registry: &Registry,
        scope: &Scope,
        change: impl FnOnce(&mut Self) -> Result<T, EcrError>,
    ) -> Result<T, EcrError> {
        kept::change(registry, scope, change)
    }

    pub fn add(&mut self, scope: &Scope, rule: Rule) -> Result<(), EcrError> {
        if self.rules.iter().any(|known| known.prefix == rule.prefix) {
            let text = format!(
                "A pull through cache rule with the prefix '{}' already exists in the registry with id '{}'",
                rule.prefix, scope.account
            );
            return Err(EcrError::pull_through_cache_rule_already_exists_exception(text));
        }
        if self.rules.len() >= RULES_MAX {
            let text = format!("A registry has at most {RULES_MAX} pull through cache rules.");
            return Err(EcrError::limit_exceeded_exception(text));
        }
        self.rules.push(rule);
        Ok(())
    }
}

pub(crate) fn not_found(scope: &Scope, prefix: &str) -> EcrError {
    EcrError::pull_through_cache_rule_not_found_exception(format!(
        "The pull through cache rule with the prefix '{prefix}' does not exist in the registry with id '{}'",
        scope.account
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(prefix: &str, upstream_prefix: &str) -> Rule {
        Rule {
            prefix: prefix.to_owned(),
            upstream_url: "quay.io".to_owned(),
            upstream: Some("quay".to_owned()),
            credential_arn: None,
            upstream_prefix: upstream_prefix.to_owned(),
            created_at_ms: 1,
            updated_at_ms: 2,
        }
    }

    #[test]
    fn the_longest_prefix_is_the_rules_and_names_follow() {
        let rules =
            Rules { rules: vec![rule(ROOT, ROOT), rule("quay", ROOT), rule("quay/team", "org")] };
        let check = |name: &str, expected: &str| {
            let found = rules.find(&name.parse().unwrap());
            assert_eq!(found.map(|(_, name)| name).as_deref(), Some(expected), "{name}");
        };
        check("quay/app", "app");
        check("quay/team/app", "org/app");
        check("quayapp", "quayapp");
        check("other/app", "other/app");
        let one = Rules { rules: vec![rule("quay", ROOT)] };
        assert_eq!(one.find(&"quay".parse().unwrap()), None);
        assert_eq!(one.find(&"quayapp/x".parse().unwrap()), None);
    }

    /// What the first version wrote. A promise.
    #[test]
    fn the_document_is_read_as_it_was_written() {
        let text = r#"{"rules":[{"prefix":"quay","upstream_url":"quay.io","upstream":"quay","credential_arn":null,"upstream_prefix":"ROOT","created_at_ms":1,"updated_at_ms":2}]}"#;
        let rules: Rules = kept::read(Some(text)).unwrap();
        assert_eq!(rules.rules, [rule("quay", ROOT)]);
        assert_eq!(serde_json::to_string(&rules).unwrap(), text);
    }

    #[test]
    fn registries_are_known_by_their_addresses() {
        let check = |address: &str, expected: Option<&str>| {
            let found = Kind::of(address).map(|kind| kind.name.to_string());
            assert_eq!(found.as_deref(), expected, "{address}");
        };
        check("public.ecr.aws", Some("ecr-public"));
        check("team.azurecr.io", Some("azure-container-registry"));
        check("111111111111.dkr.ecr.eu-west-1.amazonaws.com", Some("ecr"));
        check("registry.example", None);
        assert_eq!(address("https://quay.io/").ok(), Some("quay.io"));
        assert!(address("https://quay.io/path").is_err() && address("").is_err());
    }
}
