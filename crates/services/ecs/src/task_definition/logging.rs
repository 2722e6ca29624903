//! `logConfiguration`: the options that drivers require and allow.
//!
//! Source: "Send Amazon ECS logs to CloudWatch" in the Amazon ECS Developer Guide.

use outport_aws_ecs::{ContainerDefinition, LogDriver};

use crate::rejection::Rejection;

const AWSLOGS_REQUIRED: [&str; 2] = ["awslogs-region", "awslogs-group"];
/// The options that AWS takes. It refuses others that Docker's driver has (`awslogs-endpoint`, `tag`).
/// Source: botocore's documentation of `LogConfiguration.options`.
const AWSLOGS_ALLOWED: [&str; 8] = [
    "awslogs-create-group",
    "awslogs-region",
    "awslogs-group",
    "awslogs-stream-prefix",
    "awslogs-datetime-format",
    "awslogs-multiline-pattern",
    "mode",
    "max-buffer-size",
];

/// Checks the log configuration of every container.
///
/// # Errors
/// `ClientException` with AWS's text.
pub fn check(containers: &[ContainerDefinition]) -> Result<(), Rejection> {
    let mut has_router = false;
    let mut wants_router = false;
    for definition in containers {
        has_router |= definition.firelens_configuration.is_some();
        let Some(log) = &definition.log_configuration else { continue };
        wants_router |= log.log_driver == Some(LogDriver::Awsfirelens);
        if log.log_driver != Some(LogDriver::Awslogs) {
            continue;
        }
        let named = log.options.iter().flatten().map(|(name, _)| name.as_str());
        let disallowed: Vec<&str> = named.filter(|name| !AWSLOGS_ALLOWED.contains(name)).collect();
        if !disallowed.is_empty() {
            let text = format!("Log driver awslogs disallows options: {}", disallowed.join(", "));
            return Err(Rejection::client(text));
        }
        let option = |name: &str| log.options.as_ref().and_then(|options| options.get(name));
        let missing: Vec<&str> = AWSLOGS_REQUIRED
            .into_iter()
            .filter(|name| option(name).is_none_or(|value| value.is_empty()))
            .collect();
        if !missing.is_empty() {
            let text = format!("Log driver awslogs requires options: {}", missing.join(", "));
            return Err(Rejection::client(text));
        }
        check_values(log.options.as_ref())?;
    }
    if wants_router && !has_router {
        return Err(Rejection::client(
            "When a log driver is awsfirelens, a container must have a FireLens configuration.",
        ));
    }
    Ok(())
}

fn check_values(
    options: Option<&std::collections::BTreeMap<String, String>>,
) -> Result<(), Rejection> {
    let option = |name: &str| options.and_then(|options| options.get(name));
    if let Some(mode) = option("mode")
        && !matches!(mode.as_str(), "blocking" | "non-blocking")
    {
        return Err(Rejection::client(format!(
            "Log option 'mode' must be one of [blocking, non-blocking], but was {mode}"
        )));
    }
    if let Some(size) = option("max-buffer-size")
        && buffer_bytes(size).is_none()
    {
        return Err(Rejection::client(format!("Invalid log option 'max-buffer-size': {size}")));
    }
    if let Some(create) = option("awslogs-create-group")
        && !matches!(create.as_str(), "true" | "false")
    {
        return Err(Rejection::client(format!(
            "Log option 'awslogs-create-group' must be one of [true, false], but was {create}"
        )));
    }
    Ok(())
}

/// `10m`, `512k`, `1g` or bytes.
pub fn buffer_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (digits, scale) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1_u64),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(scale).filter(|bytes| *bytes > 0)
}
