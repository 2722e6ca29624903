//! The accounts and regions of this installation: each is made when it is first called.
//!
//! **Invariant:** whoever asks ECS or EC2 in an account and region finds there what a new account on AWS has.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Result, anyhow};
use outport_aws_wire::{CommonError, Exchange, ServiceModel, WireError};
use outport_front_door::{AwsService, BoxFuture};
use outport_identity::Call;
use outport_model::Scope;
use outport_model::iam::Account;
use outport_model::network::Ipv4Cidr;
use outport_service_ec2::default_vpc::{self, CidrError};
use outport_service_ecs::default_cluster;
use outport_store::Store;

use crate::services::Served;

/// Knows which of them were looked at since the start.
pub struct Scopes {
    store: Store,
    /// What the machines of the installation route.
    cidr: Ipv4Cidr,
    made: RwLock<HashSet<Scope>>,
}

impl Scopes {
    pub fn new(store: Store, cidr: Ipv4Cidr) -> Arc<Self> {
        Arc::new(Self { store, cidr, made: RwLock::default() })
    }

    /// What a new account has: a default VPC and the cluster `default`; and the cluster of the own node.
    ///
    /// # Errors
    /// When the range is no default VPC's, or the cluster cannot be; those of the store.
    pub async fn make_home(&self, scope: &Scope, own_cluster: Option<&str>) -> Result<()> {
        let cidr = self.cidr;
        let made = self.store.write(|tx| {
            if tx.accounts.get(&scope.account).is_none() {
                let account = Account::new(scope.account.clone(), tx.now_ms());
                tx.put(account);
            }
            default_vpc::ensure(tx, scope, cidr)
                .map_err(|error| anyhow!("--default-vpc-cidr is {cidr}: {error}"))?;
            default_cluster::ensure(tx, scope);
            if let Some(name) = own_cluster {
                default_cluster::ensure_active(tx, scope, name)
                    .map_err(|error| anyhow!("--cluster is {name:?}: {error}"))?;
            }
            Ok(())
        });
        made.await.map_err(|error| {
            error.flatten(|fault| anyhow!("cannot make the default VPC: {}", fault.detail))
        })?;
        self.note(scope);
        Ok(())
    }

    /// The same for an account and region that is called: once since the start.
    async fn make(&self, scope: &Scope) -> Result<(), WireError> {
        if self.made.read().unwrap_or_else(PoisonError::into_inner).contains(scope) {
            return Ok(());
        }
        let made = self.store.write(|tx| {
            default_cluster::ensure(tx, scope);
            Ok::<_, WireError>(default_vpc::ensure(tx, scope, self.cidr))
        });
        let made = made.await.map_err(|error| {
            error.flatten(|fault| WireError::common(CommonError::Unavailable, fault.detail))
        })?;
        if let Err(error @ (CidrError::Full | CidrError::Size)) = made {
            tracing::warn!(
                event = "default_vpc_not_made",
                account = %scope.account,
                region = %scope.region,
                %error,
                "an account has no default VPC in a region"
            );
        }
        self.note(scope);
        Ok(())
    }

    fn note(&self, scope: &Scope) {
        self.made.write().unwrap_or_else(PoisonError::into_inner).insert(scope.clone());
    }
}

/// A service whose callers find what a new account has.
pub struct Regional<S> {
    served: Served<S>,
    scopes: Arc<Scopes>,
}

impl<S> Regional<S> {
    pub fn new(service: S, scopes: &Arc<Scopes>) -> Self {
        Self { served: Served(service), scopes: Arc::clone(scopes) }
    }
}

impl<S> AwsService for Regional<S>
where
    Served<S>: AwsService,
{
    fn model(&self) -> &'static ServiceModel {
        self.served.model()
    }

    fn call<'a>(
        &'a self,
        call: &'a Call,
        operation: &'a str,
        exchange: &'a mut Exchange<'_>,
    ) -> BoxFuture<'a, Result<(), WireError>> {
        Box::pin(async move {
            let scope = Scope::new(call.account.clone(), call.region.clone());
            self.scopes.make(&scope).await?;
            self.served.call(call, operation, exchange).await
        })
    }
}
