//! Which encoding a file is in, and from its bytes to text.

use std::io::Read;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memchr;

use crate::source::{Source, read_some};
use crate::{Error, invalid};

/// How much of a file is enough to guess its encoding and its layout, in bytes.
pub(crate) const SAMPLE: usize = 1024 * 1024;

/// How many bytes of a file are looked at in one go.
const PIECE: usize = 64 * 1024;

/// Beginnings of files that are no text.
const BINARIES: [(&[u8], &str); 9] = [
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\xd0\xcf\x11\xe0", "Excel"),
    (b"%PDF-", "PDF"),
];

/// How a file's bytes become text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coding {
    pub(crate) encoding: &'static Encoding,
    /// How long the byte order mark is, in bytes.
    pub(crate) mark: u64,
    /// Whether more bytes would not lead to another encoding.
    pub(crate) sure: bool,
}

/// The beginning of a file.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) coding: Coding,
    /// Without the byte order mark.
    pub(crate) text: String,
    /// Whether that is all of the file.
    pub(crate) whole: bool,
}

impl Sample {
    /// Takes the beginning of a file: its encoding is the one of its byte order mark, else UTF-8 if it
    /// is that, else what it looks like, by the sample or by every byte.
    pub(crate) fn take(source: &dyn Source, by_every_byte: bool) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        let most = SAMPLE as u64 + 1;
        source.open(0)?.take(most).read_to_end(&mut bytes)?;
        let whole = bytes.len() <= SAMPLE;
        bytes.truncate(SAMPLE);
        if let Some((_, name)) = BINARIES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return Err(Error::Unsupported(format!(
                "The file is a {name} file; upload CSV, JSON, NDJSON or XML"
            )));
        }
        let (encoding, mark) = match Encoding::for_bom(&bytes) {
            Some(found) => found,
            None if by_every_byte && !whole => (guess_all(source, &bytes)?, 0),
            None => (guess(&bytes, whole), 0),
        };
        let mut text = String::new();
        let decoded = Decoder::new(encoding).feed(&bytes[mark..], whole, &mut text);
        if decoded.is_err() {
            return Err(undecodable(encoding));
        }
        let coding = Coding {
            encoding,
            mark: mark as u64,
            sure: mark > 0 || whole || by_every_byte,
        };
        if text.trim().is_empty() {
            return Err(empty(whole));
        }
        Ok(Self {
            coding,
            text,
            whole,
        })
    }
}

fn empty(whole: bool) -> Error {
    let message = if whole {
        "The file is empty"
    } else {
        "The first 1 MB of the file is blank"
    };
    invalid("file_empty", message)
}

/// What a NUL means.
pub(crate) fn no_text() -> Error {
    Error::Unsupported("The file is not text; upload CSV, JSON, NDJSON or XML".to_owned())
}

pub(crate) fn undecodable(encoding: &'static Encoding) -> Error {
    invalid(
        "encoding_invalid",
        format!(
            "The file's encoding cannot be told: it looks like {} and has bytes that are not",
            encoding.name()
        ),
    )
}

/// The encoding's name, the common ones in the form that people write.
pub(crate) fn name(encoding: &'static Encoding) -> &'static str {
    match encoding.name() {
        "UTF-8" => "utf-8",
        "UTF-16LE" => "utf-16le",
        "UTF-16BE" => "utf-16be",
        "Shift_JIS" => "shift_jis",
        "EUC-JP" => "euc-jp",
        "EUC-KR" => "euc-kr",
        "Big5" => "big5",
        "GBK" => "gbk",
        "ISO-2022-JP" => "iso-2022-jp",
        other => other,
    }
}

fn guess(sample: &[u8], whole: bool) -> &'static Encoding {
    let valid = match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !whole,
    };
    if valid && memchr(0, sample).is_none() {
        return UTF_8;
    }
    told(sample).unwrap_or_else(|| {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        detector.feed(sample, whole);
        detector.guess(None, Utf8Detection::Deny)
    })
}

/// Guesses by every byte; the sample is the file's beginning.
fn guess_all(source: &dyn Source, sample: &[u8]) -> Result<&'static Encoding, Error> {
    if is_all_utf8(source)? {
        return Ok(UTF_8);
    }
    if let Some(encoding) = told(sample) {
        return Ok(encoding);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    let mut reader = source.open(0)?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = read_some(&mut *reader, &mut piece)?;
        detector.feed(&piece[..count], count == 0);
        if count == 0 {
            return Ok(detector.guess(None, Utf8Detection::Deny));
        }
    }
}

