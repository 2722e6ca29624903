//! The parts of an HTTP request that a signature covers, apart from its body.

/// Borrowed view of a request line and its headers, exactly as they stand on the wire.
///
/// Every list is in the order received; header names may be of any case.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path as sent, still percent-encoded, without the query.
    pub path: &'a str,
    /// The query as sent, still percent-encoded, without the `?`; empty when there is none.
    pub query: &'a str,
    /// Names and values as received.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> RequestHead<'a> {
    /// All values of a header, in order.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let headers = self.headers;
        headers
            .iter()
            .filter(move |(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The value of a header that stands exactly once and is visible ASCII, trimmed.
    /// A header that is sent twice has no single meaning, so it counts as absent.
    pub fn single(&self, name: &str) -> Option<&'a str> {
        let mut values = self.values(name);
        let value = values.next()?;
        if values.next().is_some() || !value.is_ascii() {
            return None;
        }
        std::str::from_utf8(value).ok().map(str::trim)
    }

    /// Whether the header is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }
}
