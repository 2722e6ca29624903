//! The elements `Resource` and `NotResource`, and ARNs with wildcards in conditions: compared part by part.
//!
//! A wildcard does not reach over a colon, except behind the fifth, where all is one part. A pattern with fewer parts is
//! about everything in those that it lacks. Source: IAM user guide, "IAM JSON policy elements: Resource" and "ARN condition
//! operators"; for the lacking parts AWS's own message, which adds `:*`.

use crate::answer::Answer;
use crate::context::Context;
use crate::template::Glob;

/// Parts of an ARN. The first is `arn`.
const PARTS: usize = 6;

/// A resource of a request, cut at its colons.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestResource<'a> {
    /// `None` for what is no ARN, as `*` is.
    arn: Option<[&'a str; PARTS]>,
}

/// Resources that a statement is about.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    pub negated: bool,
    patterns: Box<[ResourcePattern]>,
}

#[derive(Clone, Debug)]
enum ResourcePattern {
    /// `*`.
    Any,
    Arn(ArnPattern),
    /// A variable before the fifth colon: AWS puts nothing there.
    NotUnderstood,
}

/// An ARN with wildcards and variables.
#[derive(Clone, Debug)]
pub(crate) struct ArnPattern {
    /// Those behind `arn:`. `None` for one that is `*`.
    parts: [Option<Glob>; PARTS - 1],
}

impl<'a> RequestResource<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { arn: parts_of(text) }
    }
}

impl Resources {
    /// Of texts that validation has seen: `*` or an ARN, perhaps shortened.
    pub fn new(negated: bool, resources: &[String], variables: bool) -> Self {
        let patterns = resources.iter().map(|text| ResourcePattern::new(text, variables)).collect();
        Self { negated, patterns }
    }

    pub fn include(&self, resource: RequestResource<'_>, context: &dyn Context) -> Answer {
        let matches = self.patterns.iter().map(|pattern| pattern.matches(resource, context));
        Answer::of_any(matches, self.negated)
    }

    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().flat_map(|pattern| match pattern {
            ResourcePattern::Arn(pattern) => Some(pattern.variables()).into_iter().flatten(),
            _ => None.into_iter().flatten(),
        })
    }
}

impl ResourcePattern {
    fn new(text: &str, variables: bool) -> Self {
        if text == "*" {
            return ResourcePattern::Any;
        }
        let parts: Vec<_> = text.splitn(PARTS, ':').collect();
        let before_the_last = &parts[..parts.len().min(PARTS - 1)];
        if variables && before_the_last.iter().any(|part| part.contains("${")) {
            return ResourcePattern::NotUnderstood;
        }
        ResourcePattern::Arn(ArnPattern::of_parts(&parts, variables))
    }

    fn matches(&self, resource: RequestResource<'_>, context: &dyn Context) -> Option<bool> {
        match self {
            ResourcePattern::Any => Some(true),
            ResourcePattern::NotUnderstood => None,
            ResourcePattern::Arn(pattern) => match &resource.arn {
                Some(arn) => pattern.matches_parts(arn, context),
                // An action that is about no resource, or no ARN: only `*` is about it.
                None => Some(false),
            },
        }
    }
}

impl ArnPattern {
    /// For a condition: variables may stand anywhere. `None` when it has not all parts, or does not begin with `arn`.
    pub fn parse(text: &str, variables: bool) -> Option<Self> {
        let parts = parts_outside_variables(text, variables);
        (parts.len() == PARTS && parts[0] == "arn").then(|| Self::of_parts(&parts, variables))
    }

    fn of_parts(parts: &[&str], variables: bool) -> Self {
        let part = |at: usize| {
            let text = parts.get(at + 1).copied().unwrap_or("*");
            (text != "*").then(|| Glob::parse(text, variables))
        };
        Self { parts: std::array::from_fn(part) }
    }

    /// `None` when `text` is no ARN, or a variable stands for nothing.
    pub fn matches(&self, text: &str, context: &dyn Context) -> Option<bool> {
        self.matches_parts(&parts_of(text)?, context)
    }

    fn matches_parts(&self, arn: &[&str; PARTS], context: &dyn Context) -> Option<bool> {
        // What is most often different comes last, and is the dearest to compare.
        for (pattern, text) in self.parts.iter().zip(&arn[1..]) {
            if let Some(pattern) = pattern
                && !pattern.matches(text, context)?
            {
                return Some(false);
            }
        }
        Some(true)
    }

    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flatten().flat_map(Glob::variables)
    }
}

fn parts_of(text: &str) -> Option<[&str; PARTS]> {
    let mut rest = text.splitn(PARTS, ':');
    let mut parts = [""; PARTS];
    for part in &mut parts {
        *part = rest.next()?;
    }
    (parts[0] == "arn").then_some(parts)
}

/// The parts of an ARN, for which the colons in `${…}` do not count.
fn parts_outside_variables(text: &str, variables: bool) -> Vec<&str> {
    let mut parts = Vec::with_capacity(PARTS);
    let (mut began, mut at) = (0, 0);
    while let Some(found) = text[at..].find([':', '$']) {
        let found = at + found;
        at = found + 1;
        if text[found..].starts_with(':') {
            if parts.len() == PARTS - 1 {
                break;
            }
            parts.push(&text[began..found]);
            began = at;
        } else if variables && text[at..].starts_with('{') {
            at = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
        }
    }
    parts.push(&text[began..]);
    parts
}
