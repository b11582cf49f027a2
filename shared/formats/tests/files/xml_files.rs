//! XML: which elements are rows, `BMEcat`, and what is no XML.

use formats::{Cursor, Error, Hints, Layout};
use serde_json::{Value, json};

use crate::common::{bytes, data, drafts, fault, fault_of, hints, kinds, message, read, rows};

fn tagged(tag: Option<&str>) -> Hints {
    Hints {
        record_tag: tag.map(str::to_owned),
        ..hints("a.xml")
    }
}

const BMECAT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<BMECAT version="1.2" xmlns="http://www.bmecat.org/bmecat/1.2/bmecat_new_catalog">
  <HEADER><CATALOG><LANGUAGE>deu</LANGUAGE><CATALOG_ID>C1</CATALOG_ID></CATALOG></HEADER>
  <T_NEW_CATALOG>
    <FEATURE_SYSTEM><FEATURE_SYSTEM_NAME>x</FEATURE_SYSTEM_NAME></FEATURE_SYSTEM>
    <ARTICLE mode="new">
      <SUPPLIER_AID>B-0815</SUPPLIER_AID>
      <ARTICLE_DETAILS>
        <DESCRIPTION_SHORT>1984</DESCRIPTION_SHORT>
        <DESCRIPTION_LONG>Bolt &amp; nut</DESCRIPTION_LONG>
        <EAN>4001234567890</EAN>
        <KEYWORD>bolt</KEYWORD><KEYWORD>steel</KEYWORD>
      </ARTICLE_DETAILS>
      <ARTICLE_FEATURES><FEATURE><FNAME>Size</FNAME><FVALUE>8</FVALUE></FEATURE></ARTICLE_FEATURES>
      <ARTICLE_PRICE_DETAILS>
        <ARTICLE_PRICE price_type="net_list">
          <PRICE_AMOUNT>12.50</PRICE_AMOUNT><PRICE_CURRENCY>EUR</PRICE_CURRENCY>
        </ARTICLE_PRICE>
        <ARTICLE_PRICE price_type="net_customer"><PRICE_AMOUNT>11</PRICE_AMOUNT></ARTICLE_PRICE>
      </ARTICLE_PRICE_DETAILS>
    </ARTICLE>
    <PRODUCT>
      <SUPPLIER_PID>0042</SUPPLIER_PID>
      <PRODUCT_DETAILS><DESCRIPTION_SHORT lang="deu">Mutter</DESCRIPTION_SHORT></PRODUCT_DETAILS>
    </PRODUCT>
    <ARTICLE_TO_CATALOGGROUP_MAP><ART_ID>B-0815</ART_ID></ARTICLE_TO_CATALOGGROUP_MAP>
  </T_NEW_CATALOG>
</BMECAT>
"#;

#[test]
fn articles_of_bmecat_are_rows_without_a_tag() {
    let (layout, rows) = read(&bytes(BMECAT), &tagged(None)).expect("a file");
    assert_eq!(layout.format(), "xml");
    let drafts: Vec<_> = rows
        .into_iter()
        .map(|row| row.draft.expect("a draft"))
        .collect();
    assert_eq!(drafts.len(), 2);
    assert_eq!(drafts[0].name, "1984");
    assert_eq!(drafts[0].description.as_deref(), Some("Bolt & nut"));
    assert_eq!(
        Value::Object(drafts[0].data.clone()),
        json!({
            "mode": "new", "part_number": "B-0815", "price": 12.5,
            "ARTICLE_DETAILS": {"EAN": 4_001_234_567_890_u64, "KEYWORD": ["bolt", "steel"]},
            "ARTICLE_FEATURES": {"FEATURE": {"FNAME": "Size", "FVALUE": 8}},
            "ARTICLE_PRICE_DETAILS": {"ARTICLE_PRICE": [
                {"price_type": "net_list", "PRICE_CURRENCY": "EUR"},
                {"price_type": "net_customer", "PRICE_AMOUNT": 11},
            ]},
        })
    );
    assert_eq!(drafts[1].name, "Mutter");
    assert_eq!(
        Value::Object(drafts[1].data.clone()),
        json!({"part_number": "0042", "PRODUCT_DETAILS": {"DESCRIPTION_SHORT": {"lang": "deu"}}})
    );
}

#[test]
fn a_tag_wins_over_bmecat() {
    let (_, rows) = read(&bytes(BMECAT), &tagged(Some("FEATURE"))).expect("a file");
    assert_eq!(kinds(&rows), [Some("missing")]);
}

#[test]
fn without_a_tag_the_client_hears_what_there_is() {
    let file =
        bytes("<c:shop xmlns:c='urn:c'><c:part><name>x</name></c:part><c:part/><other/></c:shop>");
    for tag in [None, Some(" ")] {
        let (part, fault) = fault_of(&file, &tagged(tag));
        assert_eq!((part, fault.kind), ("record_tag", "missing"));
        assert!(
            fault.message.ends_with("part, name, other"),
            "{}",
            fault.message
        );
    }
    let large = format!("<a><b>{}</b><c/></a>", "x".repeat(1_200_000));
    let (part, fault) = fault_of(&bytes(large), &tagged(None));
    assert_eq!((part, fault.kind), ("record_tag", "missing"));
}

