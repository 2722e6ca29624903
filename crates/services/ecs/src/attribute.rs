//! Attributes of container instances: names with or without a value, beside those that a node brings itself.
//!
//! Source: botocore's documentation of `Attribute`, PutAttributes, DeleteAttributes and ListAttributes.

use outport_aws_ecs::{Attribute, TargetType};
use outport_identity::Subject;
use outport_model::container_instance::{
    CUSTOM_ATTRIBUTES_MAX, ContainerInstance, ContainerInstanceStatus, is_attribute_name,
    is_attribute_value, is_reserved_attribute,
};
use outport_model::{Arn, ClusterName, ContainerInstanceId, Scope};
use outport_store::Tables;
use outport_store::keys::ContainerInstanceKey;

use crate::names;
use crate::rejection::Rejection;
use crate::resource::Resource;

const ATTRIBUTES_PER_CALL_MAX: usize = 10;
/// Custom ones: those of the node itself are not counted.
pub const ATTRIBUTES_PER_INSTANCE_MAX: usize = CUSTOM_ATTRIBUTES_MAX;

/// One attribute of a request, and the instance that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub instance: ContainerInstanceId,
    pub name: String,
    /// Empty: the attribute has none.
    pub value: String,
}

/// Reads the attributes of a request.
///
/// # Errors
/// `InvalidParameterException`, `TargetNotFoundException` for an instance that cannot be here.
pub fn parse(
    scope: &Scope,
    cluster: &ClusterName,
    attributes: Option<Vec<Attribute>>,
) -> Result<Vec<Asked>, Rejection> {
    let attributes = attributes.unwrap_or_default();
    if attributes.is_empty() {
        return Err(Rejection::invalid_parameter("attributes can not be empty"));
    }
    if attributes.len() > ATTRIBUTES_PER_CALL_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "attributes can have at most {ATTRIBUTES_PER_CALL_MAX} items."
        )));
    }
    attributes.into_iter().map(|attribute| asked(scope, cluster, attribute)).collect()
}

/// Whether the caller may do `action` to the instances that the attributes are for.
pub fn ask(
    tables: &Tables,
    action: &'static str,
    scope: &Scope,
    cluster: &ClusterName,
    asked: &[Asked],
) -> Subject<()> {
    let instances: Vec<Resource> = asked
        .iter()
        .map(|one| Resource::container_instance(scope, cluster, &one.instance))
        .collect();
    let every = Arn::of("ecs", scope, format!("container-instance/{cluster}/*"));
    Resource::questions(tables, action, &instances, &every)
}

fn asked(scope: &Scope, cluster: &ClusterName, attribute: Attribute) -> Result<Asked, Rejection> {
    let (name, value) = (attribute.name.unwrap_or_default(), attribute.value.unwrap_or_default());
    if !is_attribute_name(&name) || is_reserved_attribute(&name) {
        return Err(Rejection::invalid_parameter(format!("Invalid attribute name '{name}'.")));
    }
    if !is_attribute_value(&value) {
        return Err(Rejection::invalid_parameter(format!("Invalid attribute value '{value}'.")));
    }
    if attribute.target_type.is_some_and(|kind| kind != TargetType::ContainerInstance) {
        return Err(Rejection::invalid_parameter("targetType must be container-instance"));
    }
    let target = attribute.target_id.unwrap_or_default();
    if target.is_empty() {
        return Err(Rejection::invalid_parameter("targetId can not be empty"));
    }
    let instance = names::container_instance(scope, cluster, &target)?;
    let instance = instance.ok_or_else(|| target_not_found(&target))?;
    Ok(Asked { instance, name, value })
}

/// The instance, as long as it is one.
///
/// # Errors
/// `TargetNotFoundException`.
pub fn target(
    tables: &Tables,
    scope: &Scope,
    cluster: &ClusterName,
    id: &ContainerInstanceId,
) -> Result<ContainerInstance, Rejection> {
    let row = tables.container_instances.get(&ContainerInstanceKey::new(
        scope,
        cluster.clone(),
        id.clone(),
    ));
    row.filter(|row| row.status != ContainerInstanceStatus::Inactive)
        .map(|row| ContainerInstance::clone(row))
        .ok_or_else(|| target_not_found(id.as_str()))
}

/// How many of the attributes are not the node's own.
pub fn custom_count(row: &ContainerInstance) -> usize {
    row.attributes.iter().filter(|(name, _)| !is_reserved_attribute(name)).count()
}

/// An attribute as the operations answer with it.
pub fn view(row: &ContainerInstance, name: &str, value: &str) -> Attribute {
    Attribute {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()).filter(|value| !value.is_empty()),
        target_type: None,
        target_id: Some(Arn::container_instance(&row.scope, &row.cluster, &row.id).to_string()),
    }
}

fn target_not_found(target: &str) -> Rejection {
    Rejection::TargetNotFound(format!("Could not find {target}"))
}
