//! A container's definition after the overrides of one task.

use outport_model::task::{ContainerOverride, TaskOverrides};
use outport_model::task_definition::ContainerDefinition;

/// The CPU weight of a container after the overrides.
pub fn cpu_units(container: &ContainerDefinition, overrides: &TaskOverrides) -> u32 {
    override_of(container, overrides, |o| o.cpu_units).unwrap_or(container.cpu_units)
}

/// The hard memory limit of a container after the overrides.
pub fn memory_mib(container: &ContainerDefinition, overrides: &TaskOverrides) -> Option<u32> {
    override_of(container, overrides, |o| o.memory_mib).or(container.memory_mib)
}

/// The soft memory limit of a container after the overrides.
pub fn memory_reservation_mib(
    container: &ContainerDefinition,
    overrides: &TaskOverrides,
) -> Option<u32> {
    override_of(container, overrides, |o| o.memory_reservation_mib)
        .or(container.memory_reservation_mib)
}

/// The definition of a container after the overrides, in which the later value of a name wins.
pub fn overridden(
    container: &ContainerDefinition,
    overrides: &TaskOverrides,
) -> ContainerDefinition {
    let own = overrides.containers.iter().find(|own| own.name == container.name);
    let mut definition = ContainerDefinition {
        cpu_units: cpu_units(container, overrides),
        memory_mib: memory_mib(container, overrides),
        memory_reservation_mib: memory_reservation_mib(container, overrides),
        ..container.clone()
    };
    let Some(own) = own else { return definition };
    if own.command.is_some() {
        definition.command.clone_from(&own.command);
    }
    for (name, value) in &own.environment {
        set(&mut definition.environment, name, value);
    }
    definition
}

/// Gives a name its value, at the end.
pub fn set(pairs: &mut Vec<(String, String)>, name: &str, value: &str) {
    pairs.retain(|(known, _)| known != name);
    pairs.push((name.to_owned(), value.to_owned()));
}

fn override_of<T>(
    container: &ContainerDefinition,
    overrides: &TaskOverrides,
    field: impl Fn(&ContainerOverride) -> Option<T>,
) -> Option<T> {
    overrides.containers.iter().find(|o| o.name == container.name).and_then(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_change_the_definition() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let defined = ContainerDefinition {
            command: Some(vec!["serve".into()]),
            environment: vec![pair("A", "1"), pair("B", "2")],
            cpu_units: 10,
            ..ContainerDefinition::new("web", "app:1")
        };
        let own = ContainerOverride {
            name: "web".into(),
            command: Some(vec!["migrate".into()]),
            environment: vec![pair("A", "3")],
            memory_mib: Some(64),
            ..Default::default()
        };
        let overrides = TaskOverrides { containers: vec![own], ..Default::default() };
        let expected = ContainerDefinition {
            command: Some(vec!["migrate".into()]),
            environment: vec![pair("B", "2"), pair("A", "3")],
            memory_mib: Some(64),
            ..defined.clone()
        };
        assert_eq!(overridden(&defined, &overrides), expected);
        let other = ContainerDefinition { name: "side".into(), ..defined };
        assert_eq!(overridden(&other, &overrides), other);
    }
}
