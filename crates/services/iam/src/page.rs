//! Pages of lists: `MaxItems` and `Marker`.
//!
//! A marker is the key of the last item of the page before, encoded so that nobody builds on its form. It stays good when
//! items come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::rejection::Rejection;

/// Source: API reference, ListUsers, MaxItems: "If you do not include this parameter, the number of items defaults to 100";
/// the model's own constraint is 1 to 1,000.
const ITEMS_DEFAULT: usize = 100;

/// Where a page starts and how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    after: Option<String>,
    items_max: usize,
}

/// One page.
pub struct Page<T> {
    pub items: Vec<T>,
    /// There when more follow.
    pub marker: Option<String>,
}

impl<T> Page<T> {
    pub fn is_truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

impl PageRequest {
    /// # Errors
    /// `ValidationError` for a marker that no list gave.
    pub fn parse(max_items: Option<i32>, marker: Option<&str>) -> Result<Self, Rejection> {
        let items = max_items.and_then(|max| usize::try_from(max).ok()).unwrap_or(ITEMS_DEFAULT);
        let after = marker.filter(|marker| !marker.is_empty()).map(open).transpose()?;
        Ok(Self { after, items_max: items.max(1) })
    }

    /// One page of `items`, which come in the order of their keys.
    pub fn take<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let after = self.after.as_deref();
        let mut left = items
            .into_iter()
            .skip_while(|(key, _)| after.is_some_and(|after| key.as_str() <= after))
            .peekable();
        let mut page = Page { items: Vec::new(), marker: None };
        while page.items.len() < self.items_max {
            let Some((key, item)) = left.next() else { return page };
            page.items.push(item);
            if page.items.len() == self.items_max && left.peek().is_some() {
                page.marker = Some(URL_SAFE_NO_PAD.encode(key));
            }
        }
        page
    }
}

fn open(marker: &str) -> Result<String, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| Rejection::Validation("Invalid Marker.".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(items_max: i32) -> Vec<Vec<u8>> {
        let (mut pages, mut marker) = (Vec::new(), None);
        loop {
            let request = PageRequest::parse(Some(items_max), marker.as_deref()).unwrap();
            let page = request.take((0..5_u8).map(|item| (item.to_string(), item)));
            pages.push(page.items);
            marker = page.marker;
            if marker.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn a_list_comes_in_pages() {
        assert_eq!(pages(2), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(pages(5), [vec![0, 1, 2, 3, 4]]);
        assert!(PageRequest::parse(None, Some("!")).is_err());
    }
}
