//! A lifecycle policy as a document, and what is wrong with one.
//!
//! Source: Amazon ECR user guide, "Lifecycle policy properties in Amazon ECR". ECR checks documents against a JSON schema:
//! the texts are those of its validator (json-schema-validator), as users report them and as moto has them. Where none is
//! known they are ours.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The most `*` in one pattern. Source: "There is a maximum limit of four wildcards (*) per string".
const WILDCARDS_MAX: usize = 4;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Rules in the order of their priorities, the lowest number first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecyclePolicy {
    pub(super) rules: Vec<Rule>,
}

/// The document is none, with the reason in ECR's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Lifecycle policy validation failure: {0}")]
pub struct MalformedLifecyclePolicy(String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) priority: i32,
    pub(super) selection: Selection,
    pub(super) count: Count,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Each of them begins a tag of the image.
    Prefixes(Vec<String>),
    /// Each of them is a pattern for a tag of the image.
    Patterns(Vec<String>),
    Untagged,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// So many stay, the youngest.
    MoreThan(usize),
    /// Older ones go, in milliseconds.
    Age(i64),
}

impl LifecyclePolicy {
    /// # Errors
    /// [`MalformedLifecyclePolicy`].
    pub fn parse(text: &str) -> Result<Self, MalformedLifecyclePolicy> {
        Self::read(text).map_err(MalformedLifecyclePolicy)
    }

    fn read(text: &str) -> Result<Self, String> {
        let document: Option<Map<String, Value>> = serde_json::from_str(text).ok();
        let document = document.ok_or("Could not map policyString into LifecyclePolicy.")?;
        check_members(&document, &["rules"], &[])?;
        let rules = document.get("rules").and_then(Value::as_array);
        let rules = rules.ok_or_else(|| wrong_type(document.get("rules"), "array"))?;
        if rules.is_empty() {
            return Err(
                "array is too short: must have at least 1 elements but instance has 0 elements"
                    .into(),
            );
        }
        let mut rules = rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        check_together(&rules)?;
        Ok(Self { rules })
    }
}

fn check_together(rules: &[Rule]) -> Result<(), String> {
    if rules.windows(2).any(|pair| pair[0].priority == pair[1].priority) {
        return Err("Rules must have unique priorities.".into());
    }
    let count = |wanted: &Selection| rules.iter().filter(|rule| rule.selection == *wanted).count();
    if count(&Selection::Untagged) > 1 {
        return Err("Only one rule can select Untagged images.".into());
    }
    if count(&Selection::Any) > 1 {
        return Err("Only one rule can select Any images.".into());
    }
    let (last, others) = rules.split_last().ok_or("there is no rule")?;
    if last.selection != Selection::Any
        && others.iter().any(|rule| rule.selection == Selection::Any)
    {
        return Err("Rule with tagStatus 'any' must have the lowest priority.".into());
    }
    let mut known = BTreeSet::new();
    let prefixes = rules.iter().filter_map(|rule| match &rule.selection {
        Selection::Prefixes(prefixes) => Some(prefixes),
        _ => None,
    });
    match prefixes.flatten().find(|prefix| !known.insert(prefix.as_str())) {
        Some(prefix) => Err(format!("Tag prefixes must be unique across rules: '{prefix}'.")),
        None => Ok(()),
    }
}

fn rule(value: &Value) -> Result<Rule, String> {
    let rule = object(Some(value))?;
    check_members(rule, &["action", "rulePriority", "selection"], &["description"])?;
    if let Some(description) = rule.get("description") {
        word(Some(description))?;
    }
    let action = object(rule.get("action"))?;
    if action.get("type").and_then(Value::as_str) == Some("transition") {
        return Err("action 'transition' is not built here: this registry has no archive".into());
    }
    check_members(action, &["type"], &[])?;
    one_of(action.get("type"), &["expire"])?;
    let priority = number(rule.get("rulePriority"))?;
    let (selection, count) = selection(object(rule.get("selection"))?)?;
    Ok(Rule { priority, selection, count })
}

