//! One container of a task definition: its own checks and the defaults that AWS fills in.

use std::collections::BTreeSet;

use outport_aws_ecs::{ContainerDefinition, HealthCheck, NetworkMode};

use super::ports;
use super::task_size::CONTAINER_MEMORY_MIB_MIN;
use super::workload::{
    HEALTH_INTERVAL_S_DEFAULT, HEALTH_RETRIES_DEFAULT, HEALTH_TIMEOUT_S_DEFAULT,
};
use crate::names;
use crate::rejection::Rejection;

/// Least seconds of `startTimeout` and `stopTimeout`.
const TIMEOUT_S_MIN: i32 = 2;
/// Source: botocore's documentation of `EnvironmentFile`.
const ENVIRONMENT_FILES_MAX: usize = 10;

/// Checks a container and fills in what AWS fills in: `cpu`, `essential`, and empty lists.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn normalise(
    definition: &mut ContainerDefinition,
    mode: Option<NetworkMode>,
) -> Result<(), Rejection> {
    check_name_and_image(definition)?;
    definition.cpu.get_or_insert(0);
    definition.essential.get_or_insert(true);
    definition.environment.get_or_insert_default();
    definition.mount_points.get_or_insert_default();
    definition.volumes_from.get_or_insert_default();
    definition.system_controls.get_or_insert_default();
    ports::normalise(definition.port_mappings.get_or_insert_default(), mode)?;
    if let Some(check) = &mut definition.health_check {
        normalise_health_check(check)?;
    }
    let capabilities =
        definition.linux_parameters.as_mut().and_then(|linux| linux.capabilities.as_mut());
    if let Some(capabilities) = capabilities {
        capabilities.add.get_or_insert_default();
        capabilities.drop.get_or_insert_default();
    }
    check_numbers(definition)?;
    check_environment(definition)?;
    check_network_words(definition)?;
    check_network(definition, mode)?;
    check_ulimits(definition)
}

fn check_name_and_image(definition: &ContainerDefinition) -> Result<(), Rejection> {
    for (member, value) in [("name", &definition.name), ("image", &definition.image)] {
        if value.as_deref().is_none_or(str::is_empty) {
            return Err(Rejection::client(format!(
                "Container.{member} should not be null or empty."
            )));
        }
    }
    if !definition.name.as_deref().is_some_and(names::is_name) {
        return Err(Rejection::client("Container.name contains invalid characters."));
    }
    if !definition.image.as_deref().is_some_and(is_image) {
        return Err(Rejection::client("Container.image contains invalid characters."));
    }
    Ok(())
}

/// Source: botocore's documentation of `ContainerDefinition.image`: "Up to 255 letters (uppercase and lowercase),
/// numbers, hyphens, underscores, colons, periods, forward slashes, and number signs are allowed"; `@` names a digest.
fn is_image(text: &str) -> bool {
    text.len() <= names::NAME_LENGTH_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:./#@".contains(&byte))
}

fn check_numbers(definition: &ContainerDefinition) -> Result<(), Rejection> {
    let name = definition.name.as_deref().unwrap_or_default();
    let invalid =
        |what: String| Rejection::client(format!("Invalid setting for container '{name}'. {what}"));
    if definition.cpu.is_some_and(|units| units < 0) {
        return Err(invalid("'cpu' must not be negative.".to_owned()));
    }
    for (member, value) in
        [("memory", definition.memory), ("memoryReservation", definition.memory_reservation)]
    {
        if value.is_some_and(|mib| mib < CONTAINER_MEMORY_MIB_MIN) {
            return Err(invalid(format!(
                "'{member}' must be at least {CONTAINER_MEMORY_MIB_MIN}."
            )));
        }
    }
    for (word, value) in [("start", definition.start_timeout), ("stop", definition.stop_timeout)] {
        if value.is_some_and(|seconds| seconds < TIMEOUT_S_MIN) {
            return Err(Rejection::client(format!(
                "Granular {word} timeout on container '{name}' must be at least {TIMEOUT_S_MIN} seconds."
            )));
        }
    }
    let period =
        definition.restart_policy.as_ref().and_then(|policy| policy.restart_attempt_period);
    if period.is_some_and(|seconds| !(60..=1800).contains(&seconds)) {
        return Err(Rejection::client(format!(
            "The 'restartAttemptPeriod' setting for container '{name}' must be between 60 and 1800."
        )));
    }
    Ok(())
}

/// Source of the ranges: botocore's documentation of `HealthCheck`.
fn normalise_health_check(check: &mut HealthCheck) -> Result<(), Rejection> {
    let command = check.command.as_deref().unwrap_or_default();
    if command.is_empty() {
        return Err(Rejection::client("HealthCheck.command should not be null or empty."));
    }
    // A guess at AWS's words: its documentation says that it "must start with CMD" or CMD-SHELL.
    if !matches!(command, [kind, _, ..] if kind == "CMD" || kind == "CMD-SHELL") {
        return Err(Rejection::client(
            "HealthCheck.command must start with CMD or CMD-SHELL, followed by what to run.",
        ));
    }
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    check.interval.get_or_insert(number(HEALTH_INTERVAL_S_DEFAULT));
    check.timeout.get_or_insert(number(HEALTH_TIMEOUT_S_DEFAULT));
    check.retries.get_or_insert(number(HEALTH_RETRIES_DEFAULT));
    for (member, value, range) in [
        ("interval", check.interval, 5..=300),
        ("timeout", check.timeout, 2..=60),
        ("retries", check.retries, 1..=10),
        ("startPeriod", check.start_period, 0..=300),
    ] {
        if value.is_some_and(|value| !range.contains(&value)) {
            let (least, most) = range.into_inner();
            return Err(Rejection::client(format!(
                "HealthCheck.{member} must be between {least} and {most}."
            )));
        }
    }
    Ok(())
}

