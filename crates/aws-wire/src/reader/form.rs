//! Form bodies of the query and ec2 protocols: `Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::WireError;
use crate::limits;
use crate::node::Node;

/// A parameter name cut at its dots: inner parts first come, values at the leaves.
#[derive(Default)]
struct Branch<'a> {
    value: Option<Cow<'a, str>>,
    children: BTreeMap<Cow<'a, str>, Branch<'a>>,
}

/// Reads a form into maps; lists stay maps from index to item until their type is known. `Action` and `Version` are
/// parameters like any other.
pub fn read_form(body: &[u8]) -> Result<Node<'_>, WireError> {
    let mut root = Branch::default();
    let mut values_left = limits::VALUES_MAX;
    for (index, pair) in pairs(body)?.enumerate() {
        if index >= limits::FORM_PARAMETERS_MAX {
            return Err(WireError::malformed("Too many parameters"));
        }
        let (name, value) = pair;
        let name = decoded(name)?;
        if name.len() > limits::FORM_NAME_BYTES_MAX {
            return Err(WireError::malformed("A parameter name is too long"));
        }
        root.insert(name, decoded(value)?, &mut values_left)?;
    }
    Ok(root.into_map())
}

/// The first value of the parameter `name`, without reading the rest: for routing by `Action` and `Version`.
pub fn form_parameter(body: &[u8], name: &str) -> Option<String> {
    let (_, value) = pairs(body).ok()?.find(|(key, _)| *key == name)?;
    decoded(value).ok().map(Cow::into_owned)
}

impl<'a> Branch<'a> {
    fn insert(
        &mut self,
        name: Cow<'a, str>,
        value: Cow<'a, str>,
        values_left: &mut usize,
    ) -> Result<(), WireError> {
        let parts: Vec<Cow<'a, str>> = match name {
            Cow::Borrowed(name) => name.split('.').map(Cow::Borrowed).collect(),
            Cow::Owned(name) => name.split('.').map(|part| Cow::Owned(part.to_owned())).collect(),
        };
        if parts.len() > limits::NESTING_MAX {
            return Err(WireError::malformed("A parameter name is nested too deeply"));
        }
        *values_left = values_left
            .checked_sub(parts.len())
            .ok_or_else(|| WireError::malformed("Too many parameters"))?;
        let mut branch = self;
        for part in parts {
            branch = branch.children.entry(part).or_default();
        }
        branch.value = Some(value);
        Ok(())
    }

    /// A parameter that also has parts below it is the bare name of a list that is not empty after all.
    fn into_node(self) -> Node<'a> {
        match self.value {
            Some(value) if self.children.is_empty() => Node::String(value),
            _ => self.into_map(),
        }
    }

    fn into_map(self) -> Node<'a> {
        Node::Map(
            self.children.into_iter().map(|(name, child)| (name, child.into_node())).collect(),
        )
    }
}

fn pairs(body: &[u8]) -> Result<impl Iterator<Item = (&str, &str)>, WireError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| WireError::malformed("The request body is not valid UTF-8"))?;
    let pairs = text.trim_end().split('&').filter(|pair| !pair.is_empty());
    Ok(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))))
}

/// Undoes the encoding of `application/x-www-form-urlencoded`.
fn decoded(text: &str) -> Result<Cow<'_, str>, WireError> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit));
                let (Some(high), Some(low)) = digits else {
                    return Err(WireError::malformed(
                        "A parameter is not percent-encoded correctly",
                    ));
                };
                high << 4 | low
            }
            other => other,
        });
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| WireError::malformed("A parameter is not valid UTF-8"))?;
    Ok(Cow::Owned(text))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
