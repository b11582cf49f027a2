//! Encodings, and files that are no text.

use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
use formats::{Cursor, Error, Layout};

use crate::common::{bytes, fault, hints, kinds, read};

fn encoding(name: &str, content: &[u8]) -> String {
    let (layout, rows) = read(&bytes(content), &hints(name)).expect("a file");
    assert!(kinds(&rows).iter().all(Option::is_none), "{rows:?}");
    layout.encoding().to_owned()
}

#[test]
fn a_byte_order_mark_or_a_look_tells_the_encoding() {
    let text = "name,farbe\nSchl\u{fc}ssel,gr\u{fc}n\nM\u{fc}tze,wei\u{df}\n\
                T\u{fc}r,\u{e4}hnlich 5 \u{20ac}\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
    for (content, expected) in [
        (text.as_bytes().to_vec(), "utf-8"),
        (marked(b"\xef\xbb\xbf", text.as_bytes()), "utf-8"),
        (marked(b"\xff\xfe", &little), "utf-16le"),
        (marked(b"\xfe\xff", &big), "utf-16be"),
        (little, "utf-16le"),
        (big, "utf-16be"),
        (WINDOWS_1252.encode(text).0.into_owned(), "windows-1252"),
    ] {
        assert_eq!(encoding("a.csv", &content), expected);
        let (_, rows) = read(&bytes(&content), &hints("a.csv")).expect("a file");
        let names = rows.into_iter().map(|row| row.draft.expect("a draft").name);
        assert!(
            names.eq(["Schl\u{fc}ssel", "M\u{fc}tze", "T\u{fc}r"]),
            "{expected}"
        );
    }
}

#[test]
fn japanese_is_read_in_its_old_encoding_too() {
    // "Bolt", "this is a hexagon bolt." and the same of a nut.
    let (bolt, nut) = ("\u{30dc}\u{30eb}\u{30c8}", "\u{30ca}\u{30c3}\u{30c8}");
    let this_is = "\u{3053}\u{308c}\u{306f}\u{3001}\u{516d}\u{89d2}";
    let end = "\u{3067}\u{3059}\u{3002}";
    let text = format!("name,note\n{bolt},{this_is}{bolt}{end}\n{nut},{this_is}{nut}{end}\n");
    let content = SHIFT_JIS.encode(&text).0.into_owned();
    assert_eq!(encoding("a.csv", &content), "shift_jis");
}

#[test]
fn xml_may_say_its_encoding() {
    let text =
        "<?xml version=\"1.0\" encoding=\"iso-8859-2\"?><part><name>\u{142}\u{105}ka</name></part>";
    let (content, _, _) = encoding_rs::ISO_8859_2.encode(text);
    assert_eq!(encoding("a.xml", &content), "ISO-8859-2");
    assert_eq!(encoding("a.xml", text.as_bytes()), "utf-8");
}

#[test]
fn a_late_byte_leads_to_a_look_at_all_of_the_file() {
    let line = "Bolt,of steel and of much use\n";
    let mut content = format!("name,note\n{}", line.repeat(60_000)).into_bytes();
    content.extend_from_slice(b"Schl\xfcssel,gr\xfcn und sch\xf6n, f\xfcr T\xfcren\n");
    let content = bytes(content);
    let layout = Layout::detect(&content, &hints("a.csv")).expect("a layout");
    assert_eq!(layout.encoding(), "utf-8");
    let mut rows = layout
        .read(&content, Cursor::default(), true)
        .expect("rows");
    assert!(matches!(rows.by_ref().last(), Some(Err(Error::NotUtf8))));
    assert!(rows.next().is_none());

    let layout = Layout::detect_whole(&content, &hints("a.csv")).expect("a layout");
    assert_eq!(layout.encoding(), "windows-1252");
    let rows = layout
        .read(&content, Cursor::default(), true)
        .expect("rows");
    assert_eq!(rows.flatten().count(), 60_001);
}

#[test]
fn bytes_that_break_their_own_encoding_are_refused() {
    let late = [
        b"\xef\xbb\xbfname\n".as_slice(),
        &b"x\n".repeat(600_000),
        b"T\xfcr\n",
    ]
    .concat();
    for content in [
        // Marked as UTF-8, and not that.
        &b"\xef\xbb\xbfname\nT\xfcr\n"[..],
        &late,
        // Marked as UTF-16, and half a unit long.
        b"\xff\xfen\0a\0m\0e\0\n\0x",
        // A surrogate without its other half.
        b"\xff\xfen\0a\0m\0e\0\n\0\0\xd8\n\0",
    ] {
        assert_eq!(fault("a.csv", content), ("file", "encoding_invalid"));
    }
}

#[test]
fn what_is_no_text_is_refused_whatever_it_is_called() {
    let late = [b"name\n".as_slice(), &b"x\n".repeat(600_000), b"\0\n"].concat();
    for content in [
        &b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\xca\xcf\x29\0"[..],
        b"PK\x03\x04\x14\0\0\0\x08\0[Content_Types].xml",
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"BZh91AY&SY",
        b"\xfd7zXZ\0\0\x04",
        b"\x28\xb5\x2f\xfd\x04\0",
        b"7z\xbc\xaf\x27\x1c\0\x04",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"%PDF-1.7\n",
        b"name,note\nBolt,\0\n",
        &[0; 4_096],
        &late,
    ] {
        for name in ["a.csv", "a.ndjson", "a.xlsx", ""] {
            let found = read(&bytes(content), &hints(name));
            assert!(
                matches!(found, Err(Error::Unsupported(_))),
                "{name} {found:?}"
            );
        }
    }
}

#[test]
fn an_empty_file_is_refused() {
    for content in ["", " \r\n\t\n", "\u{feff}", "\u{feff}\n"] {
        for name in ["a.csv", "a.json", "a.xml", ""] {
            assert_eq!(fault(name, content), ("file", "file_empty"), "{name}");
        }
    }
}
