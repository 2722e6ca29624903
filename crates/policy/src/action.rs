//! The elements `Action` and `NotAction`: `ecs:Run*`, without regard to case.

use crate::pattern::Pattern;

/// An action of a request, `ecs:RunTask`, in lower case and cut at its colon.
#[derive(Clone, Debug)]
pub(crate) struct RequestAction {
    text: String,
    /// Where the colon stands; at the end when there is none.
    colon: usize,
}

/// Actions that a statement is about.
#[derive(Clone, Debug)]
pub(crate) struct Actions {
    pub negated: bool,
    patterns: Box<[ActionPattern]>,
}

#[derive(Clone, Debug)]
struct ActionPattern {
    /// In lower case. `None` for `*`.
    service: Option<Box<str>>,
    name: Name,
}

#[derive(Clone, Debug)]
enum Name {
    Any,
    /// The most are without wildcards.
    Exactly(Box<str>),
    Like(Pattern),
}

impl RequestAction {
    pub fn new(action: &str) -> Self {
        let text = action.to_ascii_lowercase();
        let colon = text.find(':').unwrap_or(text.len());
        Self { text, colon }
    }

    fn service(&self) -> &str {
        &self.text[..self.colon]
    }

    /// Empty when there is no colon: only patterns for all actions are about it.
    fn name(&self) -> &str {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

impl Actions {
    /// Of texts that validation has seen: `*` or `service:name`.
    pub fn new(negated: bool, actions: &[String]) -> Self {
        Self {
            negated,
            patterns: actions.iter().map(|action| ActionPattern::new(action)).collect(),
        }
    }

    pub fn include(&self, action: &RequestAction) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(action)) != self.negated
    }
}

impl ActionPattern {
    fn new(action: &str) -> Self {
        let action = action.to_ascii_lowercase();
        let (service, name) = action.split_once(':').unwrap_or((&action, "*"));
        let name = if name == "*" {
            Name::Any
        } else if name.contains(['*', '?']) {
            Name::Like(Pattern::parse(name))
        } else {
            Name::Exactly(name.into())
        };
        Self { service: (service != "*").then(|| service.into()), name }
    }

    fn matches(&self, action: &RequestAction) -> bool {
        self.service.as_deref().is_none_or(|service| service == action.service())
            && match &self.name {
                Name::Any => true,
                Name::Exactly(name) => **name == *action.name(),
                Name::Like(pattern) => pattern.matches(action.name()),
            }
    }
}
