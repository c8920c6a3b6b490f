//! Parses SMTP replies (RFC 5321 §4.2) from bytes, however they are split, without I/O.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::phrases::status;

/// A complete reply: one code, one or more lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, the first of them 2 to 5.
    pub code: u16,
    /// The lines as received; each begins with the code and ends with LF.
    raw: Vec<u8>,
}

impl Reply {
    /// The text of each line, without code and separator; bytes that are not UTF-8 are replaced. Lines with control
    /// characters, which no SMTP reply has (RFC 5321 §4.2), are left out.
    pub fn lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.texts().map(String::from_utf8_lossy).filter(|line| !line.contains(is_control))
    }

    /// Whether there is text that cannot be read: control characters, or characters that belong to no word, among them
    /// those in place of bytes that are not UTF-8.
    pub fn has_unreadable_text(&self) -> bool {
        self.texts().map(String::from_utf8_lossy).any(|line| line.contains(|c| is_control(c) || is_unreadable(c)))
    }

    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.raw.split_inclusive(|byte| *byte == b'\n').map(|line| without_end(line).get(4..).unwrap_or_default())
    }

    /// The class, by which a client acts on a code that it does not know (RFC 5321 §4.2.1).
    pub fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Success,
            3 => Class::Continue,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// Whether a line after the first is the EHLO keyword `keyword`, alone or with parameters (RFC 5321 §4.1.1.1).
    pub fn has_keyword(&self, keyword: &str) -> bool {
        self.texts().skip(1).any(|line| {
            let word = line.split(|b| b.is_ascii_whitespace() || *b == b'=').next().unwrap_or_default();
            word.eq_ignore_ascii_case(keyword.as_bytes())
        })
    }

    /// The first word of the first line; in greetings and EHLO replies, the server's name.
    pub fn first_word(&self) -> Option<Cow<'_, str>> {
        let word = self.texts().next()?.split(u8::is_ascii_whitespace).next().filter(|word| !word.is_empty())?;
        Some(String::from_utf8_lossy(word))
    }
}

/// The code and [`Reply::lines`], joined. The enhanced code is on each line (RFC 2034 §4), and is shown once.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let mut shown = None;
        for line in self.lines().filter(|line| !line.is_empty()) {
            let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match status(first) {
                Some(status) if shown == Some(status) => write!(f, " {rest}")?,
                status => {
                    shown = status.or(shown);
                    write!(f, " {line}")?;
                }
            }
        }
        Ok(())
    }
}

/// The first digit of a reply code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 2yz
    Success,
    /// 3yz
    Continue,
    /// 4yz
    Transient,
    /// 5yz
    Permanent,
}

/// Why bytes are not a valid reply.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The first line does not begin with a reply code. Its bytes are not kept: they may be those of another service.
    #[error("the server does not speak SMTP{}", .0.map(|protocol| format!(", but {protocol}")).unwrap_or_default())]
    NotAReply(Option<OtherProtocol>),
    /// A later line does not begin with a reply code.
    #[error("a line of the reply has no code")]
    NoCode,
    /// A later line has another code than the first (RFC 5321 §4.2.1).
    #[error("reply code changes from {first} to {later}")]
    CodeChanged {
        /// The first line's code.
        first: u16,
        /// The later line's code.
        later: u16,
    },
    /// A line of more than [`MAX_LINE`] octets.
    #[error("reply line longer than {} octets", MAX_LINE)]
    LineTooLong,
    /// More than [`MAX_LINES`] lines, or more than [`MAX_BYTES`] octets in all.
    #[error("reply longer than {} lines or {} octets", MAX_LINES, MAX_BYTES)]
    TooLarge,
}

/// A protocol whose servers send first, or answer bytes that they do not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// RFC 9112
    Http,
    /// RFC 9051
    Imap,
    /// RFC 1939
    Pop3,
    /// RFC 4253
    Ssh,
    /// RFC 8446
    Tls,
}

impl OtherProtocol {
    /// The protocol of which a message begins with `line`, as far as it is known.
    fn of(line: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 7] = [
            (b"HTTP/", Self::Http),
            (b"* OK", Self::Imap),
            (b"* BYE", Self::Imap),
            (b"+OK", Self::Pop3),
            (b"SSH-", Self::Ssh),
            // An alert or a handshake message (RFC 8446 §5.1).
            (b"\x15\x03", Self::Tls),
            (b"\x16\x03", Self::Tls),
        ];
        known.iter().find(|(start, _)| line.starts_with(start)).map(|(_, protocol)| *protocol)
    }
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Ssh => "SSH",
            Self::Tls => "TLS",
        })
    }
}

/// Collects bytes until a reply is complete.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    code: Option<u16>,
    raw: Vec<u8>,
    /// Start of the incomplete line in `raw`.
    line: usize,
    lines: usize,
}

