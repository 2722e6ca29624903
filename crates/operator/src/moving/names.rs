//! Which names are those of AWS: all that gets into paths, shells and templates.

/// Of clusters, families and services. Source: Amazon ECS API Reference, `CreateCluster`, `RegisterTaskDefinition`.
pub fn is_ecs_name(name: &str) -> bool {
    is_made_of(name, 255, |c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// Source: Amazon ECR API Reference, `CreateRepository`.
pub fn is_repository_name(name: &str) -> bool {
    is_made_of(name, 256, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._/-".contains(c))
}

/// Source: Amazon CloudWatch Logs API Reference, `CreateLogGroup`.
pub fn is_log_group_name(name: &str) -> bool {
    is_made_of(name, 512, |c| c.is_ascii_alphanumeric() || "_-/.#".contains(c))
}

/// 12 digits.
pub fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

/// Such as `us-gov-west-1`.
pub fn is_region(region: &str) -> bool {
    is_made_of(region, 32, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Of the revision of a family.
pub fn is_revision_arn(arn: &str, family: &str) -> bool {
    let is_plain = is_made_of(arn, 2048, |c| c.is_ascii_alphanumeric() || "_-/:".contains(c));
    let revision = arn.rsplit_once('/').and_then(|(_, name)| name.strip_prefix(family));
    let number = revision.and_then(|revision| revision.strip_prefix(':'));
    let is_number = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
    is_plain && arn.starts_with("arn:") && number.is_some_and(is_number)
}

/// A name as one part of a path or a label: what is neither letter, digit nor `_` becomes `_`.
pub fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn is_made_of(name: &str, length_max: usize, of: impl Fn(char) -> bool) -> bool {
    (1..=length_max).contains(&name.len()) && name.chars().all(of)
}
