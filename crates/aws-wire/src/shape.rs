//! The two object-safe traits through which readers and writers see a generated struct, and the walks over them.
//!
//! **Invariant:** the walk over a structure is the only place that pairs a member of a table with a field.

use std::fmt;

use crate::error::WireError;
use crate::limits;
use crate::node::Node;
use crate::path::Path;
use crate::schema::{Constraint, Member, Schema};
use crate::service::Protocol;
use crate::violation::{Violation, ViolationKind};
use crate::writer::{Collection, DebugWriter, Place, Writer};

/// A structure. Generated: a table and two jump tables.
pub trait Shape: Send + Sync {
    fn schema(&self) -> &'static Schema;
    /// The field of `schema().members[index]`; `None` out of range.
    fn get(&self, index: usize) -> Option<&dyn Field>;
    /// As [`Shape::get`].
    fn get_mut(&mut self, index: usize) -> Option<&mut dyn Field>;
}

/// A field of a structure: always an `Option` of a [`Value`].
pub trait Field {
    /// Sets the field from the wire. A value that breaks a constraint is reported to `decoder` and reading goes on;
    /// a value of the wrong type ends it.
    fn read(
        &mut self,
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<(), WireError>;
    /// Writes the field; an absent one writes nothing.
    fn write(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer);
    fn is_present(&self) -> bool;
}

/// A type that a member can hold.
pub trait Value: Sized {
    /// `None` when the value broke a constraint so that it cannot be represented (an unknown enum name); the
    /// violation is then noted in `decoder`.
    fn decode(
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<Option<Self>, WireError>;
    fn encode(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer);
}

/// The state of one decoding: where it is and what it has found wrong so far.
pub struct Decoder {
    protocol: Protocol,
    /// Stored values were checked when they came in; the limits may have changed since.
    enforces_constraints: bool,
    path: Path,
    violations: Vec<Violation>,
}

impl Decoder {
    /// For a request.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, enforces_constraints: true, path: Path::default(), violations: Vec::new() }
    }

    /// For a value that this process (or an earlier version of it) wrote.
    pub(crate) fn for_storage() -> Self {
        Self { enforces_constraints: false, ..Self::new(Protocol::Json11) }
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Runs `read` one step deeper.
    pub(crate) fn within_member<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.path.push_member(name);
        let result = read(self);
        self.path.pop();
        result
    }

    pub(crate) fn within_item<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_item(index);
        let result = read(self);
        self.path.pop();
        result
    }

    pub(crate) fn within_entry<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_entry(key);
        let result = read(self);
        self.path.pop();
        result
    }

    /// Notes that the value at the current path breaks a constraint.
    pub fn report(&mut self, value: Option<String>, kind: ViolationKind) {
        if self.violations.len() < limits::VIOLATIONS_MAX {
            self.violations.push(Violation { path: self.path.clone(), value, kind });
        }
    }

    pub(crate) fn violation_count(&self) -> usize {
        self.violations.len()
    }

    /// Puts one violation of the value at the current path in the place of those found since there were `count`.
    pub(crate) fn report_instead(&mut self, count: usize, value: String, kind: ViolationKind) {
        if self.violations.len() > count {
            self.violations.truncate(count);
            self.report(Some(value), kind);
        }
    }

    pub(crate) fn enforces_constraints(&self) -> bool {
        self.enforces_constraints
    }

    /// Checks the length of a string, blob, list or map. `value` words the refused value.
    pub(crate) fn check_length(
        &mut self,
        constraint: &Constraint,
        length: usize,
        value: impl Fn() -> String,
    ) {
        if !self.enforces_constraints {
            return;
        }
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(min) = constraint.min.filter(|min| length < *min) {
            self.report(Some(value()), ViolationKind::LengthMin(min));
        }
        if let Some(max) = constraint.max.filter(|max| length > *max) {
            self.report(Some(value()), ViolationKind::LengthMax(max));
        }
    }

    /// Checks the value of a number.
    pub(crate) fn check_range(&mut self, constraint: &Constraint, number: f64, text: String) {
        if !self.enforces_constraints {
            return;
        }
        if let Some(min) = constraint.min.filter(|min| number < *min as f64) {
            self.report(Some(text), ViolationKind::ValueMin(min));
        } else if let Some(max) = constraint.max.filter(|max| number > *max as f64) {
            self.report(Some(text), ViolationKind::ValueMax(max));
        }
    }

    /// The error for a value of the wrong type at the current path.
    pub(crate) fn wrong_type(&self, node: &Node<'_>, wanted: &str) -> WireError {
        let problem = match node {
            Node::List(_) | Node::Map(_) => {
                format!("{} found where {wanted} was expected", node.kind_name())
            }
            _ => format!("{} can not be converted to {wanted}", node.kind_name()),
        };
        self.malformed(&problem)
    }

    /// The error for a value that cannot be read, at the current path.
    pub(crate) fn malformed(&self, problem: &str) -> WireError {
        let path = self.path.to_string();
        if path.is_empty() {
            WireError::malformed(problem.to_owned())
        } else {
            WireError::malformed(format!("{problem} at '{path}'"))
        }
    }
}

