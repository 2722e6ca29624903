//! Repository creation templates: what repositories are made of that a pull-through cache makes. They are kept as one document of the
//! registry.

use outport_aws_ecr::{
    EcrError, EncryptionConfigurationForRepositoryCreationTemplate, EncryptionType, RCTAppliedFor,
    RepositoryCreationTemplate,
};
use outport_aws_wire::Timestamp;
use outport_image_registry::{
    NewRepository, Registry, RegistryError, RegistrySetting, RepositoryName, TagMutability,
};
use outport_model::{Scope, Tags, TimestampMs};
use serde::{Deserialize, Serialize};

use super::kept::{self, Kept};
use super::rule::ROOT;
use crate::{NamedPrincipals, resource_tags, views};

/// Of one registry. Source: ECR service quotas, "Repository creation templates".
const TEMPLATES_MAX: usize = 50;

/// One template. The form is a promise: members are only added, with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template {
    /// Without a slash at its end; or [`ROOT`].
    pub prefix: String,
    #[serde(default)]
    pub description: Option<String>,
    pub tags: Tags,
    /// As AWS calls it.
    pub mutability: String,
    #[serde(default)]
    pub mutability_filters: Vec<String>,
    #[serde(default)]
    pub repository_policy: Option<String>,
    #[serde(default)]
    pub lifecycle_policy: Option<String>,
    /// As AWS calls them.
    pub applied_for: Vec<String>,
    #[serde(default)]
    pub custom_role_arn: Option<String>,
    pub created_at_ms: TimestampMs,
    pub updated_at_ms: TimestampMs,
}

/// All templates of a registry, in the order of their prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Templates {
    #[serde(default)]
    pub templates: Vec<Template>,
}

impl Template {
    pub fn view(&self, principals: &dyn NamedPrincipals) -> RepositoryCreationTemplate {
        let mutability = self.tag_mutability();
        RepositoryCreationTemplate {
            prefix: Some(self.prefix.clone()),
            description: self.description.clone(),
            encryption_configuration: Some(EncryptionConfigurationForRepositoryCreationTemplate {
                encryption_type: Some(EncryptionType::Aes256),
                kms_key: None,
            }),
            resource_tags: Some(resource_tags::view(&self.tags)),
            image_tag_mutability: views::tag_mutability(&mutability),
            image_tag_mutability_exclusion_filters: views::exclusion_filters(&mutability),
            repository_policy: self
                .repository_policy
                .as_deref()
                .map(|kept| principals.with_arns(kept)),
            lifecycle_policy: self.lifecycle_policy.clone(),
            applied_for: Some(
                self.applied_for.iter().filter_map(|name| RCTAppliedFor::from_name(name)).collect(),
            ),
            custom_role_arn: self.custom_role_arn.clone(),
            created_at: Some(Timestamp::from_millis(self.created_at_ms)),
            updated_at: Some(Timestamp::from_millis(self.updated_at_ms)),
        }
    }

    /// What this program would not have written is mutable.
    fn tag_mutability(&self) -> TagMutability {
        TagMutability::from_words(&self.mutability, self.mutability_filters.clone())
            .unwrap_or(TagMutability::Mutable)
    }

    pub fn set_tag_mutability(&mut self, setting: &TagMutability) {
        setting.as_str().clone_into(&mut self.mutability);
        self.mutability_filters = setting.exclusion_filters().to_vec();
    }

    fn is_for(&self, name: &RepositoryName) -> bool {
        let is_below = |prefix: &str| {
            name.as_str().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        self.prefix == ROOT || is_below(&self.prefix)
    }
}

impl Kept for Templates {
    const SETTING: RegistrySetting = RegistrySetting::CreationTemplates;
    const NAME: &'static str = "repository creation templates";

    fn sort(&mut self) {
        self.templates.sort_by(|one, other| one.prefix.cmp(&other.prefix));
    }
}

impl Templates {
    /// What is kept.
    ///
    /// # Errors
    /// Those of the disk. What does not read is a fault.
    pub fn of(registry: &Registry, scope: &Scope) -> Result<Self, EcrError> {
        kept::of(registry, scope)
    }

    /// The template of a repository that a cache makes: that with the longest prefix.
    fn of_cached(&self, name: &RepositoryName) -> Option<&Template> {
        let cache = RCTAppliedFor::PullThroughCache.to_string();
        let fitting =
            self.templates.iter().filter(|it| it.applied_for.contains(&cache) && it.is_for(name));
        fitting.max_by_key(|it| if it.prefix == ROOT { 0 } else { it.prefix.len() })
    }

