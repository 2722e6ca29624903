//! Why an operation refuses a request: the errors of the ECS API that this crate answers with, and their texts.
//!
//! **Invariant:** a refusal carries AWS's own text where that is known (from AWS's documentation and from what callers
//! report of it), and else says what is wrong; the generated error is made from it in one place, at the end of an
//! operation.

use std::fmt;

use outport_aws_ecs::{ConflictException, EcsError, ServerException};
use outport_aws_wire::WireError;
use outport_identity::Denied;
use outport_store::{Fault, WriteError};

/// One refusal, named after the exception of the ECS API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    AccessDenied(String),
    Client(String),
    InvalidParameter(String),
    UnsupportedFeature(String),
    ClusterNotFound,
    /// It was deleted and is still remembered.
    ClusterInactive,
    ClusterContainsContainerInstances,
    ClusterContainsServices,
    ClusterContainsTasks,
    ServiceNotFound,
    ServiceNotActive,
    ServiceDeploymentNotFound(String),
    ResourceInUse(String),
    ResourceNotFound(String),
    TargetNotFound(String),
    AttributeLimitExceeded,
    LimitExceeded(String),
    PlatformUnknown(String),
    PlatformTaskDefinitionIncompatibility(String),
    /// A client token was used again with other parameters.
    Conflict {
        message: String,
        resource_ids: Vec<String>,
    },
    /// Ours to mend: `message` is for the caller and says nothing about the inside, `detail` is for the log.
    Server {
        message: String,
        detail: String,
    },
}

impl Rejection {
    pub fn client(message: impl Into<String>) -> Self {
        Self::Client(message.into())
    }
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::InvalidParameter(message.into())
    }
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::UnsupportedFeature(message.into())
    }
    /// A feature of ECS that this version does not run. It is refused, never ignored.
    pub fn not_built(what: &str) -> Self {
        Self::UnsupportedFeature(format!(
            "{what} is not supported by this version of Outport. See /_outport/compatibility at this endpoint."
        ))
    }

    /// The text that the caller sees.
    pub fn message(&self) -> &str {
        match self {
            Self::AccessDenied(text)
            | Self::Client(text)
            | Self::InvalidParameter(text)
            | Self::UnsupportedFeature(text)
            | Self::ServiceDeploymentNotFound(text)
            | Self::ResourceInUse(text)
            | Self::ResourceNotFound(text)
            | Self::TargetNotFound(text)
            | Self::LimitExceeded(text)
            | Self::PlatformUnknown(text)
            | Self::PlatformTaskDefinitionIncompatibility(text)
            | Self::Server { message: text, .. }
            | Self::Conflict { message: text, .. } => text,
            Self::ClusterNotFound => "Cluster not found.",
            Self::ClusterInactive => "The referenced cluster was inactive.",
            Self::ClusterContainsContainerInstances => {
                "The Cluster cannot be deleted while Container Instances are active or draining."
            }
            Self::ClusterContainsServices => {
                "The Cluster cannot be deleted while Services are active."
            }
            Self::ClusterContainsTasks => "The Cluster cannot be deleted while Tasks are active.",
            Self::AttributeLimitExceeded => {
                "You can apply up to 10 custom attributes for each resource."
            }
            Self::ServiceNotFound => "Service not found.",
            Self::ServiceNotActive => "Service was not ACTIVE.",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Rejection {}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self::AccessDenied(denied.message)
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Server { message: fault.to_string(), detail: fault.detail }
    }
}

impl From<WriteError<Rejection>> for Rejection {
    fn from(error: WriteError<Rejection>) -> Self {
        error.flatten(Self::from)
    }
}

impl From<Rejection> for EcsError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.message().to_owned();
        match rejection {
            Rejection::AccessDenied(_) => Self::access_denied_exception(message),
            Rejection::Client(_) => Self::client_exception(message),
            Rejection::InvalidParameter(_) => Self::invalid_parameter_exception(message),
            Rejection::UnsupportedFeature(_) => Self::unsupported_feature_exception(message),
            Rejection::ClusterNotFound | Rejection::ClusterInactive => {
                Self::cluster_not_found_exception(message)
            }
            Rejection::ClusterContainsContainerInstances => {
                Self::cluster_contains_container_instances_exception(message)
            }
            Rejection::ClusterContainsServices => {
                Self::cluster_contains_services_exception(message)
            }
            Rejection::ClusterContainsTasks => Self::cluster_contains_tasks_exception(message),
            Rejection::ServiceNotFound => Self::service_not_found_exception(message),
            Rejection::ServiceNotActive => Self::service_not_active_exception(message),
            Rejection::ServiceDeploymentNotFound(_) => {
                Self::service_deployment_not_found_exception(message)
            }
            Rejection::ResourceInUse(_) => Self::resource_in_use_exception(message),
            Rejection::ResourceNotFound(_) => Self::resource_not_found_exception(message),
            Rejection::TargetNotFound(_) => Self::target_not_found_exception(message),
            Rejection::AttributeLimitExceeded => Self::attribute_limit_exceeded_exception(message),
            Rejection::LimitExceeded(_) => Self::limit_exceeded_exception(message),
            Rejection::PlatformUnknown(_) => Self::platform_unknown_exception(message),
            Rejection::PlatformTaskDefinitionIncompatibility(_) => {
                Self::platform_task_definition_incompatibility_exception(message)
            }
            Rejection::Conflict { resource_ids, .. } => Self::from(ConflictException {
                message: Some(message),
                resource_ids: Some(resource_ids),
            }),
            Rejection::Server { detail, .. } => {
                let exception = ServerException { message: Some(message.clone()) };
                let error = WireError::exception("ServerException", 500, message, exception);
                Self::from(error.with_log_message(detail))
            }
        }
    }
}
