//! Capacity providers: FARGATE and FARGATE_SPOT, which every account has, and the strategies that name them.
//!
//! Both are this installation's own capacity, so a strategy of one of them is the launch type FARGATE, shown as AWS shows
//! it; nothing interrupts a FARGATE_SPOT task. A strategy that divides tasks among several providers can be a cluster's
//! default, and is refused where tasks would run by it.
//!
//! Source: botocore's documentation of `CapacityProviderStrategyItem`, `CreateServiceRequest.capacityProviderStrategy` and
//! `PutClusterCapacityProvidersRequest`; the texts are those that callers report.

use outport_aws_ecs as wire;
use outport_aws_ecs::CapacityProviderStrategyItem as Item;
use outport_aws_wire::to_json;
use outport_model::cluster::Cluster;
use outport_model::task_definition::LaunchType;
use outport_model::{ClusterName, Scope};
use outport_store::Tables;
use outport_store::keys::ClusterKey;

use crate::launch;
use crate::rejection::Rejection;
use crate::views::stored;

/// In the order of their names.
pub const PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];
const ITEMS_MAX: usize = 20;

/// What tasks run on.
#[derive(Clone, Debug)]
pub struct Capacity {
    pub launch_type: LaunchType,
    /// The strategy that said so, when none said the launch type.
    pub strategy: Option<Vec<Item>>,
}

impl Capacity {
    /// What a request asks for: its launch type, its strategy, else its cluster's default strategy, else EC2.
    ///
    /// # Errors
    /// `InvalidParameterException` in AWS's words; `UnsupportedFeatureException` for a strategy of several providers.
    pub fn of(
        tables: &Tables,
        scope: &Scope,
        cluster: &ClusterName,
        strategy: Option<&[Item]>,
        launch_type: Option<wire::LaunchType>,
    ) -> Result<Self, Rejection> {
        let cluster = tables.clusters.get(&ClusterKey::new(scope, cluster.clone()));
        let given = strategy.filter(|strategy| !strategy.is_empty());
        let strategy = match (given, launch_type) {
            (Some(_), Some(_)) => {
                return Err(Rejection::invalid_parameter(
                    "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
                ));
            }
            (None, Some(_)) => None,
            (Some(given), None) => Some(checked(given.to_vec())?),
            (None, None) => cluster.and_then(|cluster| default_strategy(cluster)),
        };
        let Some(strategy) = strategy else {
            return Ok(Self { launch_type: launch::launch_type(launch_type)?, strategy: None });
        };
        if let Some(cluster) = cluster {
            check_associated(&strategy, &cluster.capacity_providers)?;
        }
        if strategy.len() > 1 {
            return Err(Rejection::not_built(
                "A capacityProviderStrategy that divides tasks among several capacity providers",
            ));
        }
        Ok(Self { launch_type: LaunchType::Fargate, strategy: Some(strategy) })
    }

    /// The one provider of the strategy.
    pub fn provider(&self) -> Option<String> {
        provider(self.strategy.as_deref())
    }
}

/// The one provider that tasks of a strategy run on.
pub fn provider(strategy: Option<&[Item]>) -> Option<String> {
    strategy?.first()?.capacity_provider.clone()
}

/// Checks the names of capacity providers.
///
/// # Errors
/// `InvalidParameterException`.
pub fn check_names(names: &[String]) -> Result<(), Rejection> {
    match names.iter().find(|name| !PROVIDERS.contains(&name.as_str())) {
        Some(name) => Err(not_found(name)),
        None => Ok(()),
    }
}

/// A strategy as it is kept and shown: nothing is left out, and what cannot place tasks is refused.
///
/// # Errors
/// `InvalidParameterException`.
pub fn checked(mut strategy: Vec<Item>) -> Result<Vec<Item>, Rejection> {
    if strategy.len() > ITEMS_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "A capacity provider strategy can contain at most {ITEMS_MAX} capacity providers."
        )));
    }
    for (index, item) in strategy.iter().enumerate() {
        let name = item.capacity_provider.as_deref().unwrap_or_default();
        if !PROVIDERS.contains(&name) {
            return Err(not_found(name));
        }
        let mut before = strategy[..index].iter();
        if before.any(|other| other.capacity_provider == item.capacity_provider) {
            return Err(Rejection::invalid_parameter(
                "A capacity provider can be named only once in a capacity provider strategy.",
            ));
        }
    }
    if strategy.iter().filter(|item| item.base.unwrap_or(0) > 0).count() > 1 {
        return Err(Rejection::invalid_parameter(
            "Only one capacity provider in a capacity provider strategy can have a base defined.",
        ));
    }
    if strategy.len() > 1 && strategy.iter().all(|item| item.weight.unwrap_or(0) == 0) {
        return Err(Rejection::invalid_parameter(
            "At least one capacity provider of a capacity provider strategy must have a weight greater than 0.",
        ));
    }
    for item in &mut strategy {
        item.weight.get_or_insert(0);
        item.base.get_or_insert(0);
    }
    Ok(strategy)
}

/// Checks that every provider of a strategy is one of the cluster's.
///
/// # Errors
/// `InvalidParameterException`.
pub fn check_associated(strategy: &[Item], of_cluster: &[String]) -> Result<(), Rejection> {
    let is_associated =
        |item: &Item| item.capacity_provider.as_ref().is_some_and(|name| of_cluster.contains(name));
    if strategy.iter().all(is_associated) {
        return Ok(());
    }
    Err(Rejection::invalid_parameter(
        "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the \
         cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.",
    ))
}

/// The text that a cluster keeps of its default strategy.
pub fn kept(strategy: Vec<Item>) -> Option<String> {
    (!strategy.is_empty()).then(|| {
        to_json(&wire::Cluster {
            default_capacity_provider_strategy: Some(strategy),
            ..wire::Cluster::default()
        })
    })
}

/// The default strategy of a cluster, if it has one.
pub fn default_strategy(cluster: &Cluster) -> Option<Vec<Item>> {
    let kept: wire::Cluster = stored(cluster.default_strategy.as_deref()?)?;
    kept.default_capacity_provider_strategy.filter(|strategy| !strategy.is_empty())
}

fn not_found(name: &str) -> Rejection {
    Rejection::invalid_parameter(format!(
        "The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
    ))
}
