//! The error enum of a service.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::facts::{Facts, ShapeFacts};
use super::names;

/// `errors.rs`; empty for a service whose model has no exceptions (ec2), which then has its error by hand.
pub fn errors(facts: &Facts) -> Result<String> {
    let exceptions = facts.exceptions();
    if exceptions.is_empty() {
        return Ok(String::new());
    }
    let name = format!("{}Error", facts.choice.prefix);
    let mut text = format!(
        "/// An error of {}: its exceptions and what all services have.\n",
        facts.metadata("serviceFullName")
    );
    let _ = writeln!(text, "#[derive(Clone, Debug, PartialEq)]\npub enum {name} {{");
    for exception in &exceptions {
        let rust = names::type_name(exception.name)?;
        let _ = writeln!(text, "    {rust}({rust}),");
    }
    text.push_str(
        "    /// An error that is not of this service's model.\n    Other(Box<WireError>),\n}\n\n",
    );
    constructors(&name, &exceptions, &mut text)?;
    conversions(&name, &exceptions, &mut text)?;
    Ok(text)
}

fn constructors(name: &str, exceptions: &[ShapeFacts<'_>], text: &mut String) -> Result<()> {
    let _ = writeln!(text, "impl {name} {{");
    for exception in exceptions {
        let rust = names::type_name(exception.name)?;
        let function = names::field(exception.name);
        let field = message(*exception)?;
        let _ = writeln!(
            text,
            "    pub fn {function}(message: impl Into<String>) -> Self {{ Self::{rust}({rust} {{ {field}: Some(message.into()), ..{rust}::default() }}) }}"
        );
    }
    text.push_str("}\n\n");
    Ok(())
}

fn conversions(name: &str, exceptions: &[ShapeFacts<'_>], text: &mut String) -> Result<()> {
    let _ = writeln!(text, "impl From<{name}> for WireError {{");
    let _ = writeln!(text, "    fn from(error: {name}) -> Self {{\n        match error {{");
    for exception in exceptions {
        let rust = names::type_name(exception.name)?;
        let field = message(*exception)?;
        let _ = writeln!(
            text,
            "            {name}::{rust}(exception) => WireError::exception({:?}, {}, exception.{field}.clone().unwrap_or_default(), exception),",
            exception.error_code(),
            exception.error_status()
        );
    }
    let _ = writeln!(text, "            {name}::Other(error) => *error,\n        }}\n    }}\n}}\n");
    let _ = writeln!(text, "impl From<WireError> for {name} {{");
    text.push_str("    fn from(error: WireError) -> Self { Self::Other(Box::new(error)) }\n}\n\n");
    for exception in exceptions {
        let rust = names::type_name(exception.name)?;
        let _ = writeln!(text, "impl From<{rust}> for {name} {{");
        let _ = writeln!(
            text,
            "    fn from(exception: {rust}) -> Self {{ Self::{rust}(exception) }}\n}}\n"
        );
    }
    let _ = writeln!(text, "impl std::fmt::Display for {name} {{");
    text.push_str("    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {\n");
    text.push_str(
        "        std::fmt::Display::fmt(&WireError::from(self.clone()), f)\n    }\n}\n\n",
    );
    let _ = writeln!(text, "impl std::error::Error for {name} {{}}");
    Ok(())
}

/// The field that holds the message.
fn message(exception: ShapeFacts<'_>) -> Result<String> {
    let members = exception.members();
    let member = members.iter().find(|member| member.name.eq_ignore_ascii_case("message"));
    let member = member.with_context(|| format!("{} has no message", exception.name))?;
    Ok(names::field(member.name))
}
