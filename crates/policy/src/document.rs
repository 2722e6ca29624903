//! The shape of a policy document: which members it has, of which types. What they say is for [`crate::validation`].

use crate::condition::Operator;
use crate::json::Json;

/// Characters of a document. Source: `policyDocumentType` of the IAM API.
pub const DOCUMENT_CHARACTERS_MAX: usize = 131_072;

#[derive(Debug)]
pub(crate) struct Document {
    pub version: Option<String>,
    pub statements: Vec<RawStatement>,
}

/// A member that has a negated twin, such as `Action` and `NotAction`. A statement has one of them at most.
#[derive(Debug)]
pub(crate) struct Element<T> {
    pub negated: bool,
    pub value: T,
}

#[derive(Debug, Default)]
pub(crate) struct RawStatement {
    pub sid: Option<String>,
    pub effect: Option<String>,
    pub principal: Option<Element<RawPrincipal>>,
    pub actions: Option<Element<Vec<String>>>,
    pub resources: Option<Element<Vec<String>>>,
    pub conditions: Vec<RawCondition>,
}

#[derive(Debug)]
pub(crate) enum RawPrincipal {
    /// `*`, or another text.
    Text(String),
    /// `AWS`, `Service` and the like, each with its principals.
    Kinds(Vec<(String, Vec<String>)>),
}

#[derive(Debug)]
pub(crate) struct RawCondition {
    pub operator: Operator,
    pub key: String,
    pub values: Vec<String>,
}

/// Why it is no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WrongShape {
    /// A member that no document or statement has.
    UnknownField(String),
    /// A value that may not stand where it does: the numbers of the members and elements that lead to it, the last first.
    At(Vec<usize>),
    NoStatement,
}

type Shaped<T> = Result<T, WrongShape>;

/// Kinds of principals. Source: IAM user guide, "Grammar of the IAM JSON policy language".
const PRINCIPAL_KINDS: [&str; 4] = ["AWS", "CanonicalUser", "Federated", "Service"];

impl WrongShape {
    /// The value that is being looked at.
    const HERE: Self = WrongShape::At(Vec::new());

    /// It is in the member or element of this number.
    fn within(mut self, number: usize) -> Self {
        if let WrongShape::At(path) = &mut self {
            path.push(number);
        }
        self
    }
}

impl Document {
    /// Reads the members. A version or an effect that there is not is let through.
    pub fn read(json: &Json) -> Shaped<Self> {
        let mut version = None;
        let mut statements = None;
        each_member(json, |name, value| {
            match name {
                "Version" => version = Some(text(value)?),
                "Id" => drop(text(value)?),
                "Statement" => statements = Some(read_statements(value)?),
                other => return Err(WrongShape::UnknownField(other.to_owned())),
            }
            Ok(())
        })?;
        Ok(Document { version, statements: statements.ok_or(WrongShape::NoStatement)? })
    }
}

fn read_statements(value: &Json) -> Shaped<Vec<RawStatement>> {
    match value {
        Json::Object(_) => Ok(vec![statement(value)?]),
        Json::List(list) => each_element(list, statement),
        _ => Err(WrongShape::HERE),
    }
}

fn statement(value: &Json) -> Shaped<RawStatement> {
    let mut statement = RawStatement::default();
    each_member(value, |name, value| {
        let negated = name.starts_with("Not");
        match name {
            "Sid" => statement.sid = Some(text(value)?),
            "Effect" => statement.effect = Some(text(value)?),
            "Principal" | "NotPrincipal" => {
                put(&mut statement.principal, negated, principal(value)?)?;
            }
            "Action" | "NotAction" => put(&mut statement.actions, negated, texts(value)?)?,
            "Resource" => put(&mut statement.resources, negated, texts_and_nulls(value)?)?,
            "NotResource" => put(&mut statement.resources, negated, texts(value)?)?,
            "Condition" => statement.conditions = conditions(value)?,
            other => return Err(WrongShape::UnknownField(other.to_owned())),
        }
        Ok(())
    })?;
    Ok(statement)
}

/// Puts an element in its place, unless its twin is there.
fn put<T>(place: &mut Option<Element<T>>, negated: bool, value: T) -> Shaped<()> {
    match place.replace(Element { negated, value }) {
        None => Ok(()),
        Some(_) => Err(WrongShape::HERE),
    }
}

fn principal(value: &Json) -> Shaped<RawPrincipal> {
    if let Json::Text(text) = value {
        return Ok(RawPrincipal::Text(text.clone()));
    }
    let mut kinds = Vec::new();
    each_member(value, |kind, value| {
        if !PRINCIPAL_KINDS.contains(&kind) {
            return Err(WrongShape::HERE);
        }
        kinds.push((kind.to_owned(), texts(value)?));
        Ok(())
    })?;
    Ok(RawPrincipal::Kinds(kinds))
}

fn conditions(value: &Json) -> Shaped<Vec<RawCondition>> {
    let mut conditions = Vec::new();
    each_member(value, |name, keys| {
        let operator = Operator::parse(name);
        each_member(keys, |key, values| {
            // IAM takes an operator that it does not know if there is nothing to compare. Source: moto's tests of IAM.
            let operator = operator.ok_or(WrongShape::HERE)?;
            let values = condition_values(values)?;
            conditions.push(RawCondition { operator, key: key.to_owned(), values });
            Ok(())
        })
    })?;
    Ok(conditions)
}

fn condition_values(value: &Json) -> Shaped<Vec<String>> {
    match value {
        Json::List(list) => each_element(list, condition_value),
        one => Ok(vec![condition_value(one)?]),
    }
}

fn condition_value(value: &Json) -> Shaped<String> {
    match value {
        Json::Text(text) | Json::Number(text) => Ok(text.clone()),
        Json::Boolean(truth) => Ok(truth.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => Err(WrongShape::HERE),
    }
}

fn text(value: &Json) -> Shaped<String> {
    value.text().map(str::to_owned).ok_or(WrongShape::HERE)
}

/// One text, or a list of texts.
fn texts(value: &Json) -> Shaped<Vec<String>> {
    match value {
        Json::List(list) => each_element(list, text),
        one => Ok(vec![text(one)?]),
    }
}

/// The same, but a null in a list is passed over. Source: moto's tests of IAM.
fn texts_and_nulls(value: &Json) -> Shaped<Vec<String>> {
    let text_or_null = |element: &Json| match element {
        Json::Null => Ok(None),
        element => text(element).map(Some),
    };
    match value {
        Json::List(list) => Ok(each_element(list, text_or_null)?.into_iter().flatten().collect()),
        one => Ok(vec![text(one)?]),
    }
}

fn each_member(value: &Json, mut read: impl FnMut(&str, &Json) -> Shaped<()>) -> Shaped<()> {
    let members = value.object().ok_or(WrongShape::HERE)?;
    let read = |(number, (name, value)): (usize, &(String, Json))| {
        read(name, value).map_err(|wrong| wrong.within(number))
    };
    members.iter().enumerate().try_for_each(read)
}

fn each_element<T>(list: &[Json], read: impl Fn(&Json) -> Shaped<T>) -> Shaped<Vec<T>> {
    let read = |(number, element)| read(element).map_err(|wrong| wrong.within(number));
    list.iter().enumerate().map(read).collect()
}
