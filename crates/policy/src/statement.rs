//! One statement of a policy, ready to be asked.

use crate::action::{Actions, RequestAction};
use crate::answer::Answer;
use crate::condition::Condition;
use crate::context::Context;
use crate::principal::{Named, Principal, Principals};
use crate::resource::{RequestResource, Resources};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub sid: Option<Box<str>>,
    pub effect: Effect,
    /// `None` in a policy that is attached to a principal.
    pub principals: Option<Principals>,
    pub actions: Actions,
    /// `None` where the resource is the one that has the policy.
    pub resources: Option<Resources>,
    pub conditions: Box<[Condition]>,
    /// Of one that denies, for who is told which one did.
    pub written: Option<Box<Written>>,
}

/// Elements as they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub actions: Vec<String>,
    pub resources: Vec<String>,
}

/// A request, prepared to be compared with many statements.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub principal: Principal<'a>,
    pub action: RequestAction,
    pub resource: RequestResource<'a>,
    pub context: &'a dyn Context,
}

impl Statement {
    /// Whether it is about the request; of principals it says how it names this one.
    pub fn applies(&self, request: &Request<'_>) -> Option<Named> {
        if !self.actions.include(&request.action) {
            return None;
        }
        let named = match &self.principals {
            Some(principals) => principals.name(&request.principal, self.effect)?,
            None => Named::Directly,
        };
        let resources = self.resources.iter();
        let resources = resources.map(|list| list.include(request.resource, request.context));
        let conditions = self.conditions.iter().map(|one| one.answer(request.context));
        Answer::all(resources.chain(conditions)).counts_for(self.effect).then_some(named)
    }

    /// The names of the condition keys that it depends on, as they were written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let of_resources = self.resources.iter().flat_map(Resources::variables);
        of_resources.chain(self.conditions.iter().flat_map(Condition::keys))
    }
}
