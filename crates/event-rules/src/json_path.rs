//! Paths into an event: `$.detail.containers[0].name`, `$['detail-type']`, `$.resources[*]`.
//!
//! Source: EventBridge user guide, "Target input transformation": which forms of JSON path it takes.

use serde_json::Value;

/// Steps of a path; the model's 256 characters hold no more that mean something.
const STEPS_MAX: usize = 128;

/// A path that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
    /// All members of a list.
    Every,
}

impl JsonPath {
    /// `None`: it is no path of a form that is taken.
    pub fn read(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() && steps.len() < STEPS_MAX {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, left) = after.split_at(end);
                if name.is_empty() {
                    return None;
                }
                steps.push(if name == "*" { Step::Every } else { Step::Member(name.to_owned()) });
                rest = left;
                continue;
            }
            let after = rest.strip_prefix('[')?;
            let quote = after.chars().next().filter(|first| matches!(first, '\'' | '"'));
            let (step, left) = match quote {
                Some(quote) => {
                    let (name, left) = after[1..].split_once(quote)?;
                    (Step::Member(name.to_owned()), left.strip_prefix(']')?)
                }
                None => {
                    let (inside, left) = after.split_once(']')?;
                    let step = match inside {
                        "*" => Step::Every,
                        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                            Step::Index(digits.parse().ok()?)
                        }
                        _ => return None,
                    };
                    (step, left)
                }
            };
            steps.push(step);
            rest = left;
        }
        rest.is_empty().then_some(Self(steps))
    }

    /// What is there; `None`: nothing is.
    pub fn find(&self, event: &Value) -> Option<Value> {
        find(&self.0, event)
    }
}

fn find(steps: &[Step], value: &Value) -> Option<Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value.clone()) };
    match step {
        Step::Member(name) => find(rest, value.get(name)?),
        Step::Index(at) => find(rest, value.get(at)?),
        Step::Every => {
            let members = value.as_array()?;
            Some(members.iter().filter_map(|member| find(rest, member)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_finds_what_is_there() {
        let event = json!({"detail-type": "t", "a": {"b": [{"c": 1}, {"c": 2}, {}]}, "r": ["x"]});
        let check = |path: &str, expected: Option<Value>| {
            let read = JsonPath::read(path).unwrap_or_else(|| panic!("{path} is a path"));
            assert_eq!(read.find(&event), expected, "{path}");
        };
        check("$", Some(event.clone()));
        check("$.detail-type", Some(json!("t")));
        check("$['detail-type']", Some(json!("t")));
        check("$.a[\"b\"][1].c", Some(json!(2)));
        check("$.a.b[*].c", Some(json!([1, 2])));
        check("$.r[0]", Some(json!("x")));
        check("$.r[1]", None);
        check("$.a.none", None);
        for text in ["", "a", ".a", "$a", "$.", "$..a", "$[", "$[-1]", "$['a", "$['a'", "$[?(@.a)]"]
        {
            assert_eq!(JsonPath::read(text), None, "{text}");
        }
    }
}
