//! Enums of the models.
//!
//! **Invariant:** a Rust value of an enum always is one of the model's names. An unknown name in a request is a
//! violation; an unset member is `None` and never written.

use crate::error::WireError;
use crate::node::Node;
use crate::refused_value::{echoed, refused};
use crate::shape::Decoder;
use crate::violation::ViolationKind;

/// The index of the name in `node`, or `None` after reporting the violation.
pub fn decode_name(
    node: &Node<'_>,
    names: &'static [&'static str],
    decoder: &mut Decoder,
) -> Result<Option<usize>, WireError> {
    let Node::String(text) = node else {
        return Err(decoder.wrong_type(node, "a string"));
    };
    let index = names.iter().position(|name| *name == text.as_ref());
    if index.is_none() {
        if !decoder.enforces_constraints() {
            return Err(decoder.malformed(&format!("Unknown name '{}'", echoed(text))));
        }
        decoder.report(Some(refused(text)), ViolationKind::Enum(names));
    }
    Ok(index)
}

/// A closed enum: one variant per name of the model.
#[macro_export]
macro_rules! enumeration {
    ($name:ident { $($variant:ident = $text:literal,)* }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($variant,)* }

        impl $name {
            /// The names of the model, in its order.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                Self::NAMES[self as usize]
            }
            /// The value with this name (exact case).
            pub fn from_name(name: &str) -> Option<Self> {
                let index = Self::NAMES.iter().position(|known| *known == name)?;
                Self::ALL.get(index).copied()
            }
        }
        $crate::enumeration_values!($name, |index: usize| $name::ALL.get(index).copied());
    };
}

/// An enum with many names: a number into the list of names.
#[macro_export]
macro_rules! wide_enumeration {
    ($name:ident { $($text:literal,)* }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// The names of the model, in its order.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            pub const fn as_str(self) -> &'static str {
                Self::NAMES[self.0 as usize]
            }
            /// The value with this name (exact case).
            pub fn from_name(name: &str) -> Option<Self> {
                let index = Self::NAMES.iter().position(|known| *known == name)?;
                u16::try_from(index).ok().map(Self)
            }
        }
        $crate::enumeration_values!($name, |index: usize| u16::try_from(index).ok().map($name));
    };
}

/// What both kinds of enums have in common.
#[doc(hidden)]
#[macro_export]
macro_rules! enumeration_values {
    ($name:ident, $from_index:expr) => {
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl $crate::Value for $name {
            fn decode(
                node: &$crate::Node<'_>,
                _: &'static $crate::Member,
                decoder: &mut $crate::Decoder,
            ) -> Result<Option<Self>, $crate::WireError> {
                let index = $crate::generated::decode_name(node, Self::NAMES, decoder)?;
                Ok(index.and_then($from_index))
            }
            fn encode(
                &self,
                place: $crate::Place<'_>,
                _: &'static $crate::Member,
                writer: &mut dyn $crate::Writer,
            ) {
                writer.scalar(place, $crate::Scalar::String(self.as_str()));
            }
        }
    };
}
