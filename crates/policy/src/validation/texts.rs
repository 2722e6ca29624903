//! What may stand in `Action`, `Resource` and their negated twins.

use crate::malformed::Malformed;

/// AWS's partitions.
const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-us-gov"];

/// With what the path of an IAM resource begins, in the order of AWS's message.
const IAM_PATHS: [&str; 13] = [
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

/// With what those resources of S3 begin that belong to a region. Source: Service Authorization Reference, Amazon S3.
const S3_PATHS_WITH_REGION: [&str; 6] = [
    "accesspoint/",
    "access-grants/",
    "async-request/",
    "job/",
    "storage-lens/",
    "storage-lens-group/",
];

/// What is wrong with a resource.
#[derive(Debug)]
pub(super) enum ResourceFault {
    /// The older reader refuses it.
    Legacy,
    Said(Malformed),
}

pub(super) fn is_partition(text: &str) -> bool {
    PARTITIONS.contains(&text)
}

/// `*`, or `service:name` with wildcards in the name.
pub(super) fn check_action(action: &str) -> Result<(), Malformed> {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else { return Err(Malformed::NoVendor) };
    if name.contains(':') {
        return Err(Malformed::Colons);
    }
    let is_vendor_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_vendor = !vendor.is_empty() && vendor.bytes().all(is_vendor_byte);
    if vendor == "*" || is_vendor { Ok(()) } else { Err(Malformed::Vendor(vendor.to_owned())) }
}

/// `*`, or an ARN with wildcards, which may lack parts at its end.
pub(super) fn check_resource(resource: &str) -> Result<(), ResourceFault> {
    if resource == "*" {
        return Ok(());
    }
    let said = |fault| Err(ResourceFault::Said(fault));
    let mut parts = resource.splitn(6, ':');
    let (scheme, partition) = (parts.next(), parts.next());
    let Some(partition) = partition else { return said(Malformed::NoArn(resource.to_owned())) };
    let (vendor, region, account, path) = (parts.next(), parts.next(), parts.next(), parts.next());
    if partition != "*" && !is_partition(partition) {
        let rest = [vendor, region, account, path].map(|part| part.unwrap_or("*")).join(":");
        return said(Malformed::Partition(partition.to_owned(), rest));
    }
    let Some(vendor) = vendor else { return said(Malformed::ResourceVendor) };
    // Source: users whose policies with `arn:aws:*:*:*:*` IAM refused in these words.
    if vendor.contains(['*', '?']) {
        return said(Malformed::ResourceVendor);
    }
    let is_of_region = !matches!(region, None | Some("" | "*"));
    let is_of = |paths: &[&str]| path.is_some_and(|path| may_begin(path, paths));
    match vendor {
        "iam" if is_of_region => return said(Malformed::RegionOfIam(resource.to_owned())),
        "s3" if is_of_region && !is_of(&S3_PATHS_WITH_REGION) => {
            return said(Malformed::RegionOfS3(resource.to_owned()));
        }
        "iam" if path.is_some() && !is_of(&IAM_PATHS) => {
            return said(Malformed::IamPath(IAM_PATHS.join(", ")));
        }
        _ => {}
    }
    let is_short_with_gap = path.is_none() && resource.contains("::");
    let is_refused = vendor.is_empty() || is_short_with_gap || scheme != Some("arn");
    if is_refused { Err(ResourceFault::Legacy) } else { Ok(()) }
}

/// Whether what matches `pattern` may begin with one of `paths`: `*`, `role/*`, `ro*`.
fn may_begin(pattern: &str, paths: &[&str]) -> bool {
    let fixed = pattern.split(['*', '?']).next().unwrap_or_default();
    let has_wildcard = fixed.len() < pattern.len();
    paths.iter().any(|path| fixed.starts_with(path) || has_wildcard && path.starts_with(fixed))
}
