//! Log groups: what callers give and get.

use outport_model::{Tags, TimestampMs};

use crate::names::LogGroupName;

/// AWS's classes of log groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogGroupClass {
    #[default]
    Standard,
    InfrequentAccess,
    Delivery,
    Essentials,
}

impl LogGroupClass {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::InfrequentAccess => "INFREQUENT_ACCESS",
            Self::Delivery => "DELIVERY",
            Self::Essentials => "ESSENTIALS",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Standard, Self::InfrequentAccess, Self::Delivery, Self::Essentials]
            .into_iter()
            .find(|class| class.as_str() == text)
    }
}

/// A group to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLogGroup {
    pub name: LogGroupName,
    pub class: LogGroupClass,
    pub kms_key_id: Option<String>,
    pub tags: Tags,
    /// `None`: as the options of the store say.
    pub retention_days: Option<i64>,
}

impl NewLogGroup {
    /// A standard group without tags.
    pub fn named(name: LogGroupName) -> Self {
        Self {
            name,
            class: LogGroupClass::Standard,
            kms_key_id: None,
            tags: Tags::new(),
            retention_days: None,
        }
    }
}

/// A group as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    pub name: LogGroupName,
    pub created_ms: TimestampMs,
    /// `None` keeps events for ever.
    pub retention_days: Option<i64>,
    pub class: LogGroupClass,
    pub kms_key_id: Option<String>,
    pub tags: Tags,
    /// Messages and 26 bytes for each event, before compression.
    pub stored_bytes: u64,
}

/// Which groups [`crate::LogStore::describe_groups`] answers. Conditions that are given must all
/// hold.
#[derive(Clone, Debug, Default)]
pub struct GroupQuery {
    pub prefix: Option<String>,
    /// The name contains this text, in the same case (AWS: "a case-sensitive substring search").
    pub pattern: Option<String>,
    pub class: Option<LogGroupClass>,
    pub names: Option<Vec<LogGroupName>>,
    /// Only groups behind this name, in the order of names.
    pub after: Option<String>,
}

/// Groups in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPage {
    pub groups: Vec<LogGroup>,
    /// There are more behind the last of them.
    pub more: bool,
}
