//! Why a document is no policy, in AWS's words of MalformedPolicyDocument.
//!
//! IAM has two readers with words of their own: one for policies of principals, one for role trust and the policies of
//! resources. Sources: messages that users of AWS report in public issues; moto's tests of IAM (`test_iam_policies.py`) and
//! LocalStack's recordings. Where several things are wrong, the first in the reader's order is said.

use thiserror::Error;

use crate::position::Position;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    // Of the reader of principals' policies.
    #[error("Syntax errors in policy.")]
    Syntax,
    #[error("Policy document must be version 2012-10-17 or greater.")]
    OldVersion,
    #[error("The policy failed legacy parsing")]
    LegacyParsing,
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
    )]
    SidCharacters,
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    SidNotUnique,
    #[error("Policy document should not specify a principal.")]
    Principal,
    #[error("Policy statement must contain actions.")]
    NoActions,
    #[error("Policy statement must contain resources.")]
    NoResources,
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    NoVendor,
    #[error("Actions/Condition can contain only one colon.")]
    Colons,
    #[error("Vendor {0} is not valid")]
    Vendor(String),
    #[error("Resource {0} must be in ARN format or \"*\".")]
    NoArn(String),
    /// A partition, and the parts behind it.
    #[error("Partition \"{0}\" is not valid for resource \"arn:{0}:{1}\".")]
    Partition(String, String),
    #[error("Resource vendor must be fully qualified and cannot contain regexes.")]
    ResourceVendor,
    #[error("IAM resource {0} cannot contain region information.")]
    RegionOfIam(String),
    #[error("Resource {0} can not contain region information.")]
    RegionOfS3(String),
    #[error("IAM resource path must either be \"*\" or start with {0}.")]
    IamPath(String),

    // Of the reader of role trust and of resources' policies.
    #[error("This policy contains invalid Json")]
    InvalidJson,
    #[error("Syntax error at position {0}")]
    SyntaxAt(Position),
    #[error("Unknown field {0}")]
    UnknownField(String),
    #[error("The policy must contain a valid version string")]
    InvalidVersion,
    #[error("Could not parse the policy: Statement is empty!")]
    NoStatement,
    #[error("The Statement Ids in the policy are not unique")]
    StatementIdsNotUnique,
    #[error("Missing required field {0}")]
    Missing(&'static str),
    #[error("Missing required field {0} cannot be empty!")]
    Empty(&'static str),
    #[error("Has prohibited field {0}")]
    Prohibited(&'static str),
    #[error("Invalid effect: {0}")]
    Effect(String),
    #[error("Principal must be a JSON object.")]
    PrincipalNoObject,
    #[error("Allow with NotPrincipal is not allowed.")]
    AllowNotPrincipal,
    #[error("AssumeRole policy must not contain NotPrincipal field.")]
    TrustNotPrincipal,
    #[error("AssumeRole policy must not contain resources.")]
    TrustResources,
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    TrustActions,
    /// The kind in upper case, and the principal.
    #[error("Invalid principal in policy: \"{0}\":\"{1}\"")]
    InvalidPrincipal(String, String),
}
