//! A policy, compiled: what is to be compared is prepared once for each version of a policy.

use std::collections::BTreeMap;

use crate::action::Actions;
use crate::document::{DOCUMENT_CHARACTERS_MAX, Document, Element, RawStatement, WrongShape};
use crate::json::Json;
use crate::malformed::Malformed;
use crate::position::{end_of, position_of};
use crate::resource::Resources;
use crate::statement::{Effect, Statement, Written};
use crate::validation::{Checked, check_attached, check_granting, has_variables};

/// What a document is to be. A permissions boundary is a managed policy that is attached in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// With an ARN, of a customer or of AWS: has to be of version 2012-10-17.
    Managed,
    /// Of one user, group or role.
    Inline,
    /// Handed over when a session is made.
    Session,
    /// Who may assume a role. Names principals and no resource.
    RoleTrust,
    /// Of a secret, a key and the like: names principals and resources.
    Resource,
    /// Of a repository of ECR: names principals, and mostly no resource.
    Repository,
}

/// What a document says.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) statements: Box<[Statement]>,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Malformed`] with AWS's message, the first in AWS's order. Quotas are not looked at: see [`counted_characters`].
    pub fn compile(text: &str, kind: PolicyKind) -> Result<Self, Malformed> {
        let is_granting =
            matches!(kind, PolicyKind::RoleTrust | PolicyKind::Resource | PolicyKind::Repository);
        let no_json = if is_granting { Malformed::InvalidJson } else { Malformed::Syntax };
        if text.chars().count() > DOCUMENT_CHARACTERS_MAX {
            return Err(Malformed::Syntax);
        }
        let json = Json::parse(text).filter(|json| json.object().is_some()).ok_or(no_json)?;
        let document = Document::read(&json).map_err(|wrong| match wrong {
            _ if !is_granting => Malformed::Syntax,
            WrongShape::UnknownField(name) => Malformed::UnknownField(name),
            WrongShape::At(path) => Malformed::SyntaxAt(position_of(text, &path)),
            WrongShape::NoStatement => Malformed::SyntaxAt(end_of(text)),
        })?;
        let checked = if is_granting {
            check_granting(&document, kind)?
        } else {
            check_attached(&document, kind == PolicyKind::Managed)?
        };
        let variables = has_variables(document.version.as_deref());
        let statements = document.statements.into_iter().zip(checked);
        let statements =
            statements.map(|(raw, checked)| Statement::compile(raw, checked, variables));
        Ok(Self { statements: statements.collect() })
    }

    /// What stands for a document that cannot be read (any more): nobody may do anything.
    pub fn denying_everything() -> Self {
        let statement = Statement {
            sid: None,
            effect: Effect::Deny,
            principals: None,
            actions: Actions::new(false, &["*".to_owned()]),
            resources: None,
            conditions: [].into(),
            written: None,
        };
        Self { statements: [statement].into() }
    }

    /// The condition keys that it depends on, of conditions and of variables, each once, as they were written first; sorted.
    /// What GetContextKeysForCustomPolicy answers.
    pub fn context_keys(&self) -> Vec<&str> {
        let mut keys = BTreeMap::new();
        for key in self.statements.iter().flat_map(Statement::keys) {
            keys.entry(key.to_ascii_lowercase()).or_insert(key);
        }
        keys.into_values().collect()
    }
}

impl Statement {
    fn compile(raw: RawStatement, checked: Checked, variables: bool) -> Self {
        let actions = raw.actions.unwrap_or(Element { negated: false, value: Vec::new() });
        let written = (checked.effect == Effect::Deny).then(|| {
            let resources = raw.resources.as_ref().map(|element| element.value.clone());
            Box::new(Written {
                actions: actions.value.clone(),
                resources: resources.unwrap_or_default(),
            })
        });
        Self {
            sid: raw.sid.filter(|sid| !sid.is_empty()).map(Into::into),
            effect: checked.effect,
            principals: checked.principals,
            actions: Actions::new(actions.negated, &actions.value),
            resources: raw
                .resources
                .map(|element| Resources::new(element.negated, &element.value, variables)),
            conditions: checked.conditions,
            written,
        }
    }
}

/// The characters of a document that count for IAM's quotas: all but white space.
pub fn counted_characters(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}
