//! Account settings: their values, their defaults, and which of them hold for a principal.
//!
//! A principal's own setting wins over the account's default (kept under the root's ARN), which wins over AWS's.
//!
//! Source: "Access Amazon ECS features with account settings" in the Amazon ECS Developer Guide.

use outport_aws_ecs::{Setting, SettingName, SettingType};
use outport_identity::Call;
use outport_model::account_setting::AccountSetting;
use outport_model::{AccountId, Arn, Scope};
use outport_store::keys::AccountSettingKey;
use outport_store::{Tables, Transaction};

use crate::rejection::Rejection;

/// What a setting can be.
struct Rule {
    name: SettingName,
    default: &'static str,
    allowed: &'static [&'static str],
    /// Values that AWS takes and this version does not build.
    not_built: &'static [&'static str],
}

const RULES: [Rule; 11] = [
    // Only the long formats exist here.
    rule(SettingName::ServiceLongArnFormat, "enabled", &["enabled"], &["disabled"]),
    rule(SettingName::TaskLongArnFormat, "enabled", &["enabled"], &["disabled"]),
    rule(SettingName::ContainerInstanceLongArnFormat, "enabled", &["enabled"], &["disabled"]),
    // A node has no limit of network interfaces, so trunking changes nothing.
    rule(SettingName::AwsvpcTrunking, "disabled", &["enabled", "disabled"], &[]),
    rule(SettingName::ContainerInsights, "disabled", &["enabled", "disabled", "enhanced"], &[]),
    rule(SettingName::FargateFipsMode, "disabled", &["disabled"], &["enabled"]),
    // Tags at creation are always asked for.
    rule(SettingName::TagResourceAuthorization, "on", &["on"], &["off"]),
    // Nothing retires a task here.
    rule(SettingName::FargateTaskRetirementWaitPeriod, "7", &["0", "7", "14"], &[]),
    rule(SettingName::GuardDutyActivate, "off", &[], &["on", "off"]),
    // Non-blocking since 2025-06-25: a container that logs faster than its logs leave loses lines instead of waiting.
    // Source: botocore's documentation of `LogConfiguration.options`, `mode`.
    rule(SettingName::DefaultLogDriverMode, "non-blocking", &["blocking", "non-blocking"], &[]),
    rule(SettingName::FargateEventWindows, "disabled", &["disabled"], &["enabled"]),
];

const fn rule(
    name: SettingName,
    default: &'static str,
    allowed: &'static [&'static str],
    not_built: &'static [&'static str],
) -> Rule {
    Rule { name, default, allowed, not_built }
}

/// Checks a value for a setting.
///
/// # Errors
/// `InvalidParameterException` for a value it cannot have, `UnsupportedFeatureException` for one that is not built.
pub fn check(name: SettingName, value: &str) -> Result<(), Rejection> {
    let rule = RULES.iter().find(|rule| rule.name == name);
    let (allowed, not_built) =
        rule.map_or((&[][..], &[][..]), |rule| (rule.allowed, rule.not_built));
    if allowed.contains(&value) {
        return Ok(());
    }
    if not_built.contains(&value) {
        return Err(Rejection::not_built(&format!(
            "The value {value} of the account setting {name}"
        )));
    }
    Err(Rejection::invalid_parameter(format!(
        "Invalid value '{value}' for setting {name}. Must be one of [{}]",
        allowed.join(", ")
    )))
}

/// The principal that a request is about.
///
/// # Errors
/// `InvalidParameterException` for what is no ARN of this account's principals.
pub fn principal(call: &Call, given: Option<String>) -> Result<String, Rejection> {
    let Some(text) = given.filter(|text| !text.is_empty()) else {
        return Ok(call.principal.arn());
    };
    let is_principal = Arn::parse(&text)
        .is_some_and(|arn| arn.service() == "iam" && arn.account() == call.account.as_str());
    if is_principal { Ok(text) } else { Err(Rejection::invalid_parameter("Invalid principalArn.")) }
}

/// The ARN that the account's defaults are kept under.
pub fn root(account: &AccountId) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// The value that holds for a principal.
pub fn effective(tables: &Tables, scope: &Scope, principal: &str, name: SettingName) -> String {
    let own = explicit(tables, scope, principal, name);
    let value = own.or_else(|| explicit(tables, scope, &root(&scope.account), name));
    let default = || RULES.iter().find(|rule| rule.name == name).map_or("", |rule| rule.default);
    value.unwrap_or_else(|| default().to_owned())
}

/// The value that was set for a principal itself.
pub fn explicit(
    tables: &Tables,
    scope: &Scope,
    principal: &str,
    name: SettingName,
) -> Option<String> {
    let key = AccountSettingKey::new(scope, name.as_str(), principal);
    tables.account_settings.get(&key).map(|row| row.value.clone())
}

/// Sets a value.
pub fn put(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    principal: &str,
    name: SettingName,
    value: &str,
) {
    tx.put(AccountSetting {
        scope: scope.clone(),
        principal_arn: principal.to_owned(),
        name: name.as_str().to_owned(),
        value: value.to_owned(),
    });
}

/// A setting as the operations answer with it.
pub fn view(name: SettingName, value: String, principal: &str) -> Setting {
    let is_managed = name == SettingName::GuardDutyActivate;
    Setting {
        name: Some(name),
        value: Some(value),
        principal_arn: Some(principal.to_owned()),
        r#type: Some(if is_managed { SettingType::AwsManaged } else { SettingType::User }),
    }
}
