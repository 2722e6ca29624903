//! The users, roles and sessions that a document names, in its text: AWS keeps their unique ids instead of their ARNs, so that
//! who is made anew under a name does not get what was meant for the one before.
//!
//! Source: IAM user guide, "AWS JSON policy elements: Principal": "that ARN transforms to the role's unique principal ID when you
//! save the policy … You do not normally see this ID in the console, because IAM uses a reverse transformation back to the role ARN
//! when the policy is displayed."

use std::ops::Range;

use crate::json::Json;
use crate::position::Scan;

/// The document with other names of principals: `replace` is asked about each that stands under `AWS`, and answers what is to stand
/// there if it is something else. The rest of the text stays as it is, to the last blank. What is no document stays so whole.
pub fn replace_principals(
    document: &str,
    mut replace: impl FnMut(&str) -> Option<String>,
) -> String {
    if Json::parse(document).is_none_or(|json| json.object().is_none()) {
        return document.to_owned();
    }
    let mut replaced = String::with_capacity(document.len());
    let mut at = 0;
    for place in places(document, "AWS") {
        let Some(other) = string(&document[place.clone()]).and_then(|name| replace(&name)) else {
            continue;
        };
        replaced.push_str(&document[at..place.start]);
        replaced.push_str(&Json::quoted(&other));
        at = place.end;
    }
    replaced.push_str(&document[at..]);
    replaced
}

/// The services that a document names as principals, as often as it does. None, if it is no document.
pub fn service_principals(document: &str) -> Vec<String> {
    if Json::parse(document).is_none_or(|json| json.object().is_none()) {
        return Vec::new();
    }
    let places = places(document, "Service").into_iter();
    places.filter_map(|place| string(&document[place])).collect()
}

/// Where principals of a kind stand, with their quotes, in order.
fn places(document: &str, kind: &str) -> Vec<Range<usize>> {
    let members = |place: &Range<usize>, names: &[&str]| -> Vec<Range<usize>> {
        if document.as_bytes().get(place.start) != Some(&b'{') {
            return Vec::new();
        }
        let members = Scan::at(document, place.start).members().into_iter();
        let is_wanted =
            |name: &str| string(name).is_some_and(|name| names.contains(&name.as_str()));
        members.filter(|(name, _)| is_wanted(name)).map(|(_, value)| value).collect()
    };
    let each = |place: Range<usize>| match document.as_bytes().get(place.start) {
        Some(b'[') => Scan::at(document, place.start).elements(),
        _ => vec![place],
    };
    let start = document.len() - document.trim_start().len();
    let statements = members(&(start..document.len()), &["Statement"]).into_iter().flat_map(each);
    let principals =
        statements.flat_map(|statement| members(&statement, &["Principal", "NotPrincipal"]));
    principals.flat_map(|principal| members(&principal, &[kind])).flat_map(each).collect()
}

/// A text from what stands between its quotes, those too.
fn string(quoted: &str) -> Option<String> {
    Json::parse(quoted)?.text().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<` and `>` stand around what is asked about.
    #[track_caller]
    fn check(document: &str, expected: &str) {
        assert_eq!(replace_principals(document, |name| Some(format!("<{name}>"))), expected);
        assert_eq!(replace_principals(document, |_| None), document);
    }

    #[test]
    fn principals_only_and_the_rest_as_it_was() {
        check(
            r#" { "Statement" : {"Principal":{"AWS" : "a" ,"Service":"b"},"Resource":"a"}, "AWS":"a"}
"#,
            r#" { "Statement" : {"Principal":{"AWS" : "<a>" ,"Service":"b"},"Resource":"a"}, "AWS":"a"}
"#,
        );
        check(
            r#"{"Statement":[{"NotPrincipal":{"AWS":["a", "é\"" ]}},{"Principal":{"AWS":[]}},{"Principal":"*"}]}"#,
            r#"{"Statement":[{"NotPrincipal":{"AWS":["<a>", "<é\">" ]}},{"Principal":{"AWS":[]}},{"Principal":"*"}]}"#,
        );
    }

    /// However the names of members are written.
    #[test]
    fn escapes_hide_nothing() {
        check(
            r#"{"St\u0061tement":{"Princip\u0061l":{"\u0041WS":"\u0061"}}}"#,
            r#"{"St\u0061tement":{"Princip\u0061l":{"\u0041WS":"<a>"}}}"#,
        );
    }

    #[test]
    fn services_are_found() {
        let text = r#"{"Statement":[{"Principal":{"Service":["a","b"],"AWS":"c"}},{"Principal":{"Service":"d"}},{"Action":"Service"}]}"#;
        assert_eq!(service_principals(text), ["a", "b", "d"]);
        assert!(service_principals("{").is_empty());
    }

    #[test]
    fn no_document_stays_as_it_is() {
        for text in
            ["", "{", "[]", "7", r#"{"Statement":7}"#, r#"{"Statement":[{"Principal":[]}]}"#]
        {
            check(text, text);
        }
    }
}
