//! The service, and the one way from an operation to the registry: through the answer to its questions of permission.
//!
//! **Invariant:** an operation gets the registry from [`EcrService::target`], [`EcrService::every_repository`] and
//! [`EcrService::whole_registry`] only, after
//! everything that is asked was answered with yes; and a repository is acted on only while it is the one, with the tags and the policy,
//! that was asked about.

use std::sync::Arc;

use outport_aws_ecr::EcrError;
use outport_aws_wire::WireError;
use outport_identity::{Call, Credential, CredentialSource, Question, Sealer, Subject};
use outport_image_registry::{
    Registry, RegistryError, RepositoryName, Upload, UploadId, repository_arn,
};
use outport_model::{Scope, Tags};

use crate::password::Grant;
use crate::pull_through::{NoUpstreams, PullThroughCache, Upstream};
use crate::rejection::{invalid_parameter, rejection};
use crate::{AnyPrincipals, NamedPrincipals, RegistryAddress, access};

/// The service: the registry that it fronts, the address of that registry, the key of its tokens, and the
/// access keys that these are bound to.
#[derive(Clone)]
pub struct EcrService {
    registry: Arc<Registry>,
    pub(crate) address: RegistryAddress,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) credentials: Arc<dyn CredentialSource>,
    pub(crate) cache: PullThroughCache,
    pub(crate) principals: Arc<dyn NamedPrincipals>,
}

/// A repository, existing or not, that the caller may act on.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) scope: Scope,
    pub(crate) name: RepositoryName,
    /// The tags that it carries.
    tags: Tags,
    registry: Arc<Registry>,
}

/// All repositories of a scope, for a caller who may do what it is for.
pub(crate) struct EveryRepository {
    pub(crate) scope: Scope,
    registry: Arc<Registry>,
}

impl EcrService {
    pub fn new(
        registry: Arc<Registry>,
        address: RegistryAddress,
        sealer: Arc<Sealer>,
        credentials: Arc<dyn CredentialSource>,
    ) -> Self {
        let cache = PullThroughCache::new(Arc::clone(&registry), Arc::new(NoUpstreams));
        let principals = Arc::new(AnyPrincipals);
        Self { registry, address, sealer, credentials, cache, principals }
    }

    /// With the cache by which the registry's endpoint takes images from others.
    #[must_use]
    pub fn with_cache(mut self, cache: PullThroughCache) -> Self {
        self.cache = cache;
        self
    }

    /// With the users and roles that policies name.
    #[must_use]
    pub fn with_principals(mut self, principals: Arc<dyn NamedPrincipals>) -> Self {
        self.principals = principals;
        self
    }

    /// Other registries.
    pub(crate) fn upstream(&self) -> &dyn Upstream {
        self.cache.upstream()
    }

    /// What a password says that the caller gets: for one repository's layers, or for a login.
    pub(crate) fn grant(
        &self,
        call: &Call,
        scope: &Scope,
        layers_of: Option<String>,
    ) -> Result<Grant, WireError> {
        match &call.session {
            Some(session) => Ok(Grant::of_session(scope, layers_of, session)),
            None => Ok(Grant::of_key(scope, layers_of, &self.key(call)?)),
        }
    }

    /// The long-term access key that signed the call.
    pub(crate) fn key(&self, call: &Call) -> Result<Credential, WireError> {
        self.credentials.find(&call.access_key_id, None, call.now_ms).map_err(|error| {
            WireError::internal(format!("the key of a call that was proven is gone: {error}"))
        })
    }

    /// The repository, for a caller who may do `action` to it; `more` adds what else the operation asks.
    pub(crate) async fn target(
        &self,
        call: &Call,
        action: &'static str,
        scope: Scope,
        name: RepositoryName,
        more: impl FnOnce(Question) -> Subject<()>,
    ) -> Result<Target, EcrError> {
        let (wanted, of) = (name.clone(), scope.clone());
        let look = move |registry: &Arc<Registry>| registry.look(&of, &wanted);
        let seen = on_thread(&self.registry, look).await?;
        let seen = seen.map_err(|error| rejection(error, &scope, Some(&name)))?;
        let resource = repository_arn(&scope, &name);
        let question = access::question(action, &resource, seen.tags(), seen.policy());
        let ((), seen) = open(call, more(question).beside(seen))?;
        let tags = seen.tags().clone();
        Ok(Target { scope, name, tags, registry: self.registry.while_as_seen(seen) })
    }

