//! Cuts a stream of bytes into lines, and long lines into pieces.
//!
//! **Invariant:** joining the pieces of a line gives the line; no piece is longer than the maximum,
//! and none is empty but an empty line.

/// The unfinished line of one output.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    line_bytes_max: usize,
    pending: Vec<u8>,
}

impl LineSplitter {
    pub fn new(line_bytes_max: usize) -> LineSplitter {
        LineSplitter { line_bytes_max: line_bytes_max.max(1), pending: Vec::new() }
    }

    /// Gives each line, or piece of one with `true`, to `sink`.
    pub fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8], bool)) {
        while !bytes.is_empty() {
            let room = self.line_bytes_max - self.pending.len();
            let seen = &bytes[..bytes.len().min(room + 1)];
            if let Some(end) = memchr::memchr(b'\n', seen) {
                self.emit(&bytes[..end], false, &mut sink);
                bytes = &bytes[end + 1..];
            } else if bytes.len() > room {
                self.emit(&bytes[..room], true, &mut sink);
                bytes = &bytes[room..];
            } else {
                self.pending.extend_from_slice(bytes);
                return;
            }
        }
    }

    /// What came after the last line's end.
    pub fn finish(&mut self, mut sink: impl FnMut(&[u8], bool)) {
        if !self.pending.is_empty() {
            self.emit(&[], false, &mut sink);
        }
    }

    fn emit(&mut self, rest: &[u8], partial: bool, sink: &mut impl FnMut(&[u8], bool)) {
        if self.pending.is_empty() {
            return sink(rest, partial);
        }
        self.pending.extend_from_slice(rest);
        sink(&self.pending, partial);
        self.pending.clear();
    }
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
}