#[test]
fn a_tag_that_never_occurs_is_refused_at_the_end() {
    let file = bytes("<shop><part><name>x</name></part></shop>");
    let (part, fault) = fault_of(&file, &tagged(Some("item")));
    assert_eq!((part, fault.kind), ("record_tag", "missing"));
    assert!(fault.message.contains("'item'") && fault.message.ends_with("part, name"));
    let layout = Layout::detect(&file, &tagged(Some("item"))).expect("a layout");
    let rows = layout.read(&file, Cursor::default(), false).expect("rows");
    assert_eq!(rows.count(), 0);
    let empty = bytes("<BMECAT><T_NEW_CATALOG/></BMECAT>");
    let (part, fault) = fault_of(&empty, &tagged(None));
    assert_eq!((part, fault.kind), ("record_tag", "missing"));
}

#[test]
fn rows_are_found_at_any_depth_and_by_their_local_name() {
    let file = "<s:a xmlns:s='urn:s'><s:part><name>1</name></s:part><b><c><part><name>2</name>\
                <part><name>inner</name></part></part></c></b></s:a>";
    for tag in ["part", "s:part", " part "] {
        let (_, rows) = read(&bytes(file), &tagged(Some(tag))).expect("a file");
        let drafts: Vec<_> = rows
            .into_iter()
            .map(|row| row.draft.expect("a draft"))
            .collect();
        assert_eq!(drafts[0].name, "1");
        assert_eq!(drafts[1].name, "2");
        assert_eq!(drafts.len(), 2);
        assert_eq!(drafts[1].data["part"], json!({"name": "inner"}));
    }
}

#[test]
fn fields_come_from_attributes_and_elements() {
    let file = "<part id='007' name='a&amp;b' size='4'><size>5</size><price cur='EUR'>1.50</price>\
                <tag>x</tag><tag>y</tag><ok>true</ok><no/><note>&lt;&#65;&#x42;<![CDATA[<&>]]></note></part>";
    assert_eq!(drafts("a.xml", file)[0].name, "a&b");
    assert_eq!(
        data("a.xml", file),
        json!({
            "id": "007", "size": 5, "@size": 4, "price": {"cur": "EUR", "#text": 1.5},
            "tag": ["x", "y"], "ok": true, "note": "<AB<&>",
        })
    );
    let file = "<part><name lang='en'> 12.50 </name><source_id>007</source_id>\
                <description>true</description><data><a>1</a></data></part>";
    let draft = drafts("a.xml", file).remove(0);
    assert_eq!(draft.name, "12.50");
    assert_eq!(draft.source_id.as_deref(), Some("007"));
    assert_eq!(draft.description.as_deref(), Some("true"));
    assert_eq!(Value::Object(draft.data), json!({"a": 1}));
}

#[test]
fn a_bad_row_is_rejected_alone() {
    let nested = "<a>".repeat(40) + "1" + &"</a>".repeat(40);
    let file = format!(
        "<parts><part/><part><name><b>1</b></name></part><part><name>x</name><name>y</name></part>\
         <part><name>x</name><visibility>secret</visibility></part><part><name>x</name>{nested}</part>\
         <part><name>x</name><a>{}</a></part><part name='good'/></parts>",
        "y".repeat(50_000)
    );
    assert_eq!(
        kinds(&rows("a.xml", file)),
        [
            Some("missing"),
            Some("string_type"),
            Some("string_type"),
            Some("enum"),
            Some("too_deep"),
            Some("too_large"),
            None,
        ]
    );
}

#[test]
fn a_broken_file_is_refused_whole_and_says_where() {
    for (content, says) in [
        ("<parts>\n<part>\n</parts>", "line 3"),
        ("<parts>\n<part>", "line 2"),
        ("<parts/>\n<parts/>", "line 2"),
        ("<parts/>\n\ntext", "line 3"),
        ("<parts", "line 1"),
        ("<parts>\n<part a='1' a='2'/></parts>", "line 2"),
        ("<parts><part a=1/></parts>", "line 1"),
        ("<parts>AT&T</parts>", "line 1"),
        ("<parts>&#0;</parts>", "line 1"),
        ("<parts>\0</parts>", "NUL"),
        ("<parts><!-- </parts>", "line 1"),
        ("< parts></ parts>", "line 1"),
        ("<!-- nothing -->", "root"),
    ] {
        assert_eq!(
            fault("a.xml", content),
            ("file", "xml_invalid"),
            "{content}"
        );
        let message = message("a.xml", content);
        assert!(message.contains(says), "{content}: {message}");
    }
}

#[test]
fn reading_stops_at_the_first_error() {
    let file = bytes("<parts><part name='a'/><part name='b'/></p><part name='c'/></parts>");
    let layout = Layout::detect(&file, &hints("a.xml")).expect("a layout");
    let found: Vec<_> = layout
        .read(&file, Cursor::default(), true)
        .expect("rows")
        .collect();
    assert_eq!(found.len(), 3);
    assert!(found[0].is_ok() && found[1].is_ok());
    assert!(matches!(&found[2], Err(Error::Invalid("file", fault)) if fault.kind == "xml_invalid"));
}