fn selection(selection: &Map<String, Value>) -> Result<(Selection, Count), String> {
    let others = ["countUnit", "storageClass", "tagPatternList", "tagPrefixList"];
    check_members(selection, &["countNumber", "countType", "tagStatus"], &others)?;
    if let Some(class) = selection.get("storageClass") {
        one_of(Some(class), &["standard"])?;
    }
    let status = one_of(selection.get("tagStatus"), &["any", "tagged", "untagged"])?;
    let prefixes = texts(selection.get("tagPrefixList"))?;
    let patterns = texts(selection.get("tagPatternList"))?;
    let chosen = match (status, prefixes, patterns) {
        ("tagged", Some(prefixes), None) => Selection::Prefixes(prefixes),
        ("tagged", None, Some(patterns)) => Selection::Patterns(patterns),
        ("tagged", None, None) => {
            return Err(
                "tagPrefixList or tagPatternList is required when tagStatus is 'tagged'".into()
            );
        }
        ("tagged", Some(_), Some(_)) => {
            return Err("only one of tagPrefixList and tagPatternList can be specified".into());
        }
        ("untagged", None, None) => Selection::Untagged,
        (_, None, None) => Selection::Any,
        (status, ..) => {
            return Err(format!(
                "tagPrefixList and tagPatternList are not allowed when tagStatus is '{status}'"
            ));
        }
    };
    if let Selection::Patterns(patterns) = &chosen
        && let Some(pattern) = patterns.iter().find(|one| one.matches('*').count() > WILDCARDS_MAX)
    {
        return Err(format!("tag pattern '{pattern}' has more than {WILDCARDS_MAX} wildcards"));
    }
    Ok((chosen, count(selection)?))
}

fn count(selection: &Map<String, Value>) -> Result<Count, String> {
    let counts = ["imageCountMoreThan", "sinceImagePushed"];
    let built = one_of(selection.get("countType"), &counts)?;
    let number = number(selection.get("countNumber"))?;
    match (built, selection.get("countUnit")) {
        ("sinceImagePushed", unit @ Some(_)) => {
            one_of(unit, &["days"])?;
            Ok(Count::Age(i64::from(number) * DAY_MS))
        }
        ("sinceImagePushed", None) => Err(missing("countUnit")),
        (_, None) => Ok(Count::MoreThan(usize::try_from(number).unwrap_or(usize::MAX))),
        (_, Some(_)) => Err(not_allowed("countUnit")),
    }
}

fn check_members(
    object: &Map<String, Value>,
    required: &[&str],
    others: &[&str],
) -> Result<(), String> {
    let absent = required.iter().filter(|name| !object.contains_key(**name));
    let absent: Vec<&str> = absent.copied().collect();
    if !absent.is_empty() {
        return Err(missing(&absent.join("\",\"")));
    }
    let known = |name: &str| required.contains(&name) || others.contains(&name);
    match object.keys().find(|name| !known(name)) {
        Some(name) => Err(not_allowed(name)),
        None => Ok(()),
    }
}

fn missing(names: &str) -> String {
    format!("object has missing required properties ([\"{names}\"])")
}

fn not_allowed(name: &str) -> String {
    format!("object instance has properties which are not allowed by the schema: [\"{name}\"]")
}

fn object(value: Option<&Value>) -> Result<&Map<String, Value>, String> {
    value.and_then(Value::as_object).ok_or_else(|| wrong_type(value, "object"))
}

fn word(value: Option<&Value>) -> Result<&str, String> {
    value.and_then(Value::as_str).ok_or_else(|| wrong_type(value, "string"))
}

fn one_of<'a>(value: Option<&'a Value>, words: &[&str]) -> Result<&'a str, String> {
    let found = word(value)?;
    if words.contains(&found) {
        return Ok(found);
    }
    let words = words.join("\",\"");
    Err(format!("instance value (\"{found}\") not found in enum (possible values: [\"{words}\"])"))
}

/// From 1 on.
fn number(value: Option<&Value>) -> Result<i32, String> {
    let found = value.and_then(Value::as_i64).ok_or_else(|| wrong_type(value, "integer"))?;
    if found < 1 {
        return Err(format!(
            "numeric instance is lower than the required minimum (minimum: 1, found: {found})"
        ));
    }
    i32::try_from(found).map_err(|_| {
        let max = i32::MAX;
        format!(
            "numeric instance is greater than the required maximum (maximum: {max}, found: {found})"
        )
    })
}

