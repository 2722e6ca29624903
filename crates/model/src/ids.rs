//! Typed ids. A function that takes a `ClusterName` cannot be handed a `ServiceName`. A clone is free: indexes and keys
//! hold the same text many times.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads a text into the place where it stays.
struct Text;

impl Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; the caller has checked it against AWS's rules.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                // Keys that lie side by side share most of their texts.
                if Arc::ptr_eq(&self.0, &other.0) {
                    return Ordering::Equal;
                }
                self.0.cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text).map(Self)
            }
        }
    };
}

text_id! {
    /// An AWS account: 12 digits.
    AccountId
}
text_id! {
    /// An AWS region, such as `us-east-1`.
    Region
}
text_id! {
    /// 1 to 255 letters, digits, hyphens and underscores.
    ClusterName
}
text_id! {
    /// 1 to 255 letters, digits, hyphens and underscores; unique in its cluster.
    ServiceName
}
text_id! {
    /// The family of a task definition: 1 to 255 letters, digits, hyphens and underscores.
    Family
}
text_id! {
    /// 32 lower-case hexadecimal digits, the last part of a task's ARN.
    TaskId
}
text_id! {
    /// 32 lower-case hexadecimal digits, the last part of a container instance's ARN.
    ContainerInstanceId
}
text_id! {
    /// The digits of `ecs-svc/<digits>`: one deployment of a service and, as AWS does it, also the
    /// last part of the ARN of the service revision that it rolls out.
    DeploymentId
}
text_id! {
    /// A machine that runs tasks: 32 lower-case hexadecimal digits, made by the node once.
    NodeId
}

text_id! {
    /// A UUID, the last part of a container's ARN.
    ContainerId
}
text_id! {
    /// 21 letters and digits, the last part of a service deployment's ARN.
    ServiceDeploymentId
}
text_id! {
    /// `vpc-` and 17 lower-case hexadecimal digits.
    VpcId
}
text_id! {
    /// `subnet-` and 17 lower-case hexadecimal digits.
    SubnetId
}
text_id! {
    /// `sg-` and 17 lower-case hexadecimal digits.
    SecurityGroupId
}
text_id! {
    /// `eni-` and 17 lower-case hexadecimal digits.
    NetworkInterfaceId
}
text_id! {
    /// `eni-attach-` and 17 lower-case hexadecimal digits: what holds a network interface to its task, as EC2 names it.
    AttachmentId
}
text_id! {
    /// `dopt-` and 17 lower-case hexadecimal digits.
    DhcpOptionsId
}
text_id! {
    /// A UUID: an attachment of a task, as ECS names it.
    TaskAttachmentId
}
text_id! {
    /// A UUID of an event of a service.
    ServiceEventId
}

/// The number behind the colon in `family:revision`; 1 and up, never used twice in a family.
pub type Revision = u32;

/// Makes identifiers that never come twice. Handed in wherever a pure function makes a row.
pub trait NewIds {
    fn task_id(&self) -> TaskId;
    /// A random UUID.
    fn uuid(&self) -> String;
    /// `prefix` and 17 lower-case hexadecimal digits, such as `eni-0123456789abcdef0`.
    fn hex17(&self, prefix: &str) -> String;
    /// The digits behind `ecs-svc/`.
    fn deployment_id(&self) -> DeploymentId;
    fn service_deployment_id(&self) -> ServiceDeploymentId;
}

/// The account and region that a row belongs to. Every key of the store starts with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    pub account: AccountId,
    pub region: Region,
}

impl Scope {
    pub fn new(account: AccountId, region: Region) -> Self {
        Self { account, region }
    }
}

impl NodeId {
    /// The node as EC2 would name it: `i-` and 17 hexadecimal digits.
    pub fn ec2_instance_id(&self) -> String {
        const DIGITS: usize = 17;
        let digits: String = self.as_str().chars().take(DIGITS).collect();
        format!("i-{digits:0<DIGITS$}")
    }
}