fn check_environment(definition: &ContainerDefinition) -> Result<(), Rejection> {
    let variables = definition.environment.as_deref().unwrap_or_default();
    if variables.iter().any(|variable| variable.name.as_deref().is_none_or(str::is_empty)) {
        return Err(Rejection::client("Environment variable name should not be null or empty."));
    }
    let mut taken: BTreeSet<&str> =
        variables.iter().filter_map(|variable| variable.name.as_deref()).collect();
    for secret in definition.secrets.iter().flatten() {
        let name = secret.name.as_deref().unwrap_or_default();
        if !taken.insert(name) {
            return Err(Rejection::client(format!(
                "The secret name must be unique and not shared with any new or existing environment variables \
                 set on the container, such as '{name}'."
            )));
        }
    }
    let files = definition.environment_files.as_deref().unwrap_or_default();
    if files.len() > ENVIRONMENT_FILES_MAX {
        return Err(Rejection::client(
            "The maximum number of environment files was exceeded. Specify ten or less and try again.",
        ));
    }
    let is_arn =
        |value: &Option<String>| value.as_deref().and_then(outport_model::Arn::parse).is_some();
    if files.iter().any(|file| !is_arn(&file.value)) {
        return Err(Rejection::client("Invalid arn syntax."));
    }
    Ok(())
}

/// What becomes a word in a line of `/etc/hosts` or `/etc/resolv.conf` is one word. A guess: AWS's text is not known.
fn check_network_words(definition: &ContainerDefinition) -> Result<(), Rejection> {
    let mut words: Vec<(&str, &String)> = Vec::new();
    words.extend(definition.hostname.iter().map(|word| ("hostname", word)));
    for host in definition.extra_hosts.iter().flatten() {
        let parts = [&host.hostname, &host.ip_address].into_iter().flatten();
        words.extend(parts.map(|word| ("extraHosts", word)));
    }
    words.extend(definition.dns_servers.iter().flatten().map(|word| ("dnsServers", word)));
    let domains = definition.dns_search_domains.iter().flatten();
    words.extend(domains.map(|word| ("dnsSearchDomains", word)));
    let breaks = |text: &str| text.contains(|c: char| c.is_whitespace() || c.is_control());
    match words.into_iter().find(|(_, word)| breaks(word)) {
        Some((member, _)) => Err(Rejection::client(format!(
            "{member} must not contain white space or control characters."
        ))),
        None => Ok(()),
    }
}

/// The task's network interface has a name, hosts and resolvers of its own.
fn check_network(
    definition: &ContainerDefinition,
    mode: Option<NetworkMode>,
) -> Result<(), Rejection> {
    if mode != Some(NetworkMode::Awsvpc) {
        return Ok(());
    }
    let refusals = [
        (!is_empty(&definition.links), "Links are not supported when networkMode=awsvpc."),
        (
            definition.hostname.is_some(),
            "hostname is not supported on container when networkMode=awsvpc.",
        ),
        (
            definition.extra_hosts.as_ref().is_some_and(|hosts| !hosts.is_empty()),
            "Extra hosts are not supported on container when networkMode=awsvpc.",
        ),
        (
            !is_empty(&definition.dns_servers),
            "DNS servers are not supported on container when networkMode=awsvpc.",
        ),
        (
            !is_empty(&definition.dns_search_domains),
            "DNS search domains are not supported on container when networkMode=awsvpc.",
        ),
        (
            definition.disable_networking == Some(true),
            "Disable Networking is not supported on container when networkMode=awsvpc.",
        ),
    ];
    match refusals.into_iter().find(|(is_set, _)| *is_set) {
        Some((_, text)) => Err(Rejection::client(text)),
        None => Ok(()),
    }
}

fn is_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

fn check_ulimits(definition: &ContainerDefinition) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for ulimit in definition.ulimits.iter().flatten() {
        let name = ulimit.name.map(|name| name.as_str()).unwrap_or_default();
        if !seen.insert(name) {
            return Err(Rejection::client(format!("Duplicate ulimit '{name}'.")));
        }
        let (soft, hard) = (ulimit.soft_limit.unwrap_or(0), ulimit.hard_limit.unwrap_or(0));
        if hard != -1 && (soft == -1 || soft > hard) {
            return Err(Rejection::client(format!(
                "Invalid ulimit '{name}'. 'softLimit' must be less than or equal to 'hardLimit'."
            )));
        }
    }
    Ok(())
}
