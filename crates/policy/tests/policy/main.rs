//! What the crate promises, from outside: a table of cases, the comparison with another evaluator, bad input, and speed.

#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

mod against_naive;
mod cases;
mod explained;
mod hostile;
mod naive;
mod naive_conditions;
mod random;
mod speed;
mod support;
