//! Lifecycle policies: which images of a repository go by themselves.
//!
//! ```text
//! text ──► policy: LifecyclePolicy::parse ──► evaluation: which images, by which rule ──► pass: they are deleted
//!                                                                                    └──► preview: they are shown
//! ```
//!
//! **Invariant:** which images go is a function of the policy, of the images and of their ages, the same for a preview as
//! for a pass; and it is decided in the transaction that deletes them, so that no image goes that got a tag meanwhile.

mod evaluation;
mod pass;
mod policy;

pub use evaluation::ExpiringImage;
pub use pass::{LifecyclePreview, LifecycleState};
pub use policy::{LifecyclePolicy, MalformedLifecyclePolicy};
