//! One condition of a statement: an operator, a key, and the values that the key is compared with.
//!
//! Source: IAM user guide, "Condition operators" and "Conditions with multiple context keys or values".

pub(crate) mod date;
mod decimal;
mod limits;
mod operator;

pub(crate) use self::limits::Limits;
pub(crate) use self::operator::Operator;
use self::operator::Qualifier;
use crate::answer::Answer;
use crate::context::{Context, Value};

#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub operator: Operator,
    /// As it was written.
    pub name: Box<str>,
    /// In lower case.
    key: Box<str>,
    limits: Limits,
}

impl Condition {
    pub fn new(operator: Operator, name: &str, limits: Limits) -> Self {
        Self { operator, name: name.into(), key: name.to_ascii_lowercase().into(), limits }
    }

    pub fn answer(&self, context: &dyn Context) -> Answer {
        let value = context.get(&self.key);
        if let Limits::Absent(wanted) = &self.limits {
            let is_absent = value.is_none_or(Value::is_null);
            let matches = wanted.iter().map(|wanted| Some(*wanted == is_absent));
            return Answer::of_any(matches, false);
        }
        let Operator { qualifier, negated, .. } = self.operator;
        // A list of nothing is as no key.
        let Some(value) = value.filter(|value| value.elements().next().is_some()) else {
            return self.answer_without_key();
        };
        let answers = || value.elements().map(|one| self.limits.compare(one, negated, context));
        match qualifier {
            // Values that do not agree need a qualifier; without one AWS does not say what holds.
            Qualifier::None => Answer::agreed(answers()),
            Qualifier::ForAllValues if value.is_null() => Answer::Yes,
            Qualifier::ForAllValues => Answer::all(answers()),
            Qualifier::ForAnyValue if value.is_null() => Answer::No,
            Qualifier::ForAnyValue => Answer::any(answers()),
        }
    }

    /// "If the key is not present, the values do not match": a no, but a yes for a negated operator.
    fn answer_without_key(&self) -> Answer {
        let Operator { qualifier, negated, if_exists, .. } = self.operator;
        let holds = if_exists
            || match qualifier {
                Qualifier::None => negated,
                Qualifier::ForAllValues => true,
                Qualifier::ForAnyValue => false,
            };
        if holds { Answer::Yes } else { Answer::No }
    }

    /// The names of the keys that it depends on: its own, and its variables.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.name).chain(self.limits.variables())
    }
}