/// An empty list is as none.
fn texts(value: Option<&Value>) -> Result<Option<Vec<String>>, String> {
    let Some(value) = value else { return Ok(None) };
    let list = value.as_array().ok_or_else(|| wrong_type(Some(value), "array"))?;
    let texts = list.iter().map(|one| match word(Some(one))? {
        "" => Err("string \"\" is too short (length: 0, required minimum: 1)".to_owned()),
        text => Ok(text.to_owned()),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    Ok((!texts.is_empty()).then_some(texts))
}

fn wrong_type(value: Option<&Value>, wanted: &str) -> String {
    let found = match value {
        None | Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => "integer",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    };
    format!(
        "instance type ({found}) does not match any allowed primitive type (allowed: [\"{wanted}\"])"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, expected: &str) {
        let found = LifecyclePolicy::parse(&format!(r#"{{"rules":{rules}}}"#));
        let found = found.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
        let expected = match expected {
            "" => String::new(),
            text => format!("Lifecycle policy validation failure: {text}"),
        };
        assert_eq!(found, expected, "{rules}");
    }

    fn rule(priority: i32, selection: &str) -> String {
        format!(
            r#"{{"rulePriority":{priority},"selection":{{{selection}}},"action":{{"type":"expire"}}}}"#
        )
    }

    const ANY: &str = r#""tagStatus":"any","countType":"imageCountMoreThan","countNumber":1"#;
    const UNTAGGED: &str = r#""tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14"#;
    const PROD: &str = r#""tagStatus":"tagged","tagPrefixList":["prod"],"countType":"imageCountMoreThan","countNumber":1"#;

    #[test]
    fn rules_are_checked_one_by_one() {
        for good in [ANY, UNTAGGED, PROD, &PROD.replace("Prefix", "Pattern")] {
            check(&format!("[{}]", rule(1, good)), "");
        }
        let required = "object has missing required properties";
        for (selection, expected) in [
            ("", format!(r#"{required} (["countNumber","countType","tagStatus"])"#)),
            (&ANY.replace("any", "some"), r#"instance value ("some") not found in enum (possible values: ["any","tagged","untagged"])"#.into()),
            (&ANY.replace(":1", ":0"), "numeric instance is lower than the required minimum (minimum: 1, found: 0)".into()),
            (&ANY.replace(":1", ":1.5"), r#"instance type (number) does not match any allowed primitive type (allowed: ["integer"])"#.into()),
            (&ANY.replace(":1", ":3000000000"), "numeric instance is greater than the required maximum (maximum: 2147483647, found: 3000000000)".into()),
            (&ANY.replace("any", "tagged"), "tagPrefixList or tagPatternList is required when tagStatus is 'tagged'".into()),
            (&PROD.replace("tagged", "untagged"), "tagPrefixList and tagPatternList are not allowed when tagStatus is 'untagged'".into()),
            (&PROD.replace("tagPrefixList", "tagList"), r#"object instance has properties which are not allowed by the schema: ["tagList"]"#.into()),
            (&PROD.replace("Prefix", "Pattern").replace("prod", "*****"), "tag pattern '*****' has more than 4 wildcards".into()),
            (&UNTAGGED.replace("\"countUnit\":\"days\",", ""), format!(r#"{required} (["countUnit"])"#)),
            (&ANY.replace("imageCountMoreThan", "sinceImagePulled"), r#"instance value ("sinceImagePulled") not found in enum (possible values: ["imageCountMoreThan","sinceImagePushed"])"#.into()),
        ] {
            check(&format!("[{}]", rule(1, selection)), &expected);
        }
        let moved = rule(1, ANY).replace("expire", "transition");
        check(
            &format!("[{moved}]"),
            "action 'transition' is not built here: this registry has no archive",
        );
        check(
            "[]",
            "array is too short: must have at least 1 elements but instance has 0 elements",
        );
        check(
            "7",
            r#"instance type (integer) does not match any allowed primitive type (allowed: ["array"])"#,
        );
        check("[", "Could not map policyString into LifecyclePolicy.");
    }

    #[test]
    fn rules_are_checked_together() {
        let two = |first: (i32, &str), second: (i32, &str)| {
            format!("[{},{}]", rule(first.0, first.1), rule(second.0, second.1))
        };
        check(&two((2, ANY), (1, PROD)), "");
        check(&two((1, PROD), (1, UNTAGGED)), "Rules must have unique priorities.");
        check(&two((1, UNTAGGED), (2, UNTAGGED)), "Only one rule can select Untagged images.");
        check(&two((1, ANY), (2, ANY)), "Only one rule can select Any images.");
        check(
            &two((1, ANY), (2, PROD)),
            "Rule with tagStatus 'any' must have the lowest priority.",
        );
        check(&two((1, PROD), (2, PROD)), "Tag prefixes must be unique across rules: 'prod'.");
    }
}
