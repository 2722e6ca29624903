//! Tokens of pages: a place between two events, and what the place belongs to. They do not expire.

use crate::error::LogStoreError;
use crate::event::{Digits, EventKey};

/// Which way a page of `GetLogEvents` goes from its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// `f/…` and `b/…`, as AWS writes them: the place before `key` in the stream `of`.
pub(super) fn page_token(direction: Direction, key: EventKey, of: i64) -> String {
    let letter = match direction {
        Direction::Forward => 'f',
        Direction::Backward => 'b',
    };
    format!("{letter}/{}/s", Digits(key, of))
}

pub(super) fn parse_page_token(
    token: &str,
    of: i64,
) -> Result<(Direction, EventKey), LogStoreError> {
    let body = token.strip_suffix("/s").ok_or(LogStoreError::InvalidToken)?;
    let (direction, digits) = match body.split_once('/') {
        Some(("f", digits)) => (Direction::Forward, digits),
        Some(("b", digits)) => (Direction::Backward, digits),
        _ => return Err(LogStoreError::InvalidToken),
    };
    Ok((direction, place(digits, of)?))
}

/// The place before `key` in the group `of`.
pub(super) fn filter_token(key: EventKey, of: i64) -> String {
    Digits(key, of).to_string()
}

pub(super) fn parse_filter_token(token: &str, of: i64) -> Result<EventKey, LogStoreError> {
    place(token, of)
}

fn place(digits: &str, of: i64) -> Result<EventKey, LogStoreError> {
    match Digits::parse(digits) {
        Some(Digits(key, owner)) if owner == of => Ok(key),
        _ => Err(LogStoreError::InvalidToken),
    }
}
