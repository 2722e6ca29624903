//! Whether a key can be used now.

use outport_model::kms::KmsKey;

/// Why a key that is there is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    Disabled { arn: String },
    PendingDeletion { arn: String },
}

impl Unusable {
    /// # Errors
    /// Why it cannot be used.
    pub fn check(key: &KmsKey) -> Result<(), Self> {
        let arn = || key.arn().into_string();
        match key.deletion {
            Some(_) => Err(Self::PendingDeletion { arn: arn() }),
            None if !key.is_enabled => Err(Self::Disabled { arn: arn() }),
            None => Ok(()),
        }
    }

    /// AWS's text. Source: KMS developer guide, "Key states of AWS KMS keys".
    pub fn message(&self) -> String {
        match self {
            Self::Disabled { arn } => format!("{arn} is disabled."),
            Self::PendingDeletion { arn } => format!("{arn} is pending deletion."),
        }
    }

    /// The name of KMS's error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled { .. } => "DisabledException",
            Self::PendingDeletion { .. } => "KMSInvalidStateException",
        }
    }
}
