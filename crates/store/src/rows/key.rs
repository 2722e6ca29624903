//! What the keys of rows have in common: each begins with the account and region that its row belongs to, but for
//! those of nodes, which serve every account of an installation.

macro_rules! key {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub scope: outport_model::Scope,
            $(pub $field: $type,)+
        }

        impl $name {
            pub fn new(scope: &outport_model::Scope, $($field: impl Into<$type>),+) -> Self {
                Self { scope: scope.clone(), $($field: $field.into()),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}/{}", self.scope.account, self.scope.region)?;
                $(write!(f, "/{}", self.$field)?;)+
                Ok(())
            }
        }
    };
}

pub(super) use key;
