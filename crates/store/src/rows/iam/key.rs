//! What the keys of IAM's rows have in common: each begins with the account.

macro_rules! account_key {
    ($(#[$doc:meta])* $name:ident { $field:ident: $type:ty }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub account: outport_model::AccountId,
            pub $field: $type,
        }

        impl $name {
            pub fn new(account: &outport_model::AccountId, $field: impl Into<$type>) -> Self {
                Self { account: account.clone(), $field: $field.into() }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}/{}", self.account, self.$field)
            }
        }

        impl $crate::ColdTable<<$name as super::key::KeyOf>::Row> {
            /// The rows of an account, in the order of their keys.
            pub fn of_account(
                &self,
                account: &outport_model::AccountId,
            ) -> impl Iterator<Item = &std::sync::Arc<<$name as super::key::KeyOf>::Row>> {
                let from = $name { account: account.clone(), $field: super::key::lowest() };
                let account = account.clone();
                self.range(from..).take_while(move |row| row.account == account)
            }
        }
    };
}

/// The row that a key is of.
pub trait KeyOf {
    type Row: crate::Row;
}

/// What comes before every other value.
pub fn lowest<T: for<'t> From<&'t str>>() -> T {
    T::from("")
}

pub(super) use account_key;