    /// All repositories, for a caller who may do `action` to all.
    pub(crate) fn every_repository(
        &self,
        call: &Call,
        action: &'static str,
        scope: Scope,
    ) -> Result<EveryRepository, EcrError> {
        let every = format!("arn:aws:ecr:{}:{}:repository/*", scope.region, scope.account);
        open(call, Subject::from(Question::new(action, every)))?;
        Ok(EveryRepository { scope, registry: Arc::clone(&self.registry) })
    }

    /// The registry of the caller's account as a whole, for a caller who may do `action`, which is about no repository.
    pub(crate) fn whole_registry(
        &self,
        call: &Call,
        action: &'static str,
    ) -> Result<EveryRepository, EcrError> {
        open(call, Subject::from(Question::without_resource(action)))?;
        let scope = access::scope(call, None);
        Ok(EveryRepository { scope, registry: Arc::clone(&self.registry) })
    }

    /// The same where the request may name a registry, which has to be the caller's.
    pub(crate) fn registry_of_caller(
        &self,
        call: &Call,
        action: &'static str,
        registry_id: Option<&str>,
    ) -> Result<EveryRepository, EcrError> {
        let whole = self.whole_registry(call, action)?;
        match registry_id {
            Some(id) if id != whole.scope.account.as_str() => {
                Err(invalid_parameter("registryId", "must be the registry of the caller"))
            }
            _ => Ok(whole),
        }
    }

    #[cfg(test)]
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}

impl Target {
    pub(crate) fn reject(&self, error: RegistryError) -> EcrError {
        rejection(error, &self.scope, Some(&self.name))
    }

    /// `in the repository with name … in the registry with id …`, with which many of ECR's texts end.
    pub(crate) fn place(&self) -> String {
        format!(
            "repository with name '{}' in the registry with id '{}'",
            self.name, self.scope.account
        )
    }

    /// What would be asked about `action` if this were the repository's policy.
    pub(crate) fn question_under(&self, action: &'static str, policy: &str) -> Question {
        let resource = repository_arn(&self.scope, &self.name);
        access::question(action, &resource, &self.tags, Some(policy))
    }

    /// The session for writing, in turn with its other writers.
    pub(crate) async fn resume_upload(&self, id: UploadId) -> Result<Upload, EcrError> {
        let resumed = self.registry.resume_upload_in_turn(&self.scope, &self.name, id).await;
        resumed.map_err(|error| self.reject(error))
    }

    /// Runs `work` on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Registry>, &Self) -> Result<T, EcrError> + Send + 'static,
    ) -> Result<T, EcrError> {
        let target = self.clone();
        on_thread(&self.registry, move |registry| work(registry, &target)).await?
    }
}

impl EveryRepository {
    /// Runs `work` on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Registry>, &Scope) -> Result<T, EcrError> + Send + 'static,
    ) -> Result<T, EcrError> {
        let scope = self.scope.clone();
        on_thread(&self.registry, move |registry| work(registry, &scope)).await?
    }
}

/// What was found, for a caller who may see it.
pub(crate) fn open<T>(call: &Call, subject: Subject<T>) -> Result<T, EcrError> {
    call.open(subject).map_err(|denied| WireError::access_denied(denied.message).into())
}

async fn on_thread<T: Send + 'static>(
    registry: &Arc<Registry>,
    work: impl FnOnce(&Arc<Registry>) -> T + Send + 'static,
) -> Result<T, EcrError> {
    let registry = Arc::clone(registry);
    tokio::task::spawn_blocking(move || work(&registry)).await.map_err(|error| {
        WireError::internal(format!("a registry call did not finish: {error}")).into()
    })
}