    /// Makes a repository for what a cache takes.
    ///
    /// # Errors
    /// Those of the registry. That it is there already is none.
    pub fn make_cached(
        &self,
        registry: &Registry,
        scope: &Scope,
        name: &RepositoryName,
        now_ms: TimestampMs,
    ) -> Result<(), RegistryError> {
        let template = self.of_cached(name);
        let new = NewRepository {
            name: name.clone(),
            tag_mutability: template.map_or(TagMutability::Mutable, Template::tag_mutability),
            scan_on_push: false,
            tags: template.map(|it| it.tags.clone()).unwrap_or_default(),
        };
        match registry.create_repository(scope, &new, now_ms) {
            // Somebody was quicker.
            Err(RegistryError::RepositoryAlreadyExists { .. }) => return Ok(()),
            made => made?,
        };
        let Some(template) = template else { return Ok(()) };
        if let Some(policy) = &template.repository_policy {
            registry.put_repository_policy(scope, name, Some(policy))?;
        }
        if let Some(policy) = &template.lifecycle_policy {
            registry.put_lifecycle_policy(scope, name, Some(policy))?;
        }
        Ok(())
    }

    pub fn get_mut(&mut self, scope: &Scope, prefix: &str) -> Result<&mut Template, EcrError> {
        let found = self.templates.iter_mut().find(|it| it.prefix == prefix);
        found.ok_or_else(|| not_found(scope, prefix))
    }

    /// Changes the templates, one at a time.
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

    pub fn add(&mut self, scope: &Scope, template: Template) -> Result<(), EcrError> {
        if self.templates.iter().any(|known| known.prefix == template.prefix) {
            let text = format!(
                "The Template with prefix '{}' already exists in the registry with id '{}'",
                template.prefix, scope.account
            );
            return Err(EcrError::template_already_exists_exception(text));
        }
        if self.templates.len() >= TEMPLATES_MAX {
            let text =
                format!("A registry has at most {TEMPLATES_MAX} repository creation templates.");
            return Err(EcrError::limit_exceeded_exception(text));
        }
        self.templates.push(template);
        Ok(())
    }
}

pub(crate) fn not_found(scope: &Scope, prefix: &str) -> EcrError {
    EcrError::template_not_found_exception(format!(
        "The Template with prefix '{prefix}' does not exist in the registry with id '{}'",
        scope.account
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(prefix: &str, applied_for: &str) -> Template {
        Template {
            prefix: prefix.to_owned(),
            description: None,
            tags: Tags::new(),
            mutability: "IMMUTABLE".to_owned(),
            mutability_filters: Vec::new(),
            repository_policy: None,
            lifecycle_policy: None,
            applied_for: vec![applied_for.to_owned()],
            custom_role_arn: None,
            created_at_ms: 1,
            updated_at_ms: 2,
        }
    }

    #[test]
    fn the_longest_prefix_that_is_for_caches_is_taken() {
        let templates = Templates {
            templates: vec![
                template(ROOT, "PULL_THROUGH_CACHE"),
                template("quay", "PULL_THROUGH_CACHE"),
                template("quay/team", "REPLICATION"),
            ],
        };
        let check = |name: &str, expected: &str| {
            let found = templates.of_cached(&name.parse().unwrap());
            assert_eq!(found.map(|it| it.prefix.as_str()), Some(expected), "{name}");
        };
        check("quay/app", "quay");
        check("quay/team/app", "quay");
        check("quayapp", ROOT);
    }

    /// What the first version wrote. A promise.
    #[test]
    fn the_document_is_read_as_it_was_written() {
        let text = r#"{"templates":[{"prefix":"quay","description":null,"tags":{},"mutability":"IMMUTABLE","mutability_filters":[],"repository_policy":null,"lifecycle_policy":null,"applied_for":["PULL_THROUGH_CACHE"],"custom_role_arn":null,"created_at_ms":1,"updated_at_ms":2}]}"#;
        let templates: Templates = kept::read(Some(text)).unwrap();
        assert_eq!(templates.templates, [template("quay", "PULL_THROUGH_CACHE")]);
        assert_eq!(serde_json::to_string(&templates).unwrap(), text);
    }
}
