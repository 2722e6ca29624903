//! Which of ECS's events a rule may want: those of the other kinds are not made for it.

use outport_event_rules::Pattern;
use outport_model::event::{
    CONTAINER_INSTANCE_STATE_CHANGE, DEFAULT_BUS, DEPLOYMENT_STATE_CHANGE, ECS_SOURCE, Hears,
    SERVICE_ACTION, TASK_STATE_CHANGE,
};

/// ECS sends to the default bus alone.
pub fn hears(bus: &str, pattern: Option<&Pattern>) -> Hears {
    let Some(pattern) = pattern.filter(|_| bus == DEFAULT_BUS) else { return Hears::default() };
    let may = |kind| pattern.may_match(&[("source", ECS_SOURCE), ("detail-type", kind)]);
    Hears {
        tasks: may(TASK_STATE_CHANGE),
        container_instances: may(CONTAINER_INSTANCE_STATE_CHANGE),
        service_actions: may(SERVICE_ACTION),
        deployments: may(DEPLOYMENT_STATE_CHANGE),
    }
}
