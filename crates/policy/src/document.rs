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
    pub principal: Option<Element<Json>>,
    pub actions: Option<Element<Vec<String>>>,
    pub resources: Option<Element<Vec<String>>>,
    pub conditions: Vec<RawCondition>,
}

#[derive(Debug)]
pub(crate) struct RawCondition {
    pub operator: Operator,
    pub key: String,
    pub values: Vec<String>,
}

/// The document is none of these.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WrongShape {
    /// A member that no document or statement has.
    UnknownField(String),
    Other,
}

type Shaped<T> = Result<T, WrongShape>;

impl Document {
    /// Reads the members. A version or an effect that there is not is let through.
    pub fn read(json: &Json) -> Shaped<Self> {
        let mut document = Document { version: None, statements: Vec::new() };
        for (name, value) in json.object().ok_or(WrongShape::Other)? {
            match name.as_str() {
                "Version" => document.version = Some(text(value)?),
                "Id" => drop(text(value)?),
                "Statement" => document.statements = statements(value)?,
                other => return Err(WrongShape::UnknownField(other.to_owned())),
            }
        }
        Ok(document)
    }
}

fn statements(value: &Json) -> Shaped<Vec<RawStatement>> {
    match value {
        Json::Object(_) => Ok(vec![statement(value)?]),
        Json::List(list) => list.iter().map(statement).collect(),
        _ => Err(WrongShape::Other),
    }
}

fn statement(value: &Json) -> Shaped<RawStatement> {
    let mut statement = RawStatement::default();
    for (name, value) in value.object().ok_or(WrongShape::Other)? {
        let negated = name.starts_with("Not");
        match name.as_str() {
            "Sid" => statement.sid = Some(text(value)?),
            "Effect" => statement.effect = Some(text(value)?),
            "Principal" | "NotPrincipal" => {
                put(&mut statement.principal, negated, value.clone())?;
            }
            "Action" | "NotAction" => put(&mut statement.actions, negated, texts(value)?)?,
            "Resource" => put(&mut statement.resources, negated, texts_and_nulls(value)?)?,
            "NotResource" => put(&mut statement.resources, negated, texts(value)?)?,
            "Condition" => statement.conditions = conditions(value)?,
            other => return Err(WrongShape::UnknownField(other.to_owned())),
        }
    }
    Ok(statement)
}

/// Puts an element in its place, unless its twin is there.
fn put<T>(place: &mut Option<Element<T>>, negated: bool, value: T) -> Shaped<()> {
    match place.replace(Element { negated, value }) {
        None => Ok(()),
        Some(_) => Err(WrongShape::Other),
    }
}

fn conditions(value: &Json) -> Shaped<Vec<RawCondition>> {
    let mut conditions = Vec::new();
    for (name, keys) in value.object().ok_or(WrongShape::Other)? {
        let keys = keys.object().ok_or(WrongShape::Other)?;
        // IAM takes an operator that it does not know if there is nothing to compare. Source: moto's tests of IAM.
        if keys.is_empty() {
            continue;
        }
        let operator = Operator::parse(name).ok_or(WrongShape::Other)?;
        for (key, values) in keys {
            let values = condition_values(values)?;
            conditions.push(RawCondition { operator, key: key.clone(), values });
        }
    }
    Ok(conditions)
}

fn condition_values(value: &Json) -> Shaped<Vec<String>> {
    match value {
        Json::List(list) => list.iter().map(condition_value).collect(),
        one => Ok(vec![condition_value(one)?]),
    }
}

fn condition_value(value: &Json) -> Shaped<String> {
    match value {
        Json::Text(text) | Json::Number(text) => Ok(text.clone()),
        Json::Boolean(truth) => Ok(truth.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => Err(WrongShape::Other),
    }
}

fn text(value: &Json) -> Shaped<String> {
    value.text().map(str::to_owned).ok_or(WrongShape::Other)
}

/// One text, or a list of texts.
pub(crate) fn texts(value: &Json) -> Shaped<Vec<String>> {
    match value {
        Json::List(list) => list.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

/// The same, but a null in a list is passed over. Source: moto's tests of IAM.
fn texts_and_nulls(value: &Json) -> Shaped<Vec<String>> {
    match value {
        Json::List(list) => {
            list.iter().filter(|element| **element != Json::Null).map(text).collect()
        }
        one => Ok(vec![text(one)?]),
    }
}
