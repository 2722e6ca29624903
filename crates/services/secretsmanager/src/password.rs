//! Random passwords.
//!
//! Source: API reference, GetRandomPassword; the texts of refusals as callers of AWS CloudFormation report them.

use outport_aws_secretsmanager::GetRandomPasswordRequest;

use crate::random;
use crate::rejection::Rejection;

const LENGTH_DEFAULT: usize = 32;
const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMBERS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const SPACE: &str = " ";

/// What a password is made of.
pub struct Recipe {
    length: usize,
    /// The characters of each type that is wanted. None is empty.
    types: Vec<Vec<char>>,
    has_each_type: bool,
}

impl Recipe {
    /// # Errors
    /// `InvalidParameterException` where no password can be as it is wanted.
    pub fn parse(input: &GetRandomPasswordRequest) -> Result<Self, Rejection> {
        let excluded = input.exclude_characters.as_deref().unwrap_or_default();
        let has_each_type = input.require_each_included_type.unwrap_or(true);
        let is_set = |flag: Option<bool>| flag.unwrap_or(false);
        let wanted = [
            (LOWERCASE, !is_set(input.exclude_lowercase)),
            (UPPERCASE, !is_set(input.exclude_uppercase)),
            (NUMBERS, !is_set(input.exclude_numbers)),
            (PUNCTUATION, !is_set(input.exclude_punctuation)),
            (SPACE, is_set(input.include_space)),
        ];
        let mut types: Vec<Vec<char>> = wanted
            .into_iter()
            .filter(|(_, is_wanted)| *is_wanted)
            .map(|(characters, _)| {
                characters.chars().filter(|one| !excluded.contains(*one)).collect()
            })
            .collect();
        if types.iter().all(Vec::is_empty) {
            return Err(Rejection::invalid("All characters have been excluded from selection."));
        }
        if has_each_type && types.iter().any(Vec::is_empty) {
            return Err(Rejection::invalid(
                "All characters of the desired type have been excluded.",
            ));
        }
        types.retain(|characters| !characters.is_empty());
        let length = input.password_length.and_then(|length| usize::try_from(length).ok());
        let length = length.unwrap_or(LENGTH_DEFAULT);
        if has_each_type && length < types.len() {
            return Err(Rejection::invalid(
                "Password length is too short based on the required types.",
            ));
        }
        Ok(Self { length, types, has_each_type })
    }

    /// `below` gives a random number below another.
    ///
    /// # Errors
    /// Those of `below`.
    pub fn make(
        &self,
        below: impl Fn(usize) -> Result<usize, Rejection>,
    ) -> Result<String, Rejection> {
        let of = |characters: &[char]| Ok::<char, Rejection>(characters[below(characters.len())?]);
        let all = self.types.concat();
        let mut password = Vec::with_capacity(self.length);
        if self.has_each_type {
            for characters in &self.types {
                password.push(of(characters)?);
            }
        }
        while password.len() < self.length {
            password.push(of(&all)?);
        }
        // The first ones would tell of which type they are.
        for place in (1..password.len()).rev() {
            password.swap(place, below(place + 1)?);
        }
        Ok(password.into_iter().collect())
    }
}

/// A password after the recipe.
///
/// # Errors
/// No randomness.
pub fn make(recipe: &Recipe) -> Result<String, Rejection> {
    recipe.make(random::below)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut GetRandomPasswordRequest);

    fn recipe(change: Change) -> Result<Recipe, Rejection> {
        let mut input = GetRandomPasswordRequest::default();
        change(&mut input);
        Recipe::parse(&input)
    }

    #[track_caller]
    fn check(change: Change, length: usize, types: &[&str]) {
        for _ in 0..100 {
            let password = make(&recipe(change).unwrap()).unwrap();
            assert_eq!(password.chars().count(), length, "{password}");
            let all = types.concat();
            assert!(password.chars().all(|one| all.contains(one)), "{password}");
            for characters in types {
                assert!(password.chars().any(|one| characters.contains(one)), "{password}");
            }
        }
    }

    #[test]
    fn a_password_has_what_is_wanted() {
        check(|_| {}, 32, &[LOWERCASE, UPPERCASE, NUMBERS, PUNCTUATION]);
        check(|it| it.password_length = Some(4), 4, &[LOWERCASE, UPPERCASE, NUMBERS, PUNCTUATION]);
        check(
            |it| {
                it.password_length = Some(4096);
                it.exclude_punctuation = Some(true);
                it.include_space = Some(true);
                it.exclude_characters = Some("abcXYZ01".into());
            },
            4096,
            &["defghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVW", "23456789", " "],
        );
    }

    #[test]
    fn a_password_that_cannot_be_is_refused() {
        let check = |change: Change, text: &str| {
            assert_eq!(recipe(change).err().map(|refusal| refusal.to_string()), Some(text.into()));
        };
        check(
            |it| it.password_length = Some(3),
            "Password length is too short based on the required types.",
        );
        check(
            |it| it.exclude_characters = Some(NUMBERS.into()),
            "All characters of the desired type have been excluded.",
        );
        check(
            |it| {
                it.exclude_lowercase = Some(true);
                it.exclude_uppercase = Some(true);
                it.exclude_punctuation = Some(true);
                it.exclude_characters = Some(NUMBERS.into());
                it.require_each_included_type = Some(false);
            },
            "All characters have been excluded from selection.",
        );
    }

    /// Each of two characters comes about as often as the other.
    #[test]
    fn numbers_are_fair() {
        let ones = (0..2_000).filter(|_| random::below(2).unwrap() == 1).count();
        assert!((800..1_200).contains(&ones), "{ones} of 2000");
        assert!((0..500).all(|_| random::below(3).unwrap() < 3));
    }
}
