//! Cuts a stream of bytes into lines, and long lines into pieces.
//!
//! A piece has the length that Docker's awslogs driver gives an event, 262,118 bytes as CloudWatch Logs will
//! count them: bytes that are no UTF-8 become three each. It ends between two characters. Source: moby,
//! `daemon/logger/awslogs/cloudwatchlogs.go`, `findValidSplit` and `BufSize`.
//!
//! **Invariant:** joining the pieces of a line gives the line; no piece counts more than the maximum, no
//! character is cut, and none is empty but an empty line.

/// What U+FFFD takes, which is shown for bytes that are no UTF-8.
const REPLACEMENT_BYTES: usize = char::REPLACEMENT_CHARACTER.len_utf8();

/// The unfinished line of one output.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    line_bytes_max: usize,
    pending: Vec<u8>,
}

impl LineSplitter {
    /// `line_bytes_max` has room for one character at least.
    pub fn new(line_bytes_max: usize) -> LineSplitter {
        LineSplitter { line_bytes_max: line_bytes_max.max(4), pending: Vec::new() }
    }

    /// Gives each line, or piece of one with `true`, to `sink`.
    pub fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8], bool)) {
        while !bytes.is_empty() {
            // One byte more than a piece: it may be the line's end.
            let room = (self.line_bytes_max + 1).saturating_sub(self.pending.len());
            let seen = &bytes[..bytes.len().min(room)];
            if let Some(end) = memchr::memchr(b'\n', seen) {
                self.end_line(&bytes[..end], &mut sink);
                bytes = &bytes[end + 1..];
                continue;
            }
            self.pending.extend_from_slice(seen);
            bytes = &bytes[seen.len()..];
            while self.pending.len() > self.line_bytes_max {
                self.cut(&mut sink);
            }
        }
    }

    /// Passes over all lines that end in `bytes`, the unfinished one before them included; gives how many there were, how
    /// many bytes they had without their ends, and what comes after them.
    pub fn pass_over<'b>(&mut self, bytes: &'b [u8]) -> (u64, u64, &'b [u8]) {
        let Some(last) = memchr::memrchr(b'\n', bytes) else { return (0, 0, bytes) };
        let (over, rest) = bytes.split_at(last + 1);
        let lines = memchr::memchr_iter(b'\n', over).count();
        let passed = self.pending.len() + over.len() - lines;
        self.pending.clear();
        self.pending.shrink_to(KEPT_BYTES);
        (lines as u64, passed as u64, rest)
    }

    /// What came after the last line's end.
    pub fn finish(&mut self, mut sink: impl FnMut(&[u8], bool)) {
        if !self.pending.is_empty() {
            self.end_line(&[], &mut sink);
        }
    }

    fn end_line(&mut self, rest: &[u8], sink: &mut impl FnMut(&[u8], bool)) {
        if self.pending.is_empty() && first_piece(rest, self.line_bytes_max) == rest.len() {
            return sink(rest, false);
        }
        self.pending.extend_from_slice(rest);
        while first_piece(&self.pending, self.line_bytes_max) < self.pending.len() {
            self.cut(sink);
        }
        sink(&self.pending, false);
        self.pending.clear();
        // One long line does not keep its room for all that follow.
        self.pending.shrink_to(KEPT_BYTES);
    }

    fn cut(&mut self, sink: &mut impl FnMut(&[u8], bool)) {
        let length = first_piece(&self.pending, self.line_bytes_max);
        sink(&self.pending[..length], true);
        self.pending.drain(..length);
    }
}

/// Room that is kept for the next unfinished line.
const KEPT_BYTES: usize = 16 << 10;

/// How many of `bytes` fit into `max`, counted as they will be shown, up to the end of a character.
fn first_piece(bytes: &[u8], max: usize) -> usize {
    if bytes.len() * REPLACEMENT_BYTES <= max {
        return bytes.len();
    }
    let (mut taken, mut counted) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        if counted + valid.len() > max {
            return at_least_one(taken + valid.floor_char_boundary(max - counted), bytes);
        }
        (taken, counted) = (taken + valid.len(), counted + valid.len());
        if !chunk.invalid().is_empty() {
            if counted + REPLACEMENT_BYTES > max {
                return at_least_one(taken, bytes);
            }
            (taken, counted) = (taken + chunk.invalid().len(), counted + REPLACEMENT_BYTES);
        }
    }
    taken
}

