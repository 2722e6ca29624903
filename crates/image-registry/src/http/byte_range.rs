//! `Range` of a download and `Content-Range` of a chunk.

use http::HeaderMap;
use http::header;

use super::reply::Refusal;

/// The bytes that are asked for, first and behind the last one. `None`: all of them. A header that is
/// malformed or asks for several ranges is not looked at, as RFC 9110 allows.
pub(crate) fn requested(
    headers: &HeaderMap,
    size_bytes: u64,
) -> Result<Option<(u64, u64)>, Refusal> {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) =
        text.and_then(|text| text.strip_prefix("bytes=")).and_then(|spec| spec.split_once('-'))
    else {
        return Ok(None);
    };
    let range = match (first.trim(), last.trim()) {
        ("", count) => match count.parse::<u64>() {
            Ok(count) => (size_bytes.saturating_sub(count), size_bytes),
            Err(_) => return Ok(None),
        },
        (first, "") => match first.parse::<u64>() {
            Ok(first) => (first, size_bytes),
            Err(_) => return Ok(None),
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => {
                (first, last.saturating_add(1).min(size_bytes))
            }
            _ => return Ok(None),
        },
    };
    if range.0 >= range.1 {
        return Err(Refusal::range_not_satisfiable(size_bytes));
    }
    Ok(Some(range))
}

/// The first byte of a chunk and how many it has. `None`: the chunk does not say. Source: OCI distribution
/// 1.1, "Pushing a blob in chunks" (`<start>-<end>`, inclusive); `bytes start-end/*` is understood too.
pub(crate) fn of_chunk(headers: &HeaderMap) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let bare = text.strip_prefix("bytes").unwrap_or(text).trim_start_matches(['=', ' ']);
    let bare = bare.split('/').next().unwrap_or_default();
    let ends =
        bare.split_once('-').map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>()));
    match ends {
        Some((Ok(first), Ok(last))) if first <= last && last < u64::MAX => {
            Ok(Some((first, last - first + 1)))
        }
        _ => Err(Refusal::upload_invalid(format!("invalid Content-Range {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_requested(range: &str, size_bytes: u64, expected: Option<Option<(u64, u64)>>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().expect("a header value"));
        assert_eq!(requested(&headers, size_bytes).ok(), expected, "{range} of {size_bytes}");
    }

    #[test]
    fn ranges_are_cut_to_the_blob() {
        check_requested("bytes=0-9", 100, Some(Some((0, 10))));
        check_requested("bytes=90-200", 100, Some(Some((90, 100))));
        check_requested("bytes=90-", 100, Some(Some((90, 100))));
        check_requested("bytes=-10", 100, Some(Some((90, 100))));
        check_requested("bytes=-200", 100, Some(Some((0, 100))));
        check_requested("bytes=100-", 100, None);
        check_requested("bytes=-0", 100, None);
        check_requested("bytes=0-", 0, None);
        check_requested("bytes=0-18446744073709551615", 100, Some(Some((0, 100))));
        check_requested("bytes=9-0", 100, Some(None));
        check_requested("bytes=0-1,3-4", 100, Some(None));
        check_requested("items=0-1", 100, Some(None));
    }

    fn check_chunk(range: &str, expected: Option<Option<(u64, u64)>>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_RANGE, range.parse().expect("a header value"));
        assert_eq!(of_chunk(&headers).ok(), expected, "{range}");
    }

    #[test]
    fn chunks_say_where_they_go() {
        check_chunk("0-9", Some(Some((0, 10))));
        check_chunk("bytes 10-19/*", Some(Some((10, 10))));
        check_chunk("9-0", None);
        check_chunk("a-b", None);
        check_chunk("0-18446744073709551615", None);
    }
}
