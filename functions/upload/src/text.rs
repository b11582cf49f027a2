//! From the bytes of a file to its text.

use api::{Error, Result};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use model::Fault;

use crate::form::field_fault;

/// A decoded file.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// The encoding's name, in lower case.
    pub(crate) encoding: &'static str,
}

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

/// How much of a file is enough to guess its encoding, in bytes.
const SAMPLE: usize = 1024 * 1024;

/// Decodes a file: by its byte order mark, else as UTF-8 if it is that, else as what it looks
/// like.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Text> {
    if let Some((_, name)) = BINARIES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(Error::UnsupportedMediaType(format!(
            "The file is a {name} file; upload CSV, JSON or NDJSON"
        )));
    }
    let (encoding, mark) = match Encoding::for_bom(&bytes) {
        Some(found) => found,
        None => (guess(&bytes), 0),
    };
    let text = if encoding == UTF_8 && mark == 0 {
        String::from_utf8(bytes).map_err(|_| undecodable(encoding))?
    } else {
        let (text, broken) = encoding.decode_without_bom_handling(&bytes[mark..]);
        if broken {
            return Err(undecodable(encoding));
        }
        text.into_owned()
    };
    if text.contains('\0') {
        return Err(Error::UnsupportedMediaType(
            "The file is not text; upload CSV, JSON or NDJSON".to_owned(),
        ));
    }
    if text.trim().is_empty() {
        return Err(field_fault(
            "file",
            Fault::new("file_empty", "The file is empty"),
        ));
    }
    Ok(Text {
        text,
        encoding: lower(encoding),
    })
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
        return UTF_8;
    }
    // UTF-16 without a mark: in ASCII, which every table has some of, each second byte is zero.
    let zeros = |first: usize| {
        bytes
            .iter()
            .skip(first)
            .step_by(2)
            .take(64)
            .filter(|byte| **byte == 0)
            .count()
    };
    match (zeros(0), zeros(1)) {
        (0, odd) if odd > 8 => return UTF_16LE,
        (even, 0) if even > 8 => return UTF_16BE,
        _ => {}
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    detector.feed(sample, sample.len() == bytes.len());
    detector.guess(None, Utf8Detection::Deny)
}

fn undecodable(encoding: &'static Encoding) -> Error {
    field_fault(
        "file",
        Fault::new(
            "encoding_invalid",
            format!(
                "The file's encoding cannot be told: it looks like {} and has bytes that are not",
                encoding.name()
            ),
        ),
    )
}

fn lower(encoding: &'static Encoding) -> &'static str {
    // The names are few and known; the common ones in the form that people write.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (String, &'static str) {
        let text = decode(bytes.to_vec()).unwrap();
        (text.text, text.encoding)
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_gone() {
        assert_eq!(
            decoded(b"\xef\xbb\xbfname\nx"),
            ("name\nx".to_owned(), "utf-8")
        );
        assert_eq!(
            decoded(b"\xff\xfen\0\xe9\0"),
            ("n\u{e9}".to_owned(), "utf-16le")
        );
        assert_eq!(
            decoded(b"\xfe\xff\0n\0\xe9"),
            ("n\u{e9}".to_owned(), "utf-16be")
        );
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
    fn what_is_no_text_is_refused() {
        for bytes in [
            &b"\x1f\x8b\x08"[..],
            b"PK\x03\x04xlsx",
            b"%PDF-1.7",
            b"a\0b\0c\0\0\0d",
        ] {
            assert!(matches!(
                decode(bytes.to_vec()),
                Err(Error::UnsupportedMediaType(_))
            ));
        }
        for bytes in [&b""[..], b" \r\n\t", b"\xef\xbb\xbf"] {
            assert!(matches!(decode(bytes.to_vec()), Err(Error::Invalid(..))));
        }
    }
}