impl ReplyDecoder {
    /// Consumes the bytes of the current reply from the front of `input`. Returns their number and, once complete, the
    /// reply. Bytes after a complete reply are not consumed.
    ///
    /// # Errors
    /// If the bytes cannot become a reply within the limits; the decoder must not be used afterwards.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut consumed = 0;
        for piece in input.split_inclusive(|byte| *byte == b'\n') {
            consumed += piece.len();
            if self.current().len() + piece.len() > MAX_LINE {
                return Err(ReplyError::LineTooLong);
            }
            if self.raw.len() + piece.len() > MAX_BYTES || self.lines == MAX_LINES {
                return Err(ReplyError::TooLarge);
            }
            self.raw.extend_from_slice(piece);
            // Other protocols are detected before the end of a line, which may never come.
            if !may_begin_a_line(self.current()) {
                return Err(self.not_a_reply());
            }
            if piece.ends_with(b"\n") && self.end_line()? {
                let done = std::mem::take(self);
                return Ok((consumed, done.code.map(|code| Reply { code, raw: done.raw })));
            }
        }
        Ok((consumed, None))
    }

    /// Checks the line that is complete now. Returns whether it is the last line of the reply.
    fn end_line(&mut self) -> Result<bool, ReplyError> {
        let line = without_end(self.current());
        let (digits, rest) = line.split_at_checked(3).ok_or_else(|| self.not_a_reply())?;
        let code = digits.iter().fold(0, |code: u16, digit| code * 10 + u16::from(digit - b'0'));
        let last = !rest.starts_with(b"-");
        match self.code {
            Some(first) if first != code => return Err(ReplyError::CodeChanged { first, later: code }),
            _ => self.code = Some(code),
        }
        self.line = self.raw.len();
        self.lines += 1;
        Ok(last)
    }

    fn current(&self) -> &[u8] {
        self.raw.get(self.line..).unwrap_or_default()
    }

    fn not_a_reply(&self) -> ReplyError {
        if self.code.is_some() { ReplyError::NoCode } else { ReplyError::NotAReply(OtherProtocol::of(self.current())) }
    }
}

