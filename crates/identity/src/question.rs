//! Questions of permission, and what only their answers open.
//!
//! ```text
//! look at the rows ──► Subject<T> = what was found + what has to be asked about it
//!                        │ call.authorize(&subject): every question is answered with yes
//!                        ▼
//!                      Authorized ──► look again, in the transaction: a Subject<T> that asks the same is opened
//!                                                                     one that asks anything else is not
//! ```
//!
//! **Invariant:** what an operation found comes out of its [`Subject`] only with an [`Authorized`] of the very questions
//! that the subject asks, so that nothing is used but what was authorized. Nothing else makes an [`Authorized`] than
//! [`crate::Call::authorize`].

use outport_model::{Arn, Tags, tag};

use crate::{ConditionContext, ConditionValue, Principal};

/// May the caller do this? Condition keys that every request has (`aws:SourceIp`, …) are not part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// `ecs:RunTask`.
    pub action: &'static str,
    /// An ARN, or `*` for an action that is about no resource.
    pub resource: String,
    /// As a refusal names the resource, where AWS does not do so by its ARN.
    pub shown_resource: Option<String>,
    /// The condition keys of the action and of its resource.
    pub context: ConditionContext,
    /// The policy of the resource, if it has one: a fact of the resource, as its tags are.
    pub resource_policy: Option<ResourcePolicy>,
}

/// The policy of a resource: a document, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourcePolicy {
    /// It is one of two ways to a yes.
    Ordinary(String),
    /// The same, of a repository of ECR: it names no resource.
    Repository(String),
    /// Who may assume a role. Without its yes, it is no.
    RoleTrust(String),
    /// Of a key of KMS. Without its yes, it is no.
    Key(String),
}

impl Question {
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self {
            action,
            resource: resource.into(),
            shown_resource: None,
            context: ConditionContext::new(),
            resource_policy: None,
        }
    }

    /// About an action that knows no resource.
    pub fn without_resource(action: &'static str) -> Self {
        Self::new(action, ANY_RESOURCE)
    }

    /// Adds a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<ConditionValue>) -> Self {
        self.context.set(key, value);
        self
    }

    /// Adds a condition key when there is a value: an optional member of a request.
    #[must_use]
    pub fn with_optional(self, key: &str, value: Option<impl Into<ConditionValue>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// A refusal names the resource so. What the caller has named by half has no ARN in a refusal, which would say what there is.
    #[must_use]
    pub fn shown_as(mut self, resource: impl Into<String>) -> Self {
        self.shown_resource = Some(resource.into());
        self
    }

    /// The resource as it stands in the trail of who asked: who was refused by another account learns there no more than by the
    /// refusal.
    pub(crate) fn resource_for(&self, principal: &Principal, is_allowed: bool) -> &str {
        let is_own = || {
            Arn::parse(&self.resource)
                .is_none_or(|arn| arn.account() == principal.account().as_str())
        };
        match &self.shown_resource {
            Some(shown) if !is_allowed && !is_own() => shown,
            _ => &self.resource,
        }
    }

    /// Adds the policy of the resource.
    #[must_use]
    pub fn with_resource_policy(mut self, policy: Option<ResourcePolicy>) -> Self {
        self.resource_policy = policy;
        self
    }

    /// Adds the tags that the request brings.
    #[must_use]
    pub fn with_request_tags(mut self, tags: &Tags) -> Self {
        self.context = self.context.with_request_tags(tag::pairs(tags));
        self
    }

    /// Adds the tags that the resource carries.
    #[must_use]
    pub fn with_resource_tags(mut self, tags: &Tags) -> Self {
        self.context = self.context.with_resource_tags(tag::pairs(tags));
        self
    }

    /// The same, under the service's own name as well: `ecs:ResourceTag/…`.
    #[must_use]
    pub fn with_resource_tags_of(mut self, service: &str, tags: &Tags) -> Self {
        for (key, value) in tags {
            self.context.set(format!("{service}:ResourceTag/{key}"), value.as_str());
        }
        self.with_resource_tags(tags)
    }
}

/// What policies call the resource of an action that has none.
pub const ANY_RESOURCE: &str = "*";

/// What an operation is about: what it found, and the questions that have to be answered before anybody sees that.
#[derive(Debug)]
#[must_use = "it opens with an `Authorized` only"]
pub struct Subject<T> {
    found: T,
    questions: Vec<Question>,
}

impl<T> Subject<T> {
    pub fn new(found: T, question: Question) -> Self {
        Self { found, questions: vec![question] }
    }

