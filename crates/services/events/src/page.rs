//! Pages of lists: `Limit` and `NextToken`.
//!
//! A token is the place of the last item of the page before, encoded so that nobody builds on its form. It stays good when
//! items come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::rejection::Rejection;

/// Where a page starts and how long it is.
pub struct PageRequest {
    after: Option<String>,
    items_max: usize,
}

/// One page.
pub struct Page<T> {
    pub items: Vec<T>,
    /// There when more follow.
    pub next_token: Option<String>,
}

impl PageRequest {
    /// `items_default`: what the model allows at most, which is what is answered without a number.
    ///
    /// # Errors
    /// `ValidationException` for a token that no list gave.
    pub fn parse(
        max_results: Option<i32>,
        items_default: usize,
        next_token: Option<&str>,
    ) -> Result<Self, Rejection> {
        let items = max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(items_default);
        Ok(Self { after: next_token.map(open).transpose()?, items_max: items.max(1) })
    }

    /// One page of `items`, which come in the order of their places.
    pub fn take<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let is_before = |place: &str| self.after.as_deref().is_some_and(|after| place <= after);
        let mut left = items.into_iter().skip_while(|(place, _)| is_before(place)).peekable();
        let mut page = Page { items: Vec::new(), next_token: None };
        while let Some((place, item)) = left.next() {
            page.items.push(item);
            if page.items.len() == self.items_max {
                page.next_token = left.peek().map(|_| URL_SAFE_NO_PAD.encode(place));
                break;
            }
        }
        page
    }
}

fn open(token: &str) -> Result<String, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    place.ok_or_else(|| Rejection::validation("Parameter NextToken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(items_max: i32) -> Vec<Vec<u8>> {
        let (mut pages, mut token) = (Vec::new(), None);
        loop {
            let request = PageRequest::parse(Some(items_max), 100, token.as_deref()).unwrap();
            let page = request.take((0..5_u8).map(|item| (item.to_string(), item)));
            pages.push(page.items);
            token = page.next_token;
            if token.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn a_list_comes_in_pages() {
        assert_eq!(pages(2), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(pages(5), [vec![0, 1, 2, 3, 4]]);
        assert!(PageRequest::parse(None, 100, Some("!")).is_err());
    }
}
