//! Passwords: what they must be like, and how they are kept.
//!
//! **Invariant:** a password stands nowhere as it is. It is kept as an Argon2id hash that names its own parameters, so that they
//! can be raised later while the old hashes are still good.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use outport_model::iam::PasswordPolicy;
use tokio::sync::Semaphore;

use crate::ids;
use crate::rejection::Rejection;

/// Source of the parameters: OWASP, "Password Storage Cheat Sheet", Argon2id. Tests look at what is kept, not at how long it
/// would take to guess it.
const MEMORY_KIB: u32 = if cfg!(test) { 8 } else { 19_456 };
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Each has the memory above and a processor of its own.
const HASHED_AT_ONCE: usize = 2;
/// Earlier passwords of a user that are known: as many as a policy can forbid to use again.
/// Source: API reference, UpdateAccountPasswordPolicy, PasswordReusePrevention: 1 to 24.
pub const EARLIER_MAX: usize = 24;

/// What counts as a symbol. Source: API reference, UpdateAccountPasswordPolicy, RequireSymbols.
const SYMBOLS: &str = "!@#$%^&*()_+-=[]{}|'";

/// Without a policy of the account. Source: IAM user guide, "Set an account password policy for IAM users", Default password
/// policy: at least 8 characters of three of the four kinds, and not the name of the account.
const DEFAULT_LENGTH: usize = 8;
const DEFAULT_KINDS: usize = 3;

/// Whether a password is as it must be.
///
/// # Errors
/// `PasswordPolicyViolation`. Source of the text: answers as callers report them.
pub fn check(
    policy: Option<&PasswordPolicy>,
    account_names: &[&str],
    password: &str,
) -> Result<(), Rejection> {
    let has = |is: fn(char) -> bool| password.chars().any(is);
    let length = password.chars().count();
    let uppercase = has(|character| character.is_ascii_uppercase());
    let lowercase = has(|character| character.is_ascii_lowercase());
    let number = has(|character| character.is_ascii_digit());
    let symbol = has(|character| SYMBOLS.contains(character));
    let conforms = match policy {
        Some(policy) => {
            length >= policy.minimum_length as usize
                && (uppercase || !policy.require_uppercase)
                && (lowercase || !policy.require_lowercase)
                && (number || !policy.require_numbers)
                && (symbol || !policy.require_symbols)
        }
        None => {
            let kinds = [uppercase, lowercase, number, symbol];
            length >= DEFAULT_LENGTH
                && kinds.into_iter().filter(|has| *has).count() >= DEFAULT_KINDS
                && !account_names.contains(&password)
        }
    };
    if conforms { Ok(()) } else { Err(violation()) }
}

pub fn violation() -> Rejection {
    let text = "Password does not conform to the account password policy.";
    Rejection::PasswordPolicyViolation(text.to_owned())
}

/// Hashes and compares, a few at a time, beside the threads that answer requests.
#[derive(Clone)]
pub struct Hashing(Arc<Semaphore>);

impl Default for Hashing {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HASHED_AT_ONCE)))
    }
}

impl Hashing {
    /// In the form that names its own parameters: `$argon2id$…`.
    ///
    /// # Errors
    /// No randomness, or no memory.
    pub async fn hash(&self, password: String) -> Result<String, Rejection> {
        let salt = ids::bytes::<16>()?;
        self.beside(move || {
            let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(broken)?;
            let salt = SaltString::encode_b64(&salt).map_err(broken)?;
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash = argon.hash_password(password.as_bytes(), &salt).map_err(broken)?;
            Ok(hash.to_string())
        })
        .await?
    }

    /// Whether one of the hashes is of this password. One that cannot be read is of none.
    ///
    /// # Errors
    /// The thread is gone.
    pub async fn is_one_of(
        &self,
        password: String,
        hashes: Vec<String>,
    ) -> Result<bool, Rejection> {
        let is_of = move |hash: &String| {
            let hash = PasswordHash::new(hash);
            hash.is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
        };
        self.beside(move || hashes.iter().any(is_of)).await
    }

    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let _turn = self.0.acquire().await.map_err(broken)?;
        tokio::task::spawn_blocking(work).await.map_err(broken)
    }
}

fn broken(error: impl std::fmt::Display) -> Rejection {
    Rejection::Server {
        message: "The request processing has failed because of an unknown error.".to_owned(),
        detail: format!("a password cannot be hashed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PasswordPolicy = PasswordPolicy {
        minimum_length: 6,
        require_symbols: false,
        require_numbers: false,
        require_uppercase: false,
        require_lowercase: false,
        allow_users_to_change: false,
        max_age_days: None,
        reuse_prevention: None,
        hard_expiry: false,
    };

    fn takes(policy: Option<&PasswordPolicy>, password: &str, expected: bool) {
        let taken = check(policy, &["000000000000", "Team-1234"], password).is_ok();
        assert_eq!(taken, expected, "{password} by {policy:?}");
    }

    #[test]
    fn a_policy_says_what_a_password_is_like() {
        for (policy, good, bad) in [
            (POLICY, "abcdef", "abcde"),
            (
                PasswordPolicy { minimum_length: 20, ..POLICY },
                "abcdefghijklmnopqrst",
                "abcdefghijklmnopqrs",
            ),
            (PasswordPolicy { require_symbols: true, ..POLICY }, "abcdef|", "abcdef\""),
            (PasswordPolicy { require_numbers: true, ..POLICY }, "abcdef1", "abcdefg"),
            (PasswordPolicy { require_uppercase: true, ..POLICY }, "abcdeF", "abcdef"),
            (PasswordPolicy { require_lowercase: true, ..POLICY }, "ABCDEf", "ABCDEF"),
        ] {
            takes(Some(&policy), good, true);
            takes(Some(&policy), bad, false);
        }
    }

    #[test]
    fn without_a_policy_the_default_one_holds() {
        for (password, expected) in [
            ("Abcdef12", true),
            ("abcdef1!", true),
            ("Abcdef1", false),
            ("abcdefgh12", false),
            ("Team-1234", false),
        ] {
            takes(None, password, expected);
        }
    }

    #[tokio::test]
    async fn a_hash_is_of_one_password() {
        let hashing = Hashing::default();
        let hash = hashing.hash("Abcdef12".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert_ne!(hash, hashing.hash("Abcdef12".into()).await.unwrap(), "salted");
        let hashes = vec!["no hash".to_owned(), hash];
        assert!(hashing.is_one_of("Abcdef12".into(), hashes.clone()).await.unwrap());
        assert!(!hashing.is_one_of("abcdef12".into(), hashes).await.unwrap());
    }
}