/// Reads a structure. Unknown entries are ignored, null counts as absent, a missing required member is a violation.
pub fn read_structure(
    shape: &mut dyn Shape,
    node: &Node<'_>,
    decoder: &mut Decoder,
) -> Result<(), WireError> {
    let node = match node {
        Node::Map(_) => node,
        // An empty structure in a form is its bare name.
        Node::String(text) if text.is_empty() && decoder.protocol.is_form() => {
            &const { Node::empty() }
        }
        _ => return Err(decoder.wrong_type(node, "a structure")),
    };
    for (index, member) in shape.schema().members.iter().enumerate() {
        let name = member.request_name(decoder.protocol);
        match node.get(&name) {
            None | Some(Node::Null) => {
                if member.is_required && decoder.enforces_constraints {
                    decoder.within_member(member.name, |decoder| {
                        decoder.report(None, ViolationKind::Required);
                    });
                }
            }
            Some(value) => {
                if let Some(field) = shape.get_mut(index) {
                    decoder
                        .within_member(member.name, |decoder| field.read(value, member, decoder))?;
                }
            }
        }
    }
    Ok(())
}

/// Writes a structure: the present members in model order.
pub fn write_structure(shape: &dyn Shape, place: Place<'_>, writer: &mut dyn Writer) {
    writer.begin(place, Collection::Structure);
    for (index, member) in shape.schema().members.iter().enumerate() {
        if let Some(field) = shape.get(index).filter(|field| field.is_present()) {
            field.write(Place::Member(member), member, writer);
        }
    }
    writer.end(place, Collection::Structure);
}

/// `Debug` of a structure: its present members, with sensitive ones hidden.
pub fn debug_shape(shape: &dyn Shape, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut writer = DebugWriter::new(shape.schema().name);
    write_structure(shape, Place::Root, &mut writer);
    f.write_str(&writer.into_text())
}

impl<T: Value> Field for Option<T> {
    fn read(
        &mut self,
        node: &Node<'_>,
        member: &'static Member,
        decoder: &mut Decoder,
    ) -> Result<(), WireError> {
        *self = match node {
            Node::Null => None,
            _ => T::decode(node, member, decoder)?,
        };
        Ok(())
    }

    fn write(&self, place: Place<'_>, member: &'static Member, writer: &mut dyn Writer) {
        if let Some(value) = self {
            value.encode(place, member, writer);
        }
    }

    fn is_present(&self) -> bool {
        self.is_some()
    }
}

/// The input or output of an operation that has none.
impl Shape for () {
    fn schema(&self) -> &'static Schema {
        static UNIT: Schema = Schema { name: "Unit", members: &[] };
        &UNIT
    }
    fn get(&self, _: usize) -> Option<&dyn Field> {
        None
    }
    fn get_mut(&mut self, _: usize) -> Option<&mut dyn Field> {
        None
    }
}

/// What every generated structure has beside its [`Shape`]: it can be a member, compared and printed.
#[macro_export]
macro_rules! structure_values {
    ($($name:ident)*) => { $(
        impl $crate::Value for $name {
            fn decode(
                node: &$crate::Node<'_>,
                _: &'static $crate::Member,
                decoder: &mut $crate::Decoder,
            ) -> Result<Option<Self>, $crate::WireError> {
                let mut shape = Self::default();
                $crate::read_structure(&mut shape, node, decoder)?;
                Ok(Some(shape))
            }
            fn encode(
                &self,
                place: $crate::Place<'_>,
                _: &'static $crate::Member,
                writer: &mut dyn $crate::Writer,
            ) {
                $crate::write_structure(self, place, writer);
            }
        }
        /// Equal when all members are; NaN equals itself.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                $crate::equal(self, other)
            }
        }
        /// Hides the values of sensitive members.
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::debug_shape(self, f)
            }
        }
    )* };
}
