//! What RunTask, CreateService and UpdateService ask of a task definition and a launch type before anything starts.

use std::sync::Arc;

use outport_aws_ecs as wire;
use outport_identity::{Question, Subject};
use outport_model::Scope;
use outport_model::service::Service;
use outport_model::task_definition::{
    LaunchType, ReadWorkload, TaskDefinition, TaskDefinitionStatus, Workload,
};
use outport_store::Tables;
use outport_store::keys::TaskDefinitionKey;

use crate::names::TaskDefinitionName;
use crate::rejection::Rejection;
use crate::task_definition::Workloads;
use crate::{access, lookup, names};

/// The platform version that Fargate tasks run on. Source: "Fargate platform versions for Amazon ECS" (Linux).
pub const PLATFORM_VERSION: &str = "1.4.0";

/// Reads `launchType`; the default is EC2.
///
/// # Errors
/// `UnsupportedFeatureException` for MANAGED_INSTANCES.
pub fn launch_type(given: Option<wire::LaunchType>) -> Result<LaunchType, Rejection> {
    match given {
        Some(wire::LaunchType::Fargate) => Ok(LaunchType::Fargate),
        Some(wire::LaunchType::External) => Ok(LaunchType::External),
        Some(wire::LaunchType::Ec2) | None => Ok(LaunchType::Ec2),
        Some(wire::LaunchType::ManagedInstances) => {
            Err(Rejection::not_built("The launch type MANAGED_INSTANCES"))
        }
    }
}

/// The platform version that is shown; only Fargate has one.
///
/// # Errors
/// `InvalidParameterException` off Fargate, `PlatformUnknownException` for a version that is not there.
pub fn platform_version(
    given: Option<&str>,
    launch_type: LaunchType,
) -> Result<Option<String>, Rejection> {
    match (launch_type, given.filter(|text| !text.is_empty())) {
        (LaunchType::Fargate, None | Some("LATEST" | PLATFORM_VERSION)) => {
            Ok(Some(PLATFORM_VERSION.to_owned()))
        }
        (LaunchType::Fargate, Some(_)) => {
            Err(Rejection::PlatformUnknown("The specified platform does not exist.".to_owned()))
        }
        (_, None) => Ok(None),
        (launch_type, Some(_)) => Err(Rejection::invalid_parameter(format!(
            "The platform version must be null when specifying an {} launch type.",
            launch_type.as_str()
        ))),
    }
}

/// The name of the revision that a request has to give; `None` for an ARN of another account or region.
///
/// # Errors
/// `InvalidParameterException` when it is blank, `ClientException` when it cannot be one.
pub fn definition_name(
    scope: &Scope,
    text: Option<&str>,
) -> Result<Option<TaskDefinitionName>, Rejection> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => names::task_definition(scope, text),
        None => Err(Rejection::invalid_parameter("TaskDefinition can not be blank.")),
    }
}

/// The revision that a request runs, for a caller who may run it and hand its roles to its tasks: it comes out of a
/// [`Subject`] that asks both, and there is no other way to one for what is new.
#[derive(Clone, Debug)]
pub struct Runnable(Option<Definition>);

/// A revision and what a task of it runs.
#[derive(Clone, Debug)]
pub struct Definition {
    pub row: Arc<TaskDefinition>,
    pub workload: Arc<Workload>,
}

impl Runnable {
    /// The revision that `name` means here and now. `ask` is the operation's own question about it, which may not be
    /// there.
    pub fn look(
        tables: &Tables,
        workloads: &Workloads,
        scope: &Scope,
        name: Option<&TaskDefinitionName>,
        ask: impl FnOnce(Option<&Definition>) -> Question,
    ) -> Subject<Self> {
        let row = name.and_then(|name| lookup::task_definition(tables, scope, name));
        let definition = row.map(|row| Definition { workload: workloads.read(&row), row });
        let question = ask(definition.as_ref());
        let workload = definition.iter().map(|definition| &definition.workload);
        let roles = workload.flat_map(|runs| [&runs.task_role_arn, &runs.execution_role_arn]);
        let pass_roles: Vec<Question> =
            roles.flatten().map(|role| access::pass_role(&scope.account, role)).collect();
        Subject::new(Self(definition.clone()), question).and_all(pass_roles)
    }

    /// What a service runs already: whoever made it was asked.
    pub fn of_service(tables: &Tables, workloads: &Workloads, service: &Service) -> Self {
        let key = TaskDefinitionKey::new(&service.scope, service.family.clone(), service.revision);
        let row = tables.task_definitions.get(&key);
        Self(row.map(|row| Definition { workload: workloads.read(&row), row }))
    }

    /// # Errors
    /// `ClientException` when it does not exist.
    pub fn definition(&self) -> Result<&Definition, Rejection> {
        self.0.as_ref().ok_or_else(|| Rejection::client("TaskDefinition not found."))
    }

    /// The same, for what is to start anew.
    ///
    /// # Errors
    /// Also `inactive` when it is not ACTIVE.
    pub fn active(&self, inactive: fn(String) -> Rejection) -> Result<&Definition, Rejection> {
        let definition = self.definition()?;
        match definition.row.status {
            TaskDefinitionStatus::Active => Ok(definition),
            TaskDefinitionStatus::Inactive | TaskDefinitionStatus::DeleteInProgress => {
                Err(inactive("TaskDefinition is inactive".to_owned()))
            }
        }
    }
}

/// Checks that the definition runs on the launch type, and in this version at all.
///
/// # Errors
/// `InvalidParameterException`, `UnsupportedFeatureException`.
pub fn check_definition(definition: &Definition, launch_type: LaunchType) -> Result<(), Rejection> {
    let Definition { row, workload } = definition;
    if !workload.compatibilities.contains(&launch_type) {
        return Err(Rejection::invalid_parameter(format!(
            "Task definition does not support launch_type {}.",
            launch_type.as_str()
        )));
    }
    if !workload.unsupported.is_empty() {
        return Err(Rejection::unsupported(format!(
            "The task definition {}:{} uses what this version of Outport does not run: {}. See /_outport/compatibility at this endpoint.",
            row.family,
            row.revision,
            workload.unsupported.join(", ")
        )));
    }
    Ok(())
}
