//! Texts with policy variables: `${aws:username}`, `${aws:PrincipalTag/team, 'all'}`, and `${*}`, `${?}`, `${$}` for the
//! characters themselves.
//!
//! Source: IAM user guide, "IAM policy elements: Variables and tags", and for keys with several values, which cannot be one,
//! "Single-valued vs. multivalued context keys". That what a variable stands for is never read as a wildcard is a guess on
//! the safe side.

use std::borrow::Cow;

use crate::context::Context;
use crate::pattern::{Pattern, PatternBuilder};

/// What a version of the policy language reads in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    /// `*` and `?`.
    pub wildcards: bool,
    /// `${…}`. Not in version 2008-10-17.
    pub variables: bool,
}

/// A text with variables, or a broken one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    One,
    Many,
    Variable(Variable),
    /// A `${` that nothing closes: it stands for nothing that is known.
    Broken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    /// As it was written.
    name: Box<str>,
    /// In lower case.
    key: Box<str>,
    default: Option<Box<str>>,
}

/// What a text with wildcards is compared with: built once, if it has no variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Glob {
    /// Without wildcards, as the most parts of an ARN are.
    Exactly(Box<str>),
    Fixed(Pattern),
    Open(Template),
}

/// What a text without wildcards is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    Fixed(Box<str>),
    Open(Template),
}

impl Glob {
    pub fn parse(text: &str, variables: bool) -> Self {
        let template = Template::parse(text, Syntax { wildcards: true, variables });
        match template.fixed_pattern() {
            Some(pattern) => match pattern.literal() {
                Some(text) => Glob::Exactly(text.into()),
                None => Glob::Fixed(pattern),
            },
            None => Glob::Open(template),
        }
    }

    /// `None` when a variable stands for nothing.
    pub fn matches(&self, text: &str, context: &dyn Context) -> Option<bool> {
        match self {
            Glob::Exactly(wanted) => Some(**wanted == *text),
            Glob::Fixed(pattern) => Some(pattern.matches(text)),
            Glob::Open(template) => Some(template.pattern(context)?.matches(text)),
        }
    }

    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let template = if let Glob::Open(template) = self { Some(template) } else { None };
        template.into_iter().flat_map(Template::variables)
    }
}

impl Words {
    pub fn parse(text: &str, variables: bool) -> Self {
        let template = Template::parse(text, Syntax { wildcards: false, variables });
        match template.fixed_text() {
            Some(text) => Words::Fixed(text.into()),
            None => Words::Open(template),
        }
    }

    /// `None` when a variable stands for nothing.
    pub fn text(&self, context: &dyn Context) -> Option<Cow<'_, str>> {
        match self {
            Words::Fixed(text) => Some(Cow::Borrowed(text)),
            Words::Open(template) => template.text(context).map(Cow::Owned),
        }
    }

    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let template = if let Words::Open(template) = self { Some(template) } else { None };
        template.into_iter().flat_map(Template::variables)
    }
}

impl Template {
    fn parse(text: &str, syntax: Syntax) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['*', '?', '$']) {
            let (before, special) = rest.split_at(at);
            push_text(&mut parts, before);
            let (part, after) = read_special(special, syntax);
            match part {
                Part::Text(text) => push_text(&mut parts, &text),
                // Several in a row are as one.
                Part::Many if parts.last() == Some(&Part::Many) => {}
                part => parts.push(part),
            }
            rest = after;
        }
        push_text(&mut parts, rest);
        Self { parts: parts.into() }
    }

    /// The pattern, with the values of the variables; `None` when one of them has none.
    fn pattern(&self, context: &dyn Context) -> Option<Pattern> {
        let mut builder = PatternBuilder::default();
        for part in &self.parts {
            match part {
                Part::Text(text) => builder.text(text),
                Part::One => builder.one(),
                Part::Many => builder.many(),
                Part::Variable(variable) => builder.text(&variable.value(context)?),
                Part::Broken => return None,
            }
        }
        Some(builder.build())
    }

    fn text(&self, context: &dyn Context) -> Option<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Variable(variable) => filled.push_str(&variable.value(context)?),
                Part::One | Part::Many | Part::Broken => return None,
            }
        }
        Some(filled)
    }

    /// The pattern, if it is the same for every request.
    fn fixed_pattern(&self) -> Option<Pattern> {
        self.is_fixed().then(|| self.pattern(&Nothing)).flatten()
    }

    fn fixed_text(&self) -> Option<String> {
        self.is_fixed().then(|| self.text(&Nothing)).flatten()
    }

    fn is_fixed(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Variable(_) | Part::Broken))
    }

    /// The names of the variables, as they were written.
    fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(&*variable.name),
            _ => None,
        })
    }
}

/// The context of what depends on none.
struct Nothing;

impl Context for Nothing {
    fn get(&self, _: &str) -> Option<crate::Value<'_>> {
        None
    }
}

impl Variable {
    fn value<'a>(&'a self, context: &'a dyn Context) -> Option<Cow<'a, str>> {
        match context.get(&self.key) {
            Some(value) => value.text(),
            None => self.default.as_deref().map(Cow::Borrowed),
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Part::Text(before)) = parts.last_mut() {
        before.push_str(text);
    } else {
        parts.push(Part::Text(text.into()));
    }
}

/// Reads what begins with `*`, `?` or `$`, and gives what follows.
fn read_special(text: &str, syntax: Syntax) -> (Part, &str) {
    let (first, after) = text.split_at(1);
    match first {
        "*" if syntax.wildcards => (Part::Many, after),
        "?" if syntax.wildcards => (Part::One, after),
        "$" if syntax.variables && after.starts_with('{') => match after[1..].split_once('}') {
            Some((inside, after)) => (read_variable(inside), after),
            None => (Part::Broken, ""),
        },
        _ => (Part::Text(first.into()), after),
    }
}

/// Reads what stands in the braces.
fn read_variable(inside: &str) -> Part {
    if let "*" | "?" | "$" = inside {
        return Part::Text(inside.into());
    }
    let (name, default) = match inside.split_once(',') {
        None => (inside.trim(), None),
        Some((name, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            let Some(default) = quoted else { return Part::Broken };
            (name.trim(), Some(default.into()))
        }
    };
    if name.is_empty() || name.contains("${") {
        return Part::Broken;
    }
    Part::Variable(Variable { name: name.into(), key: name.to_ascii_lowercase().into(), default })
}
