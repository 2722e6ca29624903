//! `MaxResults` and `NextToken` of describes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outport_aws_ec2::Ec2Error;

const ITEMS_MIN: i32 = 5;
const ITEMS_MAX: i32 = 1000;
/// The longest token that is looked at.
const TOKEN_LENGTH_MAX: usize = 512;

/// Where a page begins and how long it is.
#[derive(Debug)]
pub struct PageRequest {
    /// The key of the last item of the page before.
    after: Option<String>,
    items_max: usize,
}

impl PageRequest {
    /// Reads `MaxResults`, which is not given together with ids, and `NextToken`.
    ///
    /// # Errors
    /// `InvalidParameterValue` and `InvalidParameterCombination` in EC2's words.
    pub fn parse(
        max_results: Option<i32>,
        next_token: Option<String>,
        names_ids: bool,
    ) -> Result<Self, Ec2Error> {
        if let Some(count) = max_results {
            if names_ids {
                return Err(Ec2Error::invalid_parameter_combination(
                    "The parameter MaxResults cannot be used with the parameter that lists ids",
                ));
            }
            if count < ITEMS_MIN {
                return Err(too("small", count, "greater than or equal to", ITEMS_MIN));
            }
            if count > ITEMS_MAX {
                return Err(too("large", count, "less than or equal to", ITEMS_MAX));
            }
        }
        let after = next_token.map(|token| open(&token)).transpose()?;
        let items_max = usize::try_from(max_results.unwrap_or(ITEMS_MAX)).unwrap_or(usize::MAX);
        Ok(Self { after, items_max })
    }

    /// The key of the last item of the page before: a list that can begins behind it.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// One page of `items`, which are in the order of their keys, and the token of the next one. Asks for one item more
    /// than the page has.
    pub fn take<T>(
        &self,
        items: impl IntoIterator<Item = (String, T)>,
    ) -> (Vec<T>, Option<String>) {
        let mut left = items
            .into_iter()
            .skip_while(|(key, _)| self.after.as_ref().is_some_and(|after| key <= after));
        let (mut taken, mut last) = (Vec::new(), None);
        while taken.len() < self.items_max {
            let Some((key, item)) = left.next() else { break };
            taken.push(item);
            last = Some(key);
        }
        let token = last.filter(|_| left.next().is_some()).map(|key| URL_SAFE_NO_PAD.encode(key));
        (taken, token)
    }
}

fn too(word: &str, count: i32, relation: &str, bound: i32) -> Ec2Error {
    Ec2Error::invalid_parameter_value(format!(
        "Value ( {count} ) for parameter maxResults is invalid. Parameter is too {word}. Expecting a value {relation} {bound}."
    ))
}

fn open(token: &str) -> Result<String, Ec2Error> {
    let invalid = || Ec2Error::invalid_parameter_value("Unable to parse pagination token");
    if token.len() > TOKEN_LENGTH_MAX {
        return Err(invalid());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    String::from_utf8(bytes).map_err(|_| invalid())
}

/// Checks that every id that was asked for exists.
///
/// # Errors
/// `Invalid<Kind>ID.NotFound` with the first id, or all of them, that do not.
pub fn check_ids(
    wanted: &[String],
    exists: impl Fn(&str) -> bool,
    code: &'static str,
    noun: &str,
) -> Result<(), Ec2Error> {
    let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|id| !exists(id)).collect();
    match missing[..] {
        [] => Ok(()),
        [id] => Err(Ec2Error::new(code, format!("The {noun} '{id}' does not exist"))),
        _ => Err(Ec2Error::new(code, format!("The {noun}s '{}' do not exist", missing.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_page_looks_at_one_item_more_than_it_has() {
        let request = PageRequest::parse(Some(5), None, false).unwrap();
        let looked_at = Cell::new(0);
        let items = (0..100).map(|number| {
            looked_at.set(looked_at.get() + 1);
            (format!("{number:03}"), number)
        });
        let (page, token) = request.take(items);
        assert_eq!((page, looked_at.get()), (vec![0, 1, 2, 3, 4], 6));
        let request = PageRequest::parse(Some(5), token, false).unwrap();
        assert_eq!(request.after(), Some("004"));
    }
}