/// Three digits, then a separator or the end of the line (RFC 5321 §4.2), as far as the bytes are known.
fn may_begin_a_line(line: &[u8]) -> bool {
    line.iter().take(4).enumerate().all(|(position, byte)| match position {
        0 => (b'2'..=b'5').contains(byte),
        1 | 2 => byte.is_ascii_digit(),
        _ => matches!(byte, b'-' | b' ' | b'\r' | b'\n'),
    })
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // Some servers end lines with CR CR LF.
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

fn is_control(c: char) -> bool {
    c.is_control() && c != '\t'
}

/// Whether `c` is not ASCII and part of no word. General punctuation, such as dashes and quotation marks, is readable.
fn is_unreadable(c: char) -> bool {
    !c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace() && !('\u{2010}'..='\u{205e}').contains(&c)
}

/// Maximum number of octets in a line, including CRLF. Real servers exceed the 512 of RFC 5321 §4.5.3.1.5.
pub const MAX_LINE: usize = 2048;
/// Maximum number of lines in a reply.
pub const MAX_LINES: usize = 128;
/// Maximum number of octets in a reply.
pub const MAX_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, lines and consumed octets; none if the reply is incomplete.
    type Outcome<'a> = Result<Option<(u16, &'a [&'a str], usize)>, ReplyError>;

    /// The outcome must not depend on how the bytes are split.
    #[track_caller]
    fn check(input: &[u8], expected: Outcome<'_>) {
        for size in [1, 2, 3, 5, input.len().max(1)] {
            let mut decoder = ReplyDecoder::default();
            let mut consumed = 0;
            let mut outcome = Ok(None);
            for piece in input.chunks(size) {
                match decoder.decode(piece) {
                    Ok((n, reply)) => {
                        consumed += n;
                        outcome = Ok(reply);
                    }
                    Err(error) => outcome = Err(error),
                }
                if !matches!(outcome, Ok(None)) {
                    break;
                }
            }
            let found = outcome
                .map(|reply| reply.map(|r| (r.code, r.lines().map(Cow::into_owned).collect::<Vec<_>>(), consumed)));
            let expected = expected.clone().map(|e| {
                e.map(|(code, lines, consumed)| (code, lines.iter().map(ToString::to_string).collect(), consumed))
            });
            match (&found, &expected) {
                // How much of an invalid line was received depends on the split.
                (Err(ReplyError::NotAReply(_)), Err(ReplyError::NotAReply(_))) => {}
                _ => assert_eq!(found, expected, "{:?} in pieces of {size}", String::from_utf8_lossy(input)),
            }
        }
    }

    #[test]
    fn parses_replies_and_rejects_other_bytes() {
        let not_a_reply = || Err(ReplyError::NotAReply(None));
        check(b"220 mx.example.com ESMTP\r\n", Ok(Some((220, &["mx.example.com ESMTP"], 26))));
        check(b"220\r\n", Ok(Some((220, &[""], 5))));
        check(b"220\n", Ok(Some((220, &[""], 4))));
        check(b"220 \r\n", Ok(Some((220, &[""], 6))));
        check(b"220-wait\r\n220 mx\r\n", Ok(Some((220, &["wait", "mx"], 18))));
        check(b"250-a\r\n250-\r\n250\r\n", Ok(Some((250, &["a", "", ""], 18))));
        check(b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n", Ok(Some((250, &["mx", "PIPELINING", "STARTTLS"], 38))));
        check(b"220 ready\r\nMAIL", Ok(Some((220, &["ready"], 11))));
        check(b"554 \xff\xfe no\r\n", Ok(Some((554, &["\u{fffd}\u{fffd} no"], 11))));
        check(b"220 mx\r\r\n", Ok(Some((220, &["mx"], 9))));
        check(b"554-a\r\n554-\x00b\r\n554 c\x1b[0m\r\n", Ok(Some((554, &["a"], 26))));
        check(b"299 unknown code\r\n", Ok(Some((299, &["unknown code"], 18))));
        check(b"220-wait\r\n", Ok(None));
        check(b"22", Ok(None));
        check(b"", Ok(None));
        check(b"250-a\r\n550 b\r\n", Err(ReplyError::CodeChanged { first: 250, later: 550 }));
        check(b"HTTP/1.1 400 Bad Request\r\n", not_a_reply());
        check(b"\x16\x03\x01\x00\xa5", not_a_reply());
        check(b"2200 too long\r\n", not_a_reply());
        check(b"220_x\r\n", not_a_reply());
        check(b"120 no such class\r\n", not_a_reply());
        check(b"\r\n", not_a_reply());
        check(b"000 zero\r\n", not_a_reply());
        check(b"999 secret\r\n", not_a_reply());
        check(b"\xef\xbb\xbf220 mx\r\n", not_a_reply());
        check(b" 220 mx\r\n", not_a_reply());
        check(b"220-mx\r\nsecret\r\n220 mx\r\n", Err(ReplyError::NoCode));
        check(b"220-mx\r\n\r\n220 mx\r\n", Err(ReplyError::NoCode));
        check(b"220-mx\r\nSSH-2.0-secret\r\n", Err(ReplyError::NoCode));
        check(b"22\r\n", not_a_reply());
        check(&[b"220 ".as_slice(), &[b'x'; MAX_LINE]].concat(), Err(ReplyError::LineTooLong));
        check(&b"220-x\r\n".repeat(MAX_LINES + 1), Err(ReplyError::TooLarge));
        let long = [b"220-".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        check(&long.repeat(40), Err(ReplyError::TooLarge));
    }

    #[test]
    fn bytes_of_other_protocols_are_named_and_not_quoted() {
        use OtherProtocol::{Http, Imap, Pop3, Ssh, Tls};
        for (input, expected) in [
            (&b"SSH-2.0-OpenSSH_9.2p1 secret\r\n"[..], Some(Ssh)),
            (b"HTTP/1.1 400 secret\r\n", Some(Http)),
            (b"* OK [CAPABILITY IMAP4rev1] secret\r\n", Some(Imap)),
            (b"+OK secret\r\n", Some(Pop3)),
            (b"\x15\x03\x01\x00\x02\x02\x46", Some(Tls)),
            (b"\x16\x03\x03\x00\x2asecret", Some(Tls)),
            (b"-ERR secret\r\n", None),
            (b"J\x00\x00\x00\x0a8.0.36\x00secret", None),
            (b"999 secret\r\n", None),
            (b"secret\r\n220 mx.example.com ESMTP\r\n", None),
            (b"<html>secret", None),
        ] {
            let error = ReplyDecoder::default().decode(input).expect_err("not a reply");
            assert_eq!(error, ReplyError::NotAReply(expected));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let shown = |input: &[u8]| {
            let decoded = ReplyDecoder::default().decode(input).expect("a reply").1.expect("a complete reply");
            decoded.to_string()
        };
        assert_eq!(shown(b"554-go\taway\r\n554-\x00secret\x07\r\n554 \xff\r\n"), "554 go\taway \u{fffd}");
        assert_eq!(shown(b"554 \x1b[31msecret\r\n"), "554");
    }

    #[test]
    fn finds_keywords_in_lines_after_the_first() {
        let mut decoder = ReplyDecoder::default();
        let (_, reply) = decoder
            .decode(b"250-STARTTLS.example.com hello\r\n250-size 1000\r\n250-AUTH=LOGIN\r\n250-XSTARTTLS\r\n250 8BITMIME\r\n")
            .expect("a reply");
        let reply = reply.expect("a complete reply");
        for (keyword, expected) in
            [("SIZE", true), ("auth", true), ("8BITMIME", true), ("STARTTLS", false), ("8BIT", false)]
        {
            assert_eq!(reply.has_keyword(keyword), expected, "{keyword}");
        }
        assert_eq!(reply.first_word().as_deref(), Some("STARTTLS.example.com"));
        assert_eq!(reply.class(), Class::Success);
    }
}
