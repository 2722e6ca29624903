//! Patterns of JSON properties: `{ $.user.id = 1 && ($.tags[0] = "a*" || $.error IS NULL) }`.

use serde_json::Value as Json;

use super::InvalidPattern;
use super::expression::Expression;
use super::scanner::Scanner;
use super::value::{Comparison, Field};
use crate::limits::PATTERN_REGEXES_MAX;

/// Wildcards in one selector and in a whole pattern (AWS).
const WILDCARDS_PER_SELECTOR_MAX: usize = 1;
const WILDCARDS_MAX: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct JsonPattern {
    expression: Expression<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    selector: Vec<Step>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Step {
    Property(String),
    Element(usize),
    /// Any property of an object or any element of an array.
    Any,
}

#[derive(Clone, Debug)]
enum Test {
    Compare(Comparison),
    Is(Json),
    NotExists,
}

impl JsonPattern {
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let mut scanner = Scanner::new(text);
        scanner.expect("{")?;
        let (mut wildcards, mut regulars) = (0, 0);
        let expression = Expression::parse(&mut scanner, &mut |scanner| {
            let condition = Condition::parse(scanner)?;
            wildcards += condition.wildcards();
            regulars += usize::from(matches!(&condition.test, Test::Compare(c) if c.has_regular()));
            Ok(condition)
        })?;
        scanner.expect("}")?;
        scanner.skip_spaces();
        let too_many = wildcards > WILDCARDS_MAX || regulars > PATTERN_REGEXES_MAX;
        if too_many || !scanner.is_at_end() {
            return Err(InvalidPattern::Syntax);
        }
        Ok(Self { expression })
    }

    pub fn matches(&self, message: &str) -> bool {
        if !message.trim_start().starts_with('{') {
            return false;
        }
        match serde_json::from_str::<Json>(message) {
            Ok(json) => self.expression.holds(&|condition: &Condition| condition.holds(&json)),
            Err(_) => false,
        }
    }
}

impl Condition {
    fn parse(scanner: &mut Scanner<'_>) -> Result<Self, InvalidPattern> {
        scanner.expect("$")?;
        let mut selector = Vec::new();
        while let Some(step) = parse_step(scanner)? {
            selector.push(step);
        }
        let condition = Self { selector, test: parse_test(scanner)? };
        let valid =
            !condition.selector.is_empty() && condition.wildcards() <= WILDCARDS_PER_SELECTOR_MAX;
        if valid { Ok(condition) } else { Err(InvalidPattern::Syntax) }
    }

    fn wildcards(&self) -> usize {
        self.selector.iter().filter(|step| matches!(step, Step::Any)).count()
    }

    fn holds(&self, json: &Json) -> bool {
        let mut found = false;
        let test_holds = any_selected(json, &self.selector, &mut |value| {
            found = true;
            match &self.test {
                Test::Compare(comparison) => compare(comparison, value),
                Test::Is(constant) => value == constant,
                Test::NotExists => false,
            }
        });
        test_holds || (matches!(self.test, Test::NotExists) && !found)
    }
}

/// The next step of a selector: `.name`, `.*`, `[3]`, `[*]`, `['name']` or `.['name']`.
fn parse_step(scanner: &mut Scanner<'_>) -> Result<Option<Step>, InvalidPattern> {
    let dotted = scanner.peek() == Some('.') && scanner.eat(".");
    match scanner.peek() {
        Some('[') => parse_bracket(scanner).map(Some),
        Some('*') if dotted => {
            scanner.expect("*")?;
            Ok(Some(Step::Any))
        }
        _ if dotted => {
            let name = scanner.take_while(|c| c.is_alphanumeric() || c == '-' || c == '_');
            match (name.is_empty(), scanner.peek()) {
                (false, _) => Ok(Some(Step::Property(name.to_owned()))),
                (true, Some('"')) => Err(InvalidPattern::Characters("$.\"".to_owned())),
                (true, _) => Err(InvalidPattern::Syntax),
            }
        }
        _ => Ok(None),
    }
}

fn parse_bracket(scanner: &mut Scanner<'_>) -> Result<Step, InvalidPattern> {
    scanner.expect("[")?;
    scanner.skip_spaces();
    let step = match scanner.peek() {
        Some(quote @ ('\'' | '"')) => Step::Property(scanner.quoted(quote)?),
        Some('*') => {
            scanner.expect("*")?;
            Step::Any
        }
        _ => {
            let digits = scanner.take_while(|c| c.is_ascii_digit());
            Step::Element(digits.parse().map_err(|_| InvalidPattern::Syntax)?)
        }
    };
    scanner.expect("]")?;
    Ok(step)
}

fn parse_test(scanner: &mut Scanner<'_>) -> Result<Test, InvalidPattern> {
    scanner.skip_spaces();
    if !scanner.peek().is_some_and(char::is_alphabetic) {
        let bare = |c: char| c.is_alphanumeric() || "_*.-+/:".contains(c);
        return Ok(Test::Compare(Comparison::parse(scanner, bare)?));
    }
    let mut word = || {
        scanner.skip_spaces();
        scanner.take_while(char::is_alphabetic).to_ascii_uppercase()
    };
    match (word().as_str(), word().as_str()) {
        ("NOT", "EXISTS") => Ok(Test::NotExists),
        ("IS", "NULL") => Ok(Test::Is(Json::Null)),
        ("IS", "TRUE") => Ok(Test::Is(Json::Bool(true))),
        ("IS", "FALSE") => Ok(Test::Is(Json::Bool(false))),
        _ => Err(InvalidPattern::Syntax),
    }
}

/// Whether `test` holds for any value that the selector leads to.
fn any_selected(json: &Json, selector: &[Step], test: &mut dyn FnMut(&Json) -> bool) -> bool {
    let Some((step, rest)) = selector.split_first() else { return test(json) };
    match (step, json) {
        (Step::Property(name), Json::Object(object)) => {
            object.get(name).is_some_and(|value| any_selected(value, rest, test))
        }
        (Step::Element(number), Json::Array(array)) => {
            array.get(*number).is_some_and(|value| any_selected(value, rest, test))
        }
        (Step::Any, Json::Object(object)) => {
            object.values().any(|value| any_selected(value, rest, test))
        }
        (Step::Any, Json::Array(array)) => {
            array.iter().any(|value| any_selected(value, rest, test))
        }
        _ => false,
    }
}

/// A selector that leads to an array, an object or null fits no comparison, not even `!=` (AWS).
fn compare(comparison: &Comparison, value: &Json) -> bool {
    match value {
        Json::String(text) => comparison.holds(Field::Text(text)),
        Json::Bool(true) => comparison.holds(Field::Text("true")),
        Json::Bool(false) => comparison.holds(Field::Text("false")),
        Json::Number(number) => {
            let text = number.to_string();
            number.as_f64().is_some_and(|value| comparison.holds(Field::Number(value, &text)))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => false,
    }
}
