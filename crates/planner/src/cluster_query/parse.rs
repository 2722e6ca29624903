//! From the text to a typed expression.

use regex::RegexBuilder;

use super::literal::{Version, date_ms};
use super::{
    AttributeTest, Comparison, DEPTH_MAX, Expression, Invalid, Ordered, PATTERN_SIZE_MAX,
    PositiveTest, Relation, TextTest,
};

const OPERATOR: &str = "an operator";
const ARGUMENT: &str = "an argument";
/// Longer pieces of the text are cut when an error quotes them.
const QUOTED_LENGTH_MAX: usize = 40;

pub(super) fn expression(text: &str) -> Result<Expression, Invalid> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expression = parser.any()?;
    match parser.rest().is_empty() {
        true => Ok(expression),
        false => Err(parser.unexpected("'and', 'or' or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    depth: usize,
}

/// As it is written in symbols, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Relation(Relation),
    Exists { is_negative: bool },
    In { is_negative: bool },
    Matches { is_negative: bool },
}

/// Words and symbols; a symbol stands before those that it begins with.
const OPERATORS: [(&str, Operator); 26] = [
    ("==", Operator::Relation(Relation::Equal)),
    ("=~", Operator::Matches { is_negative: false }),
    ("!=", Operator::Relation(Relation::NotEqual)),
    ("!~", Operator::Matches { is_negative: true }),
    (">=", Operator::Relation(Relation::GreaterOrEqual)),
    ("<=", Operator::Relation(Relation::LessOrEqual)),
    (">", Operator::Relation(Relation::Greater)),
    ("<", Operator::Relation(Relation::Less)),
    ("!exists", Operator::Exists { is_negative: true }),
    ("!in", Operator::In { is_negative: true }),
    ("equals", Operator::Relation(Relation::Equal)),
    ("not_equals", Operator::Relation(Relation::NotEqual)),
    ("greater_than_equal", Operator::Relation(Relation::GreaterOrEqual)),
    ("greater_than", Operator::Relation(Relation::Greater)),
    ("less_than_equal", Operator::Relation(Relation::LessOrEqual)),
    ("less_than", Operator::Relation(Relation::Less)),
    ("exists", Operator::Exists { is_negative: false }),
    ("not_exists", Operator::Exists { is_negative: true }),
    ("in", Operator::In { is_negative: false }),
    ("not_in", Operator::In { is_negative: true }),
    ("matches", Operator::Matches { is_negative: false }),
    ("not_matches", Operator::Matches { is_negative: true }),
    // With white space between, as people write it.
    ("! exists", Operator::Exists { is_negative: true }),
    ("! in", Operator::In { is_negative: true }),
    ("not exists", Operator::Exists { is_negative: true }),
    ("not in", Operator::In { is_negative: true }),
];

impl Operator {
    fn symbol(self) -> &'static str {
        let symbol = OPERATORS.iter().find(|(_, operator)| *operator == self);
        symbol.map_or("", |(symbol, _)| *symbol)
    }
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let rest_trimmed = rest.trim_start();
        self.at += rest.len() - rest_trimmed.len();
        rest_trimmed
    }

    fn unexpected(&mut self, expected: &'static str) -> Invalid {
        let rest = self.rest();
        let word = rest.split_whitespace().next().unwrap_or_default();
        let quoted: String = word.chars().take(QUOTED_LENGTH_MAX).collect();
        Invalid::Unexpected {
            at: self.text[..self.at].chars().count() + 1,
            found: if word.is_empty() { "the end".to_owned() } else { format!("'{quoted}'") },
            expected,
        }
    }

    /// Takes a symbol, or a word that nothing of a word follows.
    fn takes(&mut self, token: &str) -> bool {
        let Some(behind) = self.rest().strip_prefix(token) else { return false };
        let is_word = token.ends_with(|c: char| c.is_ascii_alphabetic());
        if is_word && behind.starts_with(is_of_word) {
            return false;
        }
        self.at += token.len();
        true
    }

    fn any(&mut self) -> Result<Expression, Invalid> {
        let mut either = vec![self.all()?];
        while self.takes("||") || self.takes("or") {
            either.push(self.all()?);
        }
        Ok(one_or(either, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, Invalid> {
        let mut all = vec![self.one()?];
        while self.takes("&&") || self.takes("and") {
            all.push(self.one()?);
        }
        Ok(one_or(all, Expression::All))
    }

    fn one(&mut self) -> Result<Expression, Invalid> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Invalid::TooDeep);
        }
        let one = if self.takes("!") || self.takes("not") {
            Expression::Not(Box::new(self.one()?))
        } else if self.takes("(") {
            let inner = self.any()?;
            if !self.takes(")") {
                return Err(self.unexpected("')'"));
            }
            inner
        } else {
            Expression::Compare(self.comparison()?)
        };
        self.depth -= 1;
        Ok(one)
    }

    fn comparison(&mut self) -> Result<Comparison, Invalid> {
        let rest = self.rest();
        let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let subject = &rest[..end];
        if subject.is_empty() {
            return Err(self.unexpected("a subject"));
        }
        self.at += end;
        if !is_subject(subject) {
            return Err(Invalid::UnknownSubject(subject.chars().take(QUOTED_LENGTH_MAX).collect()));
        }
        let operator = OPERATORS.iter().find(|(token, _)| self.takes(token));
        let Some((_, operator)) = operator else { return Err(self.unexpected(OPERATOR)) };
        let operator = *operator;
        match subject {
            "agentConnected" => Ok(Comparison::AgentConnected(self.text_test(subject, operator)?)),
            "ec2InstanceId" => Ok(Comparison::Ec2InstanceId(self.text_test(subject, operator)?)),
            "agentVersion" => {
                let read = |text: &str| Version::parse(text);
                let ordered = self.ordered(subject, operator, read, "a version, as 1.14.5")?;
                Ok(Comparison::AgentVersion(ordered))
            }
            "registeredAt" => {
                let expected = "a date, as 2018-06-18 or 2018-06-18T22:28:28Z";
                Ok(Comparison::RegisteredAt(self.ordered(subject, operator, date_ms, expected)?))
            }
            "runningTasksCount" => {
                let read = |text: &str| text.parse().ok();
                let ordered = self.ordered(subject, operator, read, "a number")?;
                Ok(Comparison::RunningTasksCount(ordered))
            }
            "task:group" => Ok(Comparison::TaskGroup(self.attribute_test(subject, operator)?)),
            _ => {
                let name = subject.strip_prefix("attribute:").unwrap_or_default().to_owned();
                Ok(Comparison::Attribute(name, self.attribute_test(subject, operator)?))
            }
        }
    }

    fn attribute_test(
        &mut self,
        subject: &str,
        operator: Operator,
    ) -> Result<AttributeTest, Invalid> {
        match operator {
            Operator::Exists { is_negative: false } => Ok(AttributeTest::Exists),
            Operator::Exists { is_negative: true } => Ok(AttributeTest::NotExists),
            Operator::Relation(relation)
                if !matches!(relation, Relation::Equal | Relation::NotEqual)
                    && subject != "task:group" =>
            {
                Ok(AttributeTest::Ordered(relation, self.argument()?))
            }
            _ => self.text_test(subject, operator).map(AttributeTest::Text),
        }
    }

    fn text_test(&mut self, subject: &str, operator: Operator) -> Result<TextTest, Invalid> {
        let (is_negative, test) = match operator {
            Operator::Relation(Relation::Equal) => (false, PositiveTest::Equals(self.argument()?)),
            Operator::Relation(Relation::NotEqual) => {
                (true, PositiveTest::Equals(self.argument()?))
            }
            Operator::In { is_negative } => (is_negative, PositiveTest::In(self.list()?)),
            Operator::Matches { is_negative } => (is_negative, self.pattern()?),
            Operator::Relation(_) | Operator::Exists { .. } => {
                return Err(no_operator(subject, operator));
            }
        };
        Ok(TextTest { is_negative, test })
    }

    fn ordered<T>(
        &mut self,
        subject: &str,
        operator: Operator,
        read: impl Fn(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<Ordered<T>, Invalid> {
        let Operator::Relation(relation) = operator else {
            return Err(no_operator(subject, operator));
        };
        let argument = self.argument()?;
        let wrong = || Invalid::Argument {
            subject: subject.to_owned(),
            argument: argument.chars().take(QUOTED_LENGTH_MAX).collect(),
            expected,
        };
        Ok(Ordered { relation, than: read(&argument).ok_or_else(wrong)? })
    }

    fn pattern(&mut self) -> Result<PositiveTest, Invalid> {
        let text = self.argument()?;
        let whole =
            RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_SIZE_MAX).build();
        let shown = || text.chars().take(QUOTED_LENGTH_MAX).collect();
        whole.map(PositiveTest::Matches).map_err(|_| Invalid::Pattern(shown()))
    }

    fn argument(&mut self) -> Result<String, Invalid> {
        self.literal(|rest| {
            let ends = |(at, c): &(usize, char)| {
                c.is_whitespace()
                    || "()'\"".contains(*c)
                    || rest[*at..].starts_with("&&")
                    || rest[*at..].starts_with("||")
            };
            rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at)
        })
    }

    fn list(&mut self) -> Result<Vec<String>, Invalid> {
        if !self.takes("[") {
            return Err(self.unexpected("'['"));
        }
        let mut items = Vec::new();
        loop {
            items.push(self.literal(|rest| {
                let ends = |c: char| c.is_whitespace() || ",[]()'\"".contains(c);
                rest.find(ends).unwrap_or(rest.len())
            })?);
            if self.takes("]") {
                return Ok(items);
            }
            if !self.takes(",") {
                return Err(self.unexpected("',' or ']'"));
            }
        }
    }

    /// A text in quotes, or what is up to the `end` of a bare word.
    fn literal(&mut self, end: impl Fn(&str) -> usize) -> Result<String, Invalid> {
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let Some(length) = rest[1..].find(quote) else {
                return Err(self.unexpected("a text with its closing quote"));
            };
            self.at += length + 2;
            return Ok(rest[1..=length].to_owned());
        }
        let end = end(rest);
        if end == 0 {
            return Err(self.unexpected(ARGUMENT));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || ":._-/\\".contains(c)
}

fn is_subject(text: &str) -> bool {
    let known = [
        "agentConnected",
        "agentVersion",
        "ec2InstanceId",
        "registeredAt",
        "runningTasksCount",
        "task:group",
    ];
    let attribute = text.strip_prefix("attribute:");
    known.contains(&text) || attribute.is_some_and(|name| !name.is_empty())
}

fn no_operator(subject: &str, operator: Operator) -> Invalid {
    let subject = subject.chars().take(QUOTED_LENGTH_MAX).collect();
    Invalid::Operator { subject, operator: operator.symbol() }
}

fn one_or(mut list: Vec<Expression>, of: fn(Vec<Expression>) -> Expression) -> Expression {
    match list.len() {
        1 => list.remove(0),
        _ => of(list),
    }
}
