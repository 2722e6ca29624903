//! `MaxResults` and `NextToken` of describes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outport_aws_ec2::Ec2Error;

const ITEMS_MIN: i32 = 5;
const ITEMS_MAX: i32 = 1000;
/// The longest token that is looked at.
const TOKEN_LENGTH_MAX: usize = 512;

/// One page of `items`, which are in the order of their keys, and the token of the next one.
///
/// # Errors
/// `InvalidParameterValue` and `InvalidParameterCombination` in EC2's words.
pub fn page<T>(
    items: Vec<(String, T)>,
    max_results: Option<i32>,
    next_token: Option<String>,
    names_ids: bool,
) -> Result<(Vec<T>, Option<String>), Ec2Error> {
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
    let limit = usize::try_from(max_results.unwrap_or(ITEMS_MAX)).unwrap_or(usize::MAX);
    let mut left =
        items.into_iter().filter(|(id, _)| after.as_ref().is_none_or(|after| id > after));
    let (mut taken, mut last) = (Vec::new(), None);
    while taken.len() < limit {
        let Some((id, item)) = left.next() else { break };
        taken.push(item);
        last = Some(id);
    }
    let token = last.filter(|_| left.next().is_some()).map(|id| URL_SAFE_NO_PAD.encode(id));
    Ok((taken, token))
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
pub fn check_ids<'a>(
    wanted: &[String],
    found: impl Iterator<Item = &'a str>,
    code: &'static str,
    noun: &str,
) -> Result<(), Ec2Error> {
    let found: Vec<&str> = found.collect();
    let missing: Vec<&str> =
        wanted.iter().map(String::as_str).filter(|id| !found.contains(id)).collect();
    match missing[..] {
        [] => Ok(()),
        [id] => Err(Ec2Error::new(code, format!("The {noun} '{id}' does not exist"))),
        _ => Err(Ec2Error::new(code, format!("The {noun}s '{}' do not exist", missing.join(", ")))),
    }
}
