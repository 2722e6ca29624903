//! What a caller left blank: an empty text where AWS takes a name, a path or a role is a member that is not there.
//!
//! Deployment tools send every member they know and leave empty what the user did not set: `ecs-deploy` sends
//! `taskRoleArn` and `executionRoleArn`, ansible's `ecs_taskdefinition` `taskRoleArn`. AWS takes the roles so; of the
//! other members here it is a guess from how Docker reads them, to which AWS hands them on.
//!
//! Not among them: `cpu` and `memory` of the task, whose empty text AWS refuses (`Invalid 'cpu' setting for task.`), and
//! whatever may be empty as a value, such as the value of an environment variable.
//!
//! **Invariant:** pure; behind it no member that is listed here is `Some("")`, so no rule has to ask twice.

use outport_aws_ecs::{ContainerDefinition, RegisterTaskDefinitionRequest, TaskOverride, Volume};

/// Takes the blank members out of a definition.
pub fn clear(request: &mut RegisterTaskDefinitionRequest) {
    for text in [&mut request.task_role_arn, &mut request.execution_role_arn] {
        clear_text(text);
    }
    for container in request.container_definitions.iter_mut().flatten() {
        clear_container(container);
    }
    for volume in request.volumes.iter_mut().flatten() {
        clear_volume(volume);
    }
}

/// Takes the blank members out of the overrides of a task.
pub fn clear_overrides(overrides: &mut TaskOverride) {
    for text in [&mut overrides.task_role_arn, &mut overrides.execution_role_arn] {
        clear_text(text);
    }
}

fn clear_container(container: &mut ContainerDefinition) {
    for text in [&mut container.hostname, &mut container.user, &mut container.working_directory] {
        clear_text(text);
    }
    let credentials = container.repository_credentials.as_ref();
    if credentials.is_some_and(|credentials| is_blank(&credentials.credentials_parameter)) {
        container.repository_credentials = None;
    }
    for mapping in container.port_mappings.iter_mut().flatten() {
        clear_text(&mut mapping.name);
        clear_text(&mut mapping.container_port_range);
    }
}

fn clear_volume(volume: &mut Volume) {
    if let Some(host) = &mut volume.host {
        clear_text(&mut host.source_path);
    }
    if let Some(efs) = &mut volume.efs_volume_configuration {
        clear_text(&mut efs.root_directory);
        if let Some(access) = &mut efs.authorization_config {
            clear_text(&mut access.access_point_id);
        }
    }
}

fn clear_text(text: &mut Option<String>) {
    if is_blank(text) {
        *text = None;
    }
}

fn is_blank(text: &Option<String>) -> bool {
    text.as_deref().is_some_and(str::is_empty)
}