fn is_all_utf8(source: &dyn Source) -> Result<bool, Error> {
    let mut reader = source.open(0)?;
    let mut decoder = Decoder::new(UTF_8);
    let (mut piece, mut text) = (vec![0; PIECE], String::new());
    loop {
        let count = read_some(&mut *reader, &mut piece)?;
        text.clear();
        let fed = decoder.feed(&piece[..count], count == 0, &mut text);
        if fed.is_err() || memchr(0, text.as_bytes()).is_some() {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

/// An encoding that need not be guessed from what the text says.
fn told(sample: &[u8]) -> Option<&'static Encoding> {
    // UTF-16 without a mark: in ASCII, which every table has some of, each second byte is zero.
    let zeros = |first: usize| {
        sample
            .iter()
            .skip(first)
            .step_by(2)
            .take(64)
            .filter(|byte| **byte == 0)
            .count()
    };
    match (zeros(0), zeros(1)) {
        (0, odd) if odd > 8 => Some(UTF_16LE),
        (even, 0) if even > 8 => Some(UTF_16BE),
        _ => declared(sample),
    }
}

/// The encoding that an XML file says it has.
fn declared(sample: &[u8]) -> Option<&'static Encoding> {
    let rest = sample.strip_prefix(b"<?xml")?;
    let head = &rest[..rest.len().min(200)];
    let head = std::str::from_utf8(&head[..memchr(b'>', head)?]).ok()?;
    let (_, value) = head.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let label = value.split(['"', '\'']).nth(1)?;
    Encoding::for_label(label.as_bytes())
        .filter(|encoding| encoding.is_ascii_compatible() && *encoding != UTF_8)
}

/// Bytes that are not of the encoding.
#[derive(Debug)]
pub(crate) struct Malformed;

/// Turns bytes that come in pieces into text.
pub(crate) enum Decoder {
    /// With the bytes of a character that is not all there yet.
    Utf8(Vec<u8>),
    Other(encoding_rs::Decoder),
}

impl Decoder {
    pub(crate) fn new(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 {
            Self::Utf8(Vec::new())
        } else {
            Self::Other(encoding.new_decoder_without_bom_handling())
        }
    }

    /// Appends what the bytes say, up to the first that is malformed. After the `last` bytes there
    /// are no more.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        last: bool,
        text: &mut String,
    ) -> Result<(), Malformed> {
        match self {
            Self::Utf8(held) => {
                feed_utf8(held, bytes, text)?;
                if last && !held.is_empty() {
                    return Err(Malformed);
                }
                Ok(())
            }
            Self::Other(decoder) => feed_other(decoder, bytes, last, text),
        }
    }
}

fn feed_utf8(held: &mut Vec<u8>, mut bytes: &[u8], text: &mut String) -> Result<(), Malformed> {
    while !held.is_empty() {
        let Some((first, rest)) = bytes.split_first() else {
            return Ok(());
        };
        held.push(*first);
        bytes = rest;
        match std::str::from_utf8(held) {
            Ok(character) => {
                text.push_str(character);
                held.clear();
            }
            Err(error) if error.error_len().is_some() => return Err(Malformed),
            Err(_) => {}
        }
    }
    match std::str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(error) => {
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(valid).unwrap_or_default());
            if error.error_len().is_some() {
                return Err(Malformed);
            }
            held.extend_from_slice(rest);
        }
    }
    Ok(())
}

fn feed_other(
    decoder: &mut encoding_rs::Decoder,
    mut bytes: &[u8],
    last: bool,
    text: &mut String,
) -> Result<(), Malformed> {
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        text.reserve(room.unwrap_or(bytes.len()));
        let (result, read) = decoder.decode_to_string_without_replacement(bytes, text, last);
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::OutputFull => bytes = &bytes[read..],
            DecoderResult::Malformed(..) => return Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn sample(bytes: &[u8]) -> Result<Sample, Error> {
        Sample::take(&Bytes::copy_from_slice(bytes), false)
    }

    fn decoded(bytes: &[u8]) -> (String, &'static str) {
        let sample = sample(bytes).unwrap();
        (sample.text, name(sample.coding.encoding))
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_gone() {
        let expected = ("name\nx".to_owned(), "utf-8");
        assert_eq!(decoded(b"\xef\xbb\xbfname\nx"), expected);
        let expected = ("n\u{e9}".to_owned(), "utf-16le");
        assert_eq!(decoded(b"\xff\xfen\0\xe9\0"), expected);
        let expected = ("n\u{e9}".to_owned(), "utf-16be");
        assert_eq!(decoded(b"\xfe\xff\0n\0\xe9"), expected);
    }

    #[test]
    fn utf_16_is_known_without_a_mark() {
        let text = "name,price\nbolt,1\n".repeat(3);
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decoded(&bytes), (text, "utf-16le"));
    }

    #[test]
    fn western_european_bytes_are_read_as_such() {
        let bytes =
            b"name,farbe\nSchl\xfcssel,gr\xfcn\nM\xfctze,wei\xdf\nT\xfcr,\xe4hnlich 5 \x80\n";
        let (text, encoding) = decoded(bytes);
        assert_eq!(encoding, "windows-1252");
        assert!(text.contains("Schl\u{fc}ssel,gr\u{fc}n") && text.contains("5 \u{20ac}"));
    }

    #[test]
    fn xml_says_its_encoding_itself() {
        let bytes = b"<?xml version='1.0' encoding='ISO-8859-2'?><a>\xb1</a>";
        let (text, encoding) = decoded(bytes);
        assert_eq!(encoding, "ISO-8859-2");
        assert!(text.ends_with("<a>\u{105}</a>"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bytes in [&b"\x1f\x8b\x08"[..], b"PK\x03\x04xlsx", b"%PDF-1.7"] {
            assert!(matches!(sample(bytes), Err(Error::Unsupported(_))));
        }
        for bytes in [&b""[..], b" \r\n\t", b"\xef\xbb\xbf"] {
            let error = sample(bytes).unwrap_err();
            assert!(matches!(error, Error::Invalid("file", fault) if fault.kind == "file_empty"));
        }
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let text = "a\u{e9}\u{20ac}\u{1f529}z";
        let mut decoder = Decoder::new(UTF_8);
        let mut whole = String::new();
        for byte in text.bytes() {
            decoder.feed(&[byte], false, &mut whole).unwrap();
        }
        decoder.feed(&[], true, &mut whole).unwrap();
        assert_eq!(whole, text);
        let mut cut = Decoder::new(UTF_8);
        assert!(cut.feed(b"a\xe2\x82", true, &mut whole).is_err());
        let mut broken = Decoder::new(UTF_8);
        broken.feed(b"a\xe2", false, &mut whole).unwrap();
        assert!(broken.feed(b"z", false, &mut whole).is_err());
    }
}
