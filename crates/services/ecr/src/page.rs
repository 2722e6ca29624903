//! Pages of lists: `maxResults` and `nextToken`.
//!
//! A token is where the page before ended, encoded so that nobody builds on its form. It stays good when
//! items come and go.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outport_aws_ecr::EcrError;

use crate::rejection::invalid_parameter;

/// The longest token that is looked at. The longest good one holds a digest and a tag.
const TOKEN_LENGTH_MAX: usize = 1_024;
/// The page of a client that does not say. Source: ECR, `maxResults` ("up to 100 results").
const ITEMS_DEFAULT: usize = 100;
/// Source: ECR, `MaxResults`.
const ITEMS_MAX: usize = 1_000;

#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Where the page before ended.
    pub(crate) after: Option<String>,
    pub(crate) items_max: usize,
}

impl Page {
    /// Errors: `InvalidParameterException`.
    pub(crate) fn parse(
        max_results: Option<i32>,
        next_token: Option<&str>,
    ) -> Result<Self, EcrError> {
        let items = max_results.map_or(Some(ITEMS_DEFAULT), |count| usize::try_from(count).ok());
        let items_max = items
            .filter(|count| (1..=ITEMS_MAX).contains(count))
            .ok_or_else(|| invalid_parameter("maxResults", "must be between 1 and 1000"))?;
        let after = next_token.filter(|token| !token.is_empty()).map(open).transpose()?;
        Ok(Self { after, items_max })
    }

    /// Reads where the page before ended. Errors: `InvalidParameterException`.
    pub(crate) fn position<T>(
        &self,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, EcrError> {
        self.after.as_deref().map(|text| read(text).ok_or_else(bad_token)).transpose()
    }

    /// Cuts one more than a page down to a page, and makes the token of the next one, if there is one.
    pub(crate) fn cut<T>(
        &self,
        mut items: Vec<T>,
        position: impl FnOnce(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let more = items.len() > self.items_max;
        items.truncate(self.items_max);
        let last = items.last().filter(|_| more);
        let token = last.map(|last| URL_SAFE_NO_PAD.encode(position(last)));
        (items, token)
    }
}

fn open(token: &str) -> Result<String, EcrError> {
    let good = token.len() <= TOKEN_LENGTH_MAX;
    let bytes = good.then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad_token)
}

fn bad_token() -> EcrError {
    invalid_parameter("nextToken", "must be a token that this operation returned")
}
