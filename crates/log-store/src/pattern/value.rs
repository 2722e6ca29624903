//! The right side of a condition: a number, a text with wildcards or a regular expression, and how
//! a field compares with it.

use super::InvalidPattern;
use super::regular::Regular;
use super::scanner::Scanner;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub fn parse(scanner: &mut Scanner<'_>) -> Result<Self, InvalidPattern> {
        // The longer ones first.
        let operators = [
            ("!=", Self::NotEqual),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("=", Self::Equal),
            ("<", Self::Less),
            (">", Self::Greater),
        ];
        let found = operators.into_iter().find(|(token, _)| scanner.eat(token));
        found.map(|(_, operator)| operator).ok_or(InvalidPattern::Syntax)
    }
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A bare number: compared as a number, and as text where the field is no number.
    Number(f64, Text),
    Text(Text),
    Regular(Regular),
}

/// A text in which `*` at either end stands for anything. In the middle it stands for itself (AWS:
/// `Ev*ent` matches only `Ev*ent`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    text: String,
    open_start: bool,
    open_end: bool,
}

impl Text {
    fn new(source: &str) -> Self {
        let open_start = source.starts_with('*');
        let rest = source.strip_prefix('*').unwrap_or(source);
        let open_end = rest.ends_with('*') || source == "*";
        let text = rest.strip_suffix('*').unwrap_or(rest).to_owned();
        Self { text, open_start, open_end }
    }

    fn matches(&self, field: &str) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => field == self.text,
            (true, false) => field.ends_with(&self.text),
            (false, true) => field.starts_with(&self.text),
            (true, true) => field.contains(&self.text),
        }
    }
}

/// A field of a message, as a condition sees it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Text(&'a str),
    /// A JSON number, with its text.
    Number(f64, &'a str),
}

#[derive(Clone, Debug)]
pub(super) struct Comparison {
    operator: Operator,
    value: Value,
}

impl Comparison {
    /// Reads `operator value`. `bare` says which characters a value without quotes may have.
    pub fn parse(
        scanner: &mut Scanner<'_>,
        bare: impl Fn(char) -> bool,
    ) -> Result<Self, InvalidPattern> {
        let operator = Operator::parse(scanner)?;
        scanner.skip_spaces();
        let value = match scanner.peek() {
            Some('"') => Value::Text(Text::new(&scanner.quoted('"')?)),
            Some('%') => Value::Regular(Regular::parse(scanner)?),
            _ => bare_value(scanner, bare)?,
        };
        let compares_order = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if compares_order && !matches!(value, Value::Number(..)) {
            return Err(InvalidPattern::Syntax);
        }
        Ok(Self { operator, value })
    }

    pub fn has_regular(&self) -> bool {
        matches!(self.value, Value::Regular(_))
    }

    pub fn holds(&self, field: Field<'_>) -> bool {
        match self.operator {
            Operator::Equal => self.is_equal(field),
            Operator::NotEqual => !self.is_equal(field),
            Operator::Less => self.ordered(field, |a, b| a < b),
            Operator::LessOrEqual => self.ordered(field, |a, b| a <= b),
            Operator::Greater => self.ordered(field, |a, b| a > b),
            Operator::GreaterOrEqual => self.ordered(field, |a, b| a >= b),
        }
    }

    fn is_equal(&self, field: Field<'_>) -> bool {
        let (Field::Text(text) | Field::Number(_, text)) = field;
        match (&self.value, field) {
            (Value::Number(number, _), Field::Number(other, _)) => *number == other,
            (Value::Number(_, expected) | Value::Text(expected), _) => expected.matches(text),
            (Value::Regular(regular), _) => regular.is_found_in(text),
        }
    }

    fn ordered(&self, field: Field<'_>, holds: impl Fn(f64, f64) -> bool) -> bool {
        match (&self.value, field) {
            (Value::Number(number, _), Field::Number(other, _)) => holds(other, *number),
            _ => false,
        }
    }
}

fn bare_value(
    scanner: &mut Scanner<'_>,
    bare: impl Fn(char) -> bool,
) -> Result<Value, InvalidPattern> {
    let source = scanner.take_while(bare);
    if source.is_empty() {
        return match scanner.peek() {
            Some(c) if !")]}&|".contains(c) => Err(InvalidPattern::Characters(c.to_string())),
            _ => Err(InvalidPattern::Syntax),
        };
    }
    let text = Text::new(source);
    Ok(match number_of(source) {
        Some(number) => Value::Number(number, text),
        None => Value::Text(text),
    })
}

/// A number as AWS writes it: sign, digits, fraction and exponent. Not `inf`, `nan` or `.5`.
pub(super) fn number_of(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
