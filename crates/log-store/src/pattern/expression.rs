//! Conditions joined by `&&`, `||` and parentheses; `&&` binds more tightly.

use super::InvalidPattern;
use super::scanner::Scanner;
use crate::limits::PATTERN_DEPTH_MAX;

#[derive(Clone, Debug)]
pub(super) enum Expression<C> {
    Condition(C),
    All(Vec<Expression<C>>),
    Any(Vec<Expression<C>>),
}

impl<C> Expression<C> {
    /// Reads an expression; `condition` reads what stands between the operators.
    pub fn parse(
        scanner: &mut Scanner<'_>,
        condition: &mut dyn FnMut(&mut Scanner<'_>) -> Result<C, InvalidPattern>,
    ) -> Result<Self, InvalidPattern> {
        Self::any(scanner, condition, 0)
    }

    fn any(
        scanner: &mut Scanner<'_>,
        condition: &mut dyn FnMut(&mut Scanner<'_>) -> Result<C, InvalidPattern>,
        depth: usize,
    ) -> Result<Self, InvalidPattern> {
        let mut parts = vec![Self::all(scanner, condition, depth)?];
        while scanner.eat("||") {
            parts.push(Self::all(scanner, condition, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Self::Any(parts) })
    }

    fn all(
        scanner: &mut Scanner<'_>,
        condition: &mut dyn FnMut(&mut Scanner<'_>) -> Result<C, InvalidPattern>,
        depth: usize,
    ) -> Result<Self, InvalidPattern> {
        let mut parts = vec![Self::one(scanner, condition, depth)?];
        while scanner.eat("&&") {
            parts.push(Self::one(scanner, condition, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Self::All(parts) })
    }

    fn one(
        scanner: &mut Scanner<'_>,
        condition: &mut dyn FnMut(&mut Scanner<'_>) -> Result<C, InvalidPattern>,
        depth: usize,
    ) -> Result<Self, InvalidPattern> {
        if !scanner.eat("(") {
            return Ok(Self::Condition(condition(scanner)?));
        }
        if depth == PATTERN_DEPTH_MAX {
            return Err(InvalidPattern::Syntax);
        }
        let inner = Self::any(scanner, condition, depth + 1)?;
        scanner.expect(")")?;
        Ok(inner)
    }

    pub fn holds(&self, is_true: &impl Fn(&C) -> bool) -> bool {
        match self {
            Self::Condition(condition) => is_true(condition),
            Self::All(parts) => parts.iter().all(|part| part.holds(is_true)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is_true)),
        }
    }
}