    /// About each of several things; about `otherwise` when there are none, since nothing is done unasked.
    pub fn about(found: T, mut questions: Vec<Question>, otherwise: Question) -> Self {
        if questions.is_empty() {
            questions.push(otherwise);
        }
        Self { found, questions }
    }

    /// Two subjects as one: both are asked about.
    pub fn join<U>(mut self, other: Subject<U>) -> Subject<(T, U)> {
        self.questions.extend(other.questions);
        Subject { found: (self.found, other.found), questions: self.questions }
    }

    /// With something more that was found, about which nothing more is to be asked.
    pub fn beside<U>(self, more: U) -> Subject<(T, U)> {
        Subject { found: (self.found, more), questions: self.questions }
    }

    /// As one that might as well have found nothing.
    pub fn some(self) -> Subject<Option<T>> {
        Subject { found: Some(self.found), questions: self.questions }
    }

    /// With what was found as something else, about which nothing more is to be asked.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Subject<U> {
        Subject { found: change(self.found), questions: self.questions }
    }

    /// With a condition key more in each question.
    pub fn with(mut self, key: &str, value: impl Into<ConditionValue>) -> Self {
        let value = value.into();
        for question in &mut self.questions {
            question.context.set(key, value.clone());
        }
        self
    }

    /// With another name of the resource in a refusal: [`Question::shown_as`].
    pub fn shown_as(mut self, resource: &str) -> Self {
        for question in &mut self.questions {
            question.shown_resource = Some(resource.to_owned());
        }
        self
    }

    /// With the tags that the request brings, in each question.
    pub fn with_request_tags(mut self, tags: &Tags) -> Self {
        let questions = std::mem::take(&mut self.questions);
        self.questions =
            questions.into_iter().map(|question| question.with_request_tags(tags)).collect();
        self
    }

    /// Asks one more thing.
    pub fn and(mut self, question: Question) -> Self {
        self.questions.push(question);
        self
    }

    /// Asks as many more things.
    pub fn and_all(mut self, questions: impl IntoIterator<Item = Question>) -> Self {
        self.questions.extend(questions);
        self
    }

    pub(crate) fn questions(&self) -> &[Question] {
        &self.questions
    }

    pub(crate) fn into_questions(self) -> Vec<Question> {
        self.questions
    }

    /// Only once they were answered.
    pub(crate) fn into_found(self) -> T {
        self.found
    }
}

impl From<Question> for Subject<()> {
    fn from(question: Question) -> Self {
        Self::new((), question)
    }
}

/// The proof that every question about a subject was answered with yes.
#[derive(Debug)]
#[must_use = "what was authorized has to be what is used"]
pub struct Authorized {
    questions: Vec<Question>,
}

/// What is there now is not what was authorized. The questions have to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed;

impl Authorized {
    /// Only for who has asked them all.
    pub(crate) fn to(questions: Vec<Question>) -> Self {
        Self { questions }
    }

    /// What was found, if that is what was authorized.
    ///
    /// # Errors
    /// [`Changed`] when `subject` asks anything that was not answered.
    pub fn open<T>(&self, subject: Subject<T>) -> Result<T, Changed> {
        if subject.questions == self.questions { Ok(subject.found) } else { Err(Changed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(tag: &str) -> Subject<&'static str> {
        let question = Question::new("ecs:StopTask", "arn")
            .with_resource_tags(&Tags::from([("team".into(), tag.into())]));
        Subject::new("found", question)
    }

    #[test]
    fn only_what_was_asked_about_is_opened() {
        let authorized = Authorized::to(subject("red").questions);
        assert_eq!(authorized.open(subject("red")), Ok("found"));
        assert_eq!(authorized.open(subject("blue")), Err(Changed));
        let more = subject("red").and(Question::without_resource("iam:PassRole"));
        assert_eq!(authorized.open(more), Err(Changed));
        let nothing = Subject { found: "found", questions: Vec::new() };
        assert_eq!(authorized.open(nothing), Err(Changed));
    }

    #[test]
    fn what_another_account_refuses_stands_in_the_trail_as_it_was_named() {
        let key = "arn:aws:kms:us-east-1:000000000000:key/1";
        let question = Question::new("kms:Encrypt", key).shown_as("alias");
        let (own, other) = ("000000000000", "111111111111");
        let stands = |account: &str, is_allowed| {
            let root = Principal::root(outport_model::AccountId::new(account));
            question.resource_for(&root, is_allowed).to_owned()
        };
        assert_eq!((stands(own, false), stands(own, true)), (key.into(), key.into()));
        assert_eq!((stands(other, false), stands(other, true)), ("alias".into(), key.into()));
    }
}
