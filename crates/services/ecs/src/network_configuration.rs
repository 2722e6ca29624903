//! `networkConfiguration`: the subnets and security groups that tasks in awsvpc mode are attached to.

use outport_aws_ecs::{AssignPublicIp, AwsVpcConfiguration, NetworkConfiguration};
use outport_model::network::{AwsvpcConfiguration, Subnet};
use outport_model::task_definition::{LaunchType, NetworkMode};
use outport_model::{Scope, SecurityGroupId, SubnetId, VpcId};
use outport_store::Tables;
use outport_store::keys::{SecurityGroupKey, SubnetKey};

use crate::rejection::Rejection;

/// Source: botocore's documentation of `AwsVpcConfiguration`.
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;

/// What tasks of `mode` are attached to: checked against the account's network, with the default security group where
/// the request names none. Modes other than awsvpc have nothing.
///
/// # Errors
/// `InvalidParameterException` with AWS's texts.
pub fn resolve(
    tables: &Tables,
    scope: &Scope,
    given: Option<&NetworkConfiguration>,
    mode: NetworkMode,
    launch_type: LaunchType,
) -> Result<AwsvpcConfiguration, Rejection> {
    let given = given.and_then(|configuration| configuration.awsvpc_configuration.as_ref());
    match (mode, given) {
        (NetworkMode::Awsvpc, Some(given)) => awsvpc(tables, scope, given, launch_type),
        (NetworkMode::Awsvpc, None) => Err(Rejection::invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )),
        (_, Some(_)) => Err(Rejection::invalid_parameter(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        (_, None) => Ok(AwsvpcConfiguration::default()),
    }
}

fn awsvpc(
    tables: &Tables,
    scope: &Scope,
    given: &AwsVpcConfiguration,
    launch_type: LaunchType,
) -> Result<AwsvpcConfiguration, Rejection> {
    let ids: Vec<SubnetId> = given.subnets.iter().flatten().map(SubnetId::new).collect();
    let mut security_groups: Vec<SecurityGroupId> =
        given.security_groups.iter().flatten().map(SecurityGroupId::new).collect();
    check_count("subnets", ids.len(), SUBNETS_MAX)?;
    check_count("securityGroups", security_groups.len(), SECURITY_GROUPS_MAX)?;
    let assign_public_ip = given.assign_public_ip == Some(AssignPublicIp::Enabled);
    if assign_public_ip && launch_type != LaunchType::Fargate {
        return Err(Rejection::invalid_parameter(
            "Assign public IP is not supported for this launch type.",
        ));
    }
    let subnets = subnets(tables, scope, &ids)?;
    let Some(vpc) = subnets.first().map(|subnet| &subnet.vpc_id) else {
        return Err(Rejection::invalid_parameter("subnets can not be empty."));
    };
    if subnets.iter().any(|subnet| subnet.vpc_id != *vpc) {
        return Err(Rejection::invalid_parameter("subnets must all belong to the same VPC."));
    }
    check_groups(tables, scope, &security_groups, vpc)?;
    if security_groups.is_empty() {
        let default = tables.security_groups.default_of(scope, vpc);
        security_groups.extend(default.map(|group| group.id.clone()));
    }
    Ok(AwsvpcConfiguration { subnets: ids, security_groups, assign_public_ip })
}

fn check_count(member: &str, count: usize, max: usize) -> Result<(), Rejection> {
    if count > max {
        return Err(Rejection::invalid_parameter(format!(
            "{member} can have at most {max} items."
        )));
    }
    Ok(())
}

fn subnets<'a>(
    tables: &'a Tables,
    scope: &Scope,
    ids: &[SubnetId],
) -> Result<Vec<&'a Subnet>, Rejection> {
    ids.iter()
        .map(|id| {
            let row = tables.subnets.get(&SubnetKey::new(scope, id.clone()));
            row.map(|row| &**row).ok_or_else(|| {
                Rejection::invalid_parameter(format!(
                    "Error retrieving subnet information for [{}]: The subnet ID '{id}' does not exist (ErrorCode: \
                     InvalidSubnetID.NotFound)",
                    list(ids)
                ))
            })
        })
        .collect()
}

fn check_groups(
    tables: &Tables,
    scope: &Scope,
    ids: &[SecurityGroupId],
    vpc: &VpcId,
) -> Result<(), Rejection> {
    for id in ids {
        let row = tables.security_groups.get(&SecurityGroupKey::new(scope, id.clone()));
        let row = row.ok_or_else(|| {
            Rejection::invalid_parameter(format!(
                "Error retrieving security group information for [{}]: The security group '{id}' does not exist \
                 (ErrorCode: InvalidGroup.NotFound)",
                list(ids)
            ))
        })?;
        if row.vpc_id != *vpc {
            return Err(Rejection::invalid_parameter(format!(
                "Security group {id} does not appear to belong to the same VPC as the input subnets."
            )));
        }
    }
    Ok(())
}

fn list<T: AsRef<str>>(ids: &[T]) -> String {
    ids.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
