//! `placementConstraints` and `placementStrategy` of RunTask, CreateService, UpdateService and RegisterTaskDefinition.
//!
//! Source: botocore's documentation of `PlacementConstraint` and `PlacementStrategy`. The texts of the refusals are AWS's where it
//! says so, else ours.

use outport_aws_ecs as wire;
use outport_model::container_instance::is_attribute_name;
use outport_model::placement::{
    BinpackField, CONSTRAINTS_PER_TASK_MAX, PlacementConstraint, PlacementRules, PlacementStrategy,
    STRATEGIES_PER_TASK_MAX, SpreadField,
};
use outport_model::task_definition::LaunchType;
use outport_planner::cluster_query::Query;

use crate::rejection::Rejection;

/// What a request says of placement: `None` where it says nothing, an empty list where it takes away what there was.
#[derive(Debug)]
pub struct Given {
    constraints: Option<Vec<PlacementConstraint>>,
    strategy: Option<Vec<PlacementStrategy>>,
}

impl Given {
    /// The rules from now on.
    pub fn over(self, before: PlacementRules) -> PlacementRules {
        PlacementRules {
            constraints: self.constraints.unwrap_or(before.constraints),
            strategy: self.strategy.unwrap_or(before.strategy),
        }
    }
}

/// Reads what a request says of constraints and strategies.
///
/// # Errors
/// `InvalidParameterException`; on Fargate for any at all.
pub fn parse(
    constraints: Option<&[wire::PlacementConstraint]>,
    strategy: Option<&[wire::PlacementStrategy]>,
    launch_type: LaunchType,
) -> Result<Given, Rejection> {
    let is_fargate = launch_type == LaunchType::Fargate;
    let given = [
        (constraints.is_some_and(|list| !list.is_empty()), "constraints"),
        (strategy.is_some_and(|list| !list.is_empty()), "strategies"),
    ];
    if let Some((_, noun)) = given.iter().find(|(is_given, _)| is_fargate && *is_given) {
        return Err(Rejection::invalid_parameter(format!(
            "Placement {noun} are not supported with FARGATE launch type."
        )));
    }
    let constraints = constraints.map(|list| list.iter().map(constraint).collect()).transpose()?;
    if strategy.is_some_and(|list| list.len() > STRATEGIES_PER_TASK_MAX) {
        return Err(Rejection::invalid_parameter(format!(
            "placementStrategy can have at most {STRATEGIES_PER_TASK_MAX} items."
        )));
    }
    let strategy = strategy.map(|list| list.iter().map(one_strategy).collect()).transpose()?;
    Ok(Given { constraints, strategy })
}

/// Checks how many constraints a task has, with those of its definition.
///
/// # Errors
/// `InvalidParameterException`.
pub fn check_count(rules: &PlacementRules, of_definition: &[String]) -> Result<(), Rejection> {
    match rules.constraints.len() + of_definition.len() <= CONSTRAINTS_PER_TASK_MAX {
        true => Ok(()),
        false => Err(Rejection::invalid_parameter(format!(
            "A task can have at most {CONSTRAINTS_PER_TASK_MAX} placement constraints, those of its task definition included."
        ))),
    }
}

/// Checks the constraints of a task definition.
///
/// # Errors
/// `ClientException`.
pub fn check_definition(
    constraints: &[wire::TaskDefinitionPlacementConstraint],
) -> Result<(), Rejection> {
    if constraints.len() > CONSTRAINTS_PER_TASK_MAX {
        return Err(Rejection::client(format!(
            "placementConstraints can have at most {CONSTRAINTS_PER_TASK_MAX} items."
        )));
    }
    for constraint in constraints {
        if constraint.r#type.is_none() {
            return Err(Rejection::client("constraint.type must be specified."));
        }
        query(constraint.expression.as_deref()).map_err(Rejection::client)?;
    }
    Ok(())
}

