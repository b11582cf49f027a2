//! However a file is made, reading it takes little memory. Alone in its process, which it measures.
#![cfg(target_os = "linux")]

mod lazy;

use formats::{Cursor, Error, Hints, Layout, Source};
use lazy::Lazy;

const MB: u64 = 1024 * 1024;

/// The most memory that the process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|text| text.parse().ok())
        .unwrap_or(0_u64)
        * 1024
}

/// How many rows a file has that are good, how many that are not, and what is wrong with all of it.
fn read(source: &dyn Source, name: &str) -> (u64, u64, Option<&'static str>) {
    let (mut good, mut bad) = (0, 0);
    let mut each = || -> Result<(), Error> {
        let hints = Hints {
            file_name: name.to_owned(),
            record_tag: Some("part".to_owned()),
            ..Hints::default()
        };
        let layout = Layout::detect(source, &hints)?;
        for row in layout.read(source, Cursor::default(), true)? {
            *(if row?.draft.is_ok() {
                &mut good
            } else {
                &mut bad
            }) += 1;
        }
        Ok(())
    };
    let fault = match each() {
        Ok(()) => None,
        Err(Error::Invalid("file", fault)) => Some(fault.kind),
        Err(error) => panic!("{name}: {error}"),
    };
    (good, bad, fault)
}

#[test]
fn no_file_takes_much_memory() {
    let text = "y".repeat(10_000);
    let good = format!("{{\"name\": \"x\", \"a\": \"{text}\"}}\n");
    let item = format!("{{\"name\": \"{}\"}},", "y".repeat(2_000_000));
    let element = format!("<part><name>{text}</name></part>");
    let large = format!("<part>{}</part>", "<a>1</a>".repeat(200_000));
    let cells = format!("x{}\n", ",".repeat(999) + &"y".repeat(900_000));
    let wide: Vec<String> = (1..1_000).map(|n| format!("c{n}")).collect();
    let wide = format!("name,{}\n", wide.join(","));
    // The file, and whether its fault is known after a few MB.
    let files: [(&str, &str, &str, Option<&str>, bool); 17] = [
        ("a.csv", "name,a\nx,", "y", Some("field_too_large"), true),
        (
            "b.csv",
            "name,a\nx,\"",
            "y\n",
            Some("field_too_large"),
            true,
        ),
        ("c.csv", "name,a\nx", ",y", Some("too_many_columns"), true),
        ("d.csv", "name,a", ",y", Some("too_many_columns"), true),
        ("e.csv", "name\n", "\n", None, false),
        ("f.csv", &wide, &cells, None, false),
        ("a.json", "[", "[", Some("json_invalid"), false),
        ("b.json", "[\"", "y", Some("json_invalid"), false),
        ("c.json", "[", &item, Some("json_invalid"), false),
        ("d.json", "{\"a\": \"", "y", Some("json_invalid"), false),
        ("a.ndjson", "{\"name\": \"", "y", None, false),
        ("b.ndjson", "", &good, None, false),
        ("a.xml", "<a><part>", "y", Some("xml_invalid"), true),
        ("b.xml", "<a b=\"", "y", Some("xml_invalid"), true),
        ("c.xml", "<a><part>", "<b>1</b>", Some("xml_invalid"), false),
        ("d.xml", "<parts>", &element, Some("xml_invalid"), false),
        ("e.xml", "<parts>", &large, Some("xml_invalid"), false),
    ];
    let before = peak();
    for (name, head, unit, expected, is_early) in files {
        let file = Lazy::new(head, unit, 48 * MB);
        let (good, bad, fault) = read(&file, name);
        assert_eq!(fault, expected, "{name}: {good} and {bad}");
        if is_early {
            assert!(file.read() < 8 * MB, "{name}: {}", file.read());
        }
    }
    let taken = (peak() - before) / MB;
    assert!(taken < 32, "{taken} MB");
}
