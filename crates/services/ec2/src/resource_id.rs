//! Ids of what every account has from the start.
//!
//! They are made from the account, the region and the name of the thing, so that a default VPC has the same id on
//! every machine and after every reset: scripts and examples may name it.

use outport_model::Scope;
use sha2::{Digest, Sha256};

/// Hexadecimal digits of an EC2 id.
const ID_DIGITS: usize = 17;

/// Such as `vpc-0123456789abcdef0`: `prefix`, a hyphen and 17 hexadecimal digits, the first of them 0.
pub fn derived(prefix: &str, scope: &Scope, name: &str) -> String {
    let text = format!("{}/{}/{prefix}/{name}", scope.account, scope.region);
    let digits = hex::encode(Sha256::digest(text));
    format!("{prefix}-0{}", &digits[..ID_DIGITS - 1])
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    #[test]
    fn ids_are_stable_and_differ() {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let id = derived("subnet", &scope, "us-east-1a");
        assert_eq!(id.len(), "subnet-".len() + ID_DIGITS);
        assert_eq!(id, derived("subnet", &scope, "us-east-1a"));
        assert_ne!(id, derived("subnet", &scope, "us-east-1b"));
    }
}
