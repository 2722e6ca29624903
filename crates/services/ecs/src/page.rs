//! Pages of lists: `maxResults` and `nextToken`.
//!
//! A token is the key of the last item of the page before, encoded so that nobody builds on its form. It stays good
//! when items come and go.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::rejection::Rejection;

/// The longest token that is looked at.
const TOKEN_LENGTH_MAX: usize = 2048;

/// Where a page starts and how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The key of the last item before the page.
    pub after: Option<String>,
    pub items_max: usize,
}

impl PageRequest {
    /// Reads `maxResults`, which is at most `items_max` and that much by default, and `nextToken`.
    ///
    /// # Errors
    /// `InvalidParameterException`.
    pub fn parse(
        max_results: Option<i32>,
        next_token: Option<&str>,
        items_default: usize,
        items_max: usize,
    ) -> Result<Self, Rejection> {
        let items = match max_results {
            None => items_default,
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|count| (1..=items_max).contains(count))
                .ok_or_else(|| {
                    Rejection::invalid_parameter(format!(
                        "Invalid maxResults '{count}'. Must be between 1 and {items_max}."
                    ))
                })?,
        };
        let after = next_token.filter(|token| !token.is_empty()).map(open).transpose()?;
        Ok(Self { after, items_max: items })
    }

    /// Where in a list the page begins, so that what comes before it costs nothing: behind the last item of the page
    /// before, or with the `first` key that there may be. `None` when the token is of another list.
    pub fn start<K>(&self, first: K, key: impl FnOnce(&str) -> Option<K>) -> Option<Bound<K>> {
        match self.after.as_deref() {
            None => Some(Bound::Included(first)),
            Some(after) => key(after).map(Bound::Excluded),
        }
    }

    /// Takes one page from `items`, which come in the order of their keys. The token is there when more follow.
    pub fn take<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let after = self.after.as_deref();
        let mut left = items
            .into_iter()
            .skip_while(|(key, _)| after.is_some_and(|after| key.as_str() <= after));
        self.fill(&mut left)
    }

    /// Like [`PageRequest::take`] for items in descending order of their keys.
    pub fn take_descending<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let after = self.after.as_deref();
        let mut left = items
            .into_iter()
            .skip_while(|(key, _)| after.is_some_and(|after| key.as_str() >= after));
        self.fill(&mut left)
    }

    fn fill<T>(&self, left: &mut dyn Iterator<Item = (String, T)>) -> Page<T> {
        let mut items = Vec::new();
        let mut last = None;
        while items.len() < self.items_max {
            let Some((key, item)) = left.next() else { break };
            items.push(item);
            last = Some(key);
        }
        let next_token = last.filter(|_| left.next().is_some()).map(|key| seal(&key));
        Page { items, next_token }
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_token: Option<String>,
}

fn seal(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1 {key}"))
}

/// A token that is none, or of another list.
pub fn invalid_token() -> Rejection {
    Rejection::invalid_parameter("Invalid token")
}

fn open(token: &str) -> Result<String, Rejection> {
    let invalid = invalid_token;
    if token.len() > TOKEN_LENGTH_MAX {
        return Err(invalid());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    text.strip_prefix("1 ").map(str::to_owned).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(keys: &[&str], size: i32, descending: bool) -> Vec<String> {
        let mut pages = Vec::new();
        let mut token = None;
        loop {
            let request = PageRequest::parse(Some(size), token.as_deref(), 100, 100).unwrap();
            let items = keys.iter().map(|key| ((*key).to_owned(), *key));
            let page =
                if descending { request.take_descending(items) } else { request.take(items) };
            pages.push(page.items.join(""));
            token = page.next_token;
            if token.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_cover_everything_once() {
        assert_eq!(pages(&["a", "b", "c", "d"], 3, false), ["abc", "d"]);
        assert_eq!(pages(&["a", "b", "c", "d"], 2, false), ["ab", "cd"]);
        assert_eq!(pages(&["d", "c", "b"], 2, true), ["dc", "b"]);
        assert_eq!(pages(&[], 2, false), [""]);
    }

    #[test]
    fn refuses_other_tokens_and_sizes() {
        for (size, token) in [
            (Some(0), None),
            (Some(101), None),
            (Some(-1), None),
            (None, Some("x")),
            (None, Some("é")),
        ] {
            assert!(PageRequest::parse(size, token, 100, 100).is_err(), "{size:?} {token:?}");
        }
        let long = "A".repeat(TOKEN_LENGTH_MAX + 1);
        assert!(PageRequest::parse(None, Some(&long), 100, 100).is_err());
    }
}
