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
//!
//! ```
//! use outport_model::AccountId;
//! use outport_policy::{
//!     Attached, Context, Decision, Evaluation, Policy, PolicyKind, Principal, ResourcePolicy, Source, Value, decide,
//! };
//!
//! struct Keys;
//! impl Context for Keys {
//!     fn get(&self, key: &str) -> Option<Value<'_>> {
//!         (key == "aws:username").then_some(Value::Text("ada"))
//!     }
//! }
//!
//! let text = r#"{"Version": "2012-10-17", "Statement": {
//!     "Effect": "Allow", "Action": "iam:*AccessKey*", "Resource": "arn:aws:iam::*:user/${aws:username}"
//! }}"#;
//! let policy = Policy::compile(text, PolicyKind::Managed)?;
//! let account = AccountId::new("111111111111");
//! let evaluation = Evaluation {
//!     principal: Principal::User { account: &account, arn: "arn:aws:iam::111111111111:user/ada", id: "AIDA0123456789ABCDEF0" },
//!     owner: &account,
//!     action: "iam:CreateAccessKey",
//!     resource: "arn:aws:iam::111111111111:user/bob",
//!     context: &Keys,
//!     identity: &[Attached { source: Source::Managed("arn:aws:iam::111111111111:policy/own-keys"), policy: &policy }],
//!     boundary: None,
//!     session: &[],
//!     resource_policy: ResourcePolicy::None,
//! };
//! let Decision::Denied(denial) = decide(&evaluation) else { panic!("not bob's") };
//! assert_eq!(
//!     denial.message(&evaluation),
//!     "User: arn:aws:iam::111111111111:user/ada is not authorized to perform: iam:CreateAccessKey on resource: \
//!      arn:aws:iam::111111111111:user/bob because no identity-based policy allows the iam:CreateAccessKey action"
//! );
//! # Ok::<(), outport_policy::Malformed>(())
//! ```

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
mod principal_names;
mod resource;
mod services;
mod statement;
mod template;
mod validation;

pub use context::{Context, Value};
pub use decision::{Decision, Denial, Layer, Matched, Reason, Source};
pub use document::DOCUMENT_CHARACTERS_MAX;
pub use evaluation::{Attached, Evaluation, ResourcePolicy, decide};
pub use explanation::{Denying, Explanation, Verdict, denying, explain};
pub use malformed::Malformed;
pub use policy::{Policy, PolicyKind, counted_characters};
pub use position::{Position, statement_positions};
pub use principal::{FederatedBy, Principal};
pub use principal_names::{replace_principals, service_principals};
pub use services::is_misspelt_service;