fn constraint(given: &wire::PlacementConstraint) -> Result<PlacementConstraint, Rejection> {
    match given.r#type {
        Some(wire::PlacementConstraintType::DistinctInstance) => match &given.expression {
            // An empty one, too. Source: what users of Terraform report of it.
            Some(_) => Err(Rejection::invalid_parameter(
                "distinctInstance expression should not be specified.",
            )),
            None => Ok(PlacementConstraint::DistinctInstance),
        },
        Some(wire::PlacementConstraintType::MemberOf) => {
            let text = query(given.expression.as_deref()).map_err(Rejection::invalid_parameter)?;
            Ok(PlacementConstraint::MemberOf(text))
        }
        None => Err(Rejection::invalid_parameter("placementConstraints type must be specified.")),
    }
}

fn query(expression: Option<&str>) -> Result<String, String> {
    let Some(text) = expression.filter(|text| !text.is_empty()) else {
        return Err("memberOf expression should be specified.".to_owned());
    };
    match Query::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(invalid_expression(&error.to_string())),
    }
}

/// What a caller is told of an expression that is none.
pub fn invalid_expression(why: &str) -> String {
    format!("Invalid expression: {why}.")
}

fn one_strategy(given: &wire::PlacementStrategy) -> Result<PlacementStrategy, Rejection> {
    let field = given.field.as_deref().unwrap_or_default();
    let invalid = |of: &str, valid: &str| {
        Rejection::invalid_parameter(format!(
            "Invalid field '{field}' of the placement strategy {of}: valid values are {valid}."
        ))
    };
    match given.r#type {
        // It has no field; one that is given is left out.
        Some(wire::PlacementStrategyType::Random) => Ok(PlacementStrategy::Random),
        Some(wire::PlacementStrategyType::Spread) => match spread_field(field) {
            Some(field) => Ok(PlacementStrategy::Spread(field)),
            None => Err(invalid("spread", "instanceId, host and attribute:NAME")),
        },
        Some(wire::PlacementStrategyType::Binpack) => match field.to_ascii_lowercase().as_str() {
            "cpu" => Ok(PlacementStrategy::Binpack(BinpackField::Cpu)),
            "memory" => Ok(PlacementStrategy::Binpack(BinpackField::Memory)),
            _ => Err(invalid("binpack", "cpu and memory")),
        },
        None => Err(Rejection::invalid_parameter("placementStrategy type must be specified.")),
    }
}

fn spread_field(text: &str) -> Option<SpreadField> {
    match text {
        "instanceId" | "host" => Some(SpreadField::InstanceId),
        _ => {
            let name = text.strip_prefix("attribute:")?;
            is_attribute_name(name).then(|| SpreadField::Attribute(name.to_owned()))
        }
    }
}

/// Constraints as describes show them.
pub fn constraints_view(rules: &PlacementRules) -> Vec<wire::PlacementConstraint> {
    let view = |constraint: &PlacementConstraint| match constraint {
        PlacementConstraint::DistinctInstance => wire::PlacementConstraint {
            r#type: Some(wire::PlacementConstraintType::DistinctInstance),
            expression: None,
        },
        PlacementConstraint::MemberOf(expression) => wire::PlacementConstraint {
            r#type: Some(wire::PlacementConstraintType::MemberOf),
            expression: Some(expression.clone()),
        },
    };
    rules.constraints.iter().map(view).collect()
}

/// Strategies as describes show them: `host` as `instanceId`, resources in capitals. Source: answers of DescribeServices, as
/// callers report them.
pub fn strategy_view(rules: &PlacementRules) -> Vec<wire::PlacementStrategy> {
    let view = |strategy: &PlacementStrategy| {
        let (kind, field) = match strategy {
            PlacementStrategy::Random => (wire::PlacementStrategyType::Random, None),
            PlacementStrategy::Spread(SpreadField::InstanceId) => {
                (wire::PlacementStrategyType::Spread, Some("instanceId".to_owned()))
            }
            PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                (wire::PlacementStrategyType::Spread, Some(format!("attribute:{name}")))
            }
            PlacementStrategy::Binpack(BinpackField::Cpu) => {
                (wire::PlacementStrategyType::Binpack, Some("CPU".to_owned()))
            }
            PlacementStrategy::Binpack(BinpackField::Memory) => {
                (wire::PlacementStrategyType::Binpack, Some("MEMORY".to_owned()))
            }
        };
        wire::PlacementStrategy { r#type: Some(kind), field }
    };
    rules.strategy.iter().map(view).collect()
}
