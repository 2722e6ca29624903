//! IAM policies: from a document to a decision.
//!
//! ```text
//! document ──► Policy::compile ──► Policy          once per version of a policy
//!                                    │
//! who, what, on what, under which    ▼
//! circumstances, with which ──► Evaluation ──► decide ──► Decision, with its reason
//! policies                                └──► explain ──► every statement that led to it
//! ```
//!
//! **Invariant**: nothing is allowed that is not understood. A document that is not understood in every part is refused; a
//! condition that cannot be answered is a no where its statement allows and a yes where it denies. And pure: the same
//! policies and the same request have the same answer.
//!
//! See design note 0027.

mod action;
mod answer;
mod condition;
mod context;
mod decision;
mod document;
mod evaluation;
mod explanation;
mod json;
mod malformed;
mod pattern;
mod policy;
mod position;
mod principal;
mod resource;
mod statement;
mod template;
mod validation;

pub use context::{Context, Value};
pub use decision::{Decision, Denial, Layer, Matched, Reason, Source};
pub use document::DOCUMENT_CHARACTERS_MAX;
pub use evaluation::{Attached, Evaluation, ResourcePolicy, decide};
pub use explanation::{Explanation, Verdict, explain};
pub use malformed::Malformed;
pub use policy::{Policy, PolicyKind, counted_characters};
pub use position::{Position, statement_positions};
pub use principal::{FederatedBy, Principal};
