//! What the crate promises, from outside: a table of cases, the comparison with another evaluator, bad input, and speed.

mod against_naive;
mod cases;
mod hostile;
mod naive;
mod random;
mod speed;
mod support;
