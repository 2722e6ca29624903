//! Pages of lists: `Limit`, `Marker`, `NextMarker` and `Truncated`.
//!
//! A marker is the place of the last item of the page before, encoded so that nobody builds on its form. It stays good when
//! items come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::rejection::{Reason, Rejection};

/// Where a page starts and how long it is.
pub struct PageRequest {
    after: Option<String>,
    items_max: usize,
}

/// One page.
pub struct Page<T> {
    pub items: Vec<T>,
    /// There when more follow.
    pub next_marker: Option<String>,
}

impl<T> Page<T> {
    pub fn truncated(&self) -> Option<bool> {
        Some(self.next_marker.is_some())
    }
}

impl PageRequest {
    /// `items_default`: what is answered without a number.
    ///
    /// # Errors
    /// `InvalidMarkerException` for a marker that no list gave.
    pub fn parse(
        limit: Option<i32>,
        items_default: usize,
        marker: Option<&str>,
    ) -> Result<Self, Rejection> {
        let items = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(items_default);
        Ok(Self { after: marker.map(open).transpose()?, items_max: items.max(1) })
    }

    /// One page of what comes in the order of its places.
    pub fn take<T>(&self, items: impl Iterator<Item = (String, T)>) -> Page<T> {
        let is_before = |place: &str| self.after.as_deref().is_some_and(|after| place <= after);
        let mut left = items.skip_while(|(place, _)| is_before(place)).peekable();
        let mut page = Page { items: Vec::new(), next_marker: None };
        while let Some((place, item)) = left.next() {
            page.items.push(item);
            if page.items.len() == self.items_max {
                page.next_marker = left.peek().map(|_| URL_SAFE_NO_PAD.encode(place));
                break;
            }
        }
        page
    }
}

fn open(marker: &str) -> Result<String, Rejection> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    place.ok_or_else(|| Rejection::new(Reason::InvalidMarker, "Invalid marker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_in_pages() {
        let (mut pages, mut marker) = (Vec::new(), None);
        loop {
            let request = PageRequest::parse(Some(2), 100, marker.as_deref()).unwrap();
            let page = request.take((0..5_u8).map(|item| (item.to_string(), item)));
            assert_eq!(page.truncated(), Some(page.next_marker.is_some()));
            pages.push(page.items);
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(pages, [vec![0, 1], vec![2, 3], vec![4]]);
        assert!(PageRequest::parse(None, 100, Some("!")).is_err());
    }
}