/// A cut that takes nothing would be made for ever.
fn at_least_one(length: usize, bytes: &[u8]) -> usize {
    length.max(1).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` marks a partial piece. The result must not depend on how the bytes arrive.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        for chunk in 1..=text.len() {
            let mut splitter = LineSplitter::new(4);
            let mut pieces = Vec::new();
            let mut sink = |bytes: &[u8], partial: bool| {
                let mark = if partial { "+" } else { "" };
                pieces.push(format!("{}{mark}", String::from_utf8_lossy(bytes)));
            };
            text.as_bytes().chunks(chunk).for_each(|bytes| splitter.feed(bytes, &mut sink));
            splitter.finish(&mut sink);
            assert_eq!(pieces, expected, "{text:?} by {chunk}");
        }
    }

    #[test]
    fn lines_and_pieces() {
        check("a\nbc\n", &["a", "bc"]);
        check("a\n\nb", &["a", "", "b"]);
        check("1234\n", &["1234"]);
        check("12345\n", &["1234+", "5"]);
        check("12345678\n", &["1234+", "5678"]);
        check("123456789", &["1234+", "5678+", "9"]);
    }

    #[test]
    fn no_character_is_cut() {
        check("xéé\n", &["xé+", "é"]);
        check("€€\n", &["€+", "€"]);
        check("aaa😀b", &["aaa+", "😀+", "b"]);
        check("éé\n", &["éé"]);
    }

    #[test]
    fn what_is_no_text_counts_as_it_will_be_shown() {
        let mut splitter = LineSplitter::new(7);
        let mut pieces = Vec::new();
        let mut sink = |bytes: &[u8], partial: bool| pieces.push((bytes.to_vec(), partial));
        splitter.feed(b"a\xff\xff\xff\xffb\n", &mut sink);
        assert_eq!(pieces, [(b"a\xff\xff".to_vec(), true), (b"\xff\xffb".to_vec(), false)]);
    }

    #[test]
    fn lines_are_passed_over_whole() {
        let mut splitter = LineSplitter::new(100);
        let mut lines = Vec::new();
        splitter.feed(b"ab", |bytes, _| lines.push(bytes.to_vec()));
        assert_eq!(splitter.pass_over(b"c"), (0, 0, b"c".as_slice()));
        splitter.feed(b"c", |bytes, _| lines.push(bytes.to_vec()));
        assert_eq!(splitter.pass_over(b"d\n\n12\nnext"), (3, 6, b"next".as_slice()));
        splitter.feed(b"next", |bytes, _| lines.push(bytes.to_vec()));
        splitter.feed(b" one\n", |bytes, _| lines.push(bytes.to_vec()));
        assert_eq!(lines, [b"next one"]);
    }

    /// Joined, the pieces are the line, whatever the bytes are and however they come.
    #[test]
    fn nothing_is_lost() {
        let mut state = 7_u64;
        for _ in 0..2000 {
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize
            };
            let alphabet: [&[u8]; 7] = [
                b"a",
                "é".as_bytes(),
                "€".as_bytes(),
                "😀".as_bytes(),
                b"\xff",
                b"\xf0\x9f",
                b"\xc3",
            ];
            let line: Vec<u8> =
                (0..random() % 40).flat_map(|_| alphabet[random() % 7].to_vec()).collect();
            let mut splitter = LineSplitter::new(4 + random() % 12);
            let max = splitter.line_bytes_max;
            let mut pieces: Vec<Vec<u8>> = Vec::new();
            let mut sink = |bytes: &[u8], _: bool| pieces.push(bytes.to_vec());
            line.chunks(1 + random() % 9).for_each(|bytes| splitter.feed(bytes, &mut sink));
            splitter.feed(b"\n", &mut sink);
            assert_eq!(pieces.concat(), line);
            assert!(
                pieces.iter().all(|piece| String::from_utf8_lossy(piece).len() <= max),
                "{pieces:?} {max}"
            );
            if let Ok(text) = std::str::from_utf8(&line) {
                assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()), "{text}");
            }
        }
    }
}
