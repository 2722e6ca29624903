//! From bytes to [`Node`](crate::Node). Each reader keeps the limits of [`limits`](crate::limits).

mod cbor;
mod form;
mod json;

pub use cbor::read_cbor;
pub use form::{form_parameter, read_form};
pub use json::read_json;
