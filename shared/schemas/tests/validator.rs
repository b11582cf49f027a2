//! Which schemas are taken, what is said of the others, and what a row violates.

use model::fault::Step;
use model::{Fault, Faults};
use schemas::Validator;
use serde_json::{Map, Value, json};

fn refused(schema: &Value) -> Faults {
    Validator::parse(schema).expect_err("a fault")
}

/// A fault's path with slashes, and its kind.
fn place(fault: &Fault) -> (String, &'static str) {
    let steps = fault.path.iter().map(|step| match step {
        Step::Name(name) => name.clone(),
        Step::Index(index) => index.to_string(),
    });
    (steps.collect::<Vec<_>>().join("/"), fault.kind)
}

#[track_caller]
fn assert_refused(schema: &Value, path: &str, kind: &str) {
    let faults = refused(schema);
    let places: Vec<_> = faults.iter().map(place).collect();
    assert_eq!(places, [(path.to_owned(), kind)], "{schema}: {faults:?}");
}

fn object(data: Value) -> Map<String, Value> {
    match data {
        Value::Object(data) => data,
        other => panic!("{other}"),
    }
}

/// What is violated: pointer and message.
fn violations(schema: &Value, data: Value) -> Vec<(String, String)> {
    let validator = Validator::parse(schema).expect("a schema");
    let mut data = object(data);
    let before = data.clone();
    let faults = validator.check(&mut data);
    assert_eq!(data, before);
    faults
        .into_iter()
        .map(|fault| {
            assert_eq!(fault.kind, "schema_violation");
            (place(&fault).0, fault.message)
        })
        .collect()
}

fn pointers(schema: &Value, data: Value) -> Vec<String> {
    let mut pointers: Vec<String> = violations(schema, data)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    pointers.sort();
    pointers
}

#[test]
fn a_schema_is_an_object() {
    for schema in [
        json!(true),
        json!(false),
        json!(null),
        json!([]),
        json!("{}"),
        json!(7),
    ] {
        assert_refused(&schema, "", "model_attributes_type");
    }
    assert!(Validator::parse(&json!({})).is_ok());
}

#[test]
fn every_violation_is_told_by_its_pointer() {
    let schema = json!({
        "type": "object",
        "properties": {
            "sku": {"type": "string", "pattern": "^[A-Z]+-\\d+$"},
            "dims": {"type": "array", "items": {
                "properties": {"width": {"type": "number", "minimum": 0}},
                "required": ["width"],
            }},
            "a/b~c": {"const": 1},
            "price": {"type": "number"},
        },
        "required": ["sku", "price"],
        "additionalProperties": false,
    });
    let data = json!({
        "sku": "b-1", "dims": [{"width": -1}, {"width": 2}, {}], "a/b~c": 2, "more": 1,
    });
    assert_eq!(
        pointers(&schema, data),
        ["", "", "/a~1b~0c", "/dims/0/width", "/dims/2", "/sku"]
    );
    let data = json!({"sku": "B-1", "price": 1, "dims": [{"width": 0}], "a/b~c": 1});
    assert!(pointers(&schema, data).is_empty());
}

#[test]
fn a_message_says_what_is_asked_and_not_what_was_given() {
    let schema = json!({"properties": {
        "n": {"type": "integer"},
        "size": {"enum": ["S", "M"]},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "long": {"const": "x".repeat(1000)},
    }});
    let secret = "hunter2 ".repeat(1000);
    let data = json!({"n": secret, "size": secret, "either": [secret], "long": secret});
    let violations = violations(&schema, data);
    assert_eq!(violations.len(), 4);
    for (pointer, message) in violations {
        assert!(!message.contains("hunter2"), "{message}");
        assert!(message.chars().count() <= 300, "{message}");
        match pointer.as_str() {
            "/n" => assert_eq!(message, r#"Value is not of type "integer""#),
            "/size" => assert_eq!(message, r#"Value is not one of "S" or "M""#),
            "/either" => assert_eq!(
                message,
                r#"Value is not of type "string"; or Value is not of type "null""#
            ),
            _ => assert!(message.ends_with('\u{2026}'), "{message}"),
        }
    }
}

#[test]
fn a_row_has_at_most_a_hundred_violations() {
    let schema = json!({"additionalProperties": {"type": "string"}});
    let data: Map<String, Value> = (0..500).map(|n| (format!("f{n}"), json!(n))).collect();
    assert_eq!(violations(&schema, Value::Object(data)).len(), 100);
}

#[test]
fn known_formats_are_checked_and_others_are_not() {
    let schema = json!({"properties": {
        "at": {"format": "date-time"}, "mail": {"format": "email"}, "own": {"format": "part-number"},
    }});
    let bad = json!({"at": "yesterday", "mail": "nobody", "own": "?"});
    assert_eq!(pointers(&schema, bad), ["/at", "/mail"]);
    let good = json!({"at": "2026-03-08T12:00:00Z", "mail": "a@example.com", "own": "?"});
    assert!(pointers(&schema, good).is_empty());
}

#[test]
fn an_invalid_schema_is_told_at_its_place() {
    for (schema, path) in [
        (json!({"type": "strnig"}), "type"),
        (
            json!({"properties": {"sku": {"type": 7}}}),
            "properties/sku/type",
        ),
        (json!({"required": "sku"}), "required"),
        (json!({"properties": []}), "properties"),
        (json!({"allOf": [{}, {"minimum": "1"}]}), "allOf/1/minimum"),
        (json!({"allOf": []}), "allOf"),
        (
            json!({"$defs": {"a": {"maxLength": -1}}}),
            "$defs/a/maxLength",
        ),
        (json!({"items": [{}]}), "items"),
        (json!({"properties": {"a": 1}}), "properties/a"),
    ] {
        assert_refused(&schema, path, "schema_invalid");
    }
    let two = json!({"minimum": "1", "properties": {"a": {"maximum": "2"}}});
    let mut places: Vec<_> = refused(&two).iter().map(place).collect();
    places.sort();
    assert_eq!(
        places,
        [
            ("minimum".to_owned(), "schema_invalid"),
            ("properties/a/maximum".to_owned(), "schema_invalid")
        ]
    );
    assert!(!refused(&two)[0].message.is_empty());
}

#[test]
fn another_draft_is_refused_wherever_it_is_named() {
    let draft7 = "http://json-schema.org/draft-07/schema#";
    assert_refused(&json!({"$schema": draft7}), "$schema", "schema_draft");
    assert_refused(
        &json!({"$schema": "https://example.com/own"}),
        "$schema",
        "schema_draft",
    );
    let nested = json!({"$defs": {"a": {"$id": "https://example.com/a", "$schema": draft7}}});
    assert_refused(&nested, "$defs/a/$schema", "schema_draft");
    for own in [
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2020-12/schema#",
    ] {
        assert!(Validator::parse(&json!({"$schema": own})).is_ok());
    }
    // A property may have that name.
    assert!(Validator::parse(&json!({"properties": {"$schema": {"type": "string"}}})).is_ok());
}

#[test]
fn a_reference_stays_inside_the_schema() {
    for reference in [
        "https://example.com/schema.json",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "other.json",
        "//example.com/x",
        "https://example.com/schema.json#/$defs/a",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema#",
        "#/$defs/nothing",
        "#nothing",
        "https://json-schema.org/draft/2020-12/schema#/nothing",
        "::",
    ] {
        let schema = json!({"properties": {"a": {"$ref": reference}}});
        let faults = refused(&schema);
        assert_eq!(
            faults.iter().map(place).collect::<Vec<_>>(),
            [("properties/a/$ref".to_owned(), "schema_ref")],
            "{reference}"
        );
        let unused = json!({"$defs": {"unused": {"$ref": reference}}});
        assert_refused(&unused, "$defs/unused/$ref", "schema_ref");
    }
}

#[test]
fn references_inside_the_schema_and_to_the_metaschema_are_followed() {
    let schema = json!({
        "$id": "https://example.com/part",
        "$defs": {
            "size": {"$anchor": "size", "type": "integer"},
            "unit": {"$id": "unit", "enum": ["mm", "in"]},
            "a/b": {"type": "boolean"},
        },
        "properties": {
            "one": {"$ref": "#/$defs/size"},
            "two": {"$ref": "#size"},
            "three": {"$ref": "unit"},
            "four": {"$ref": "https://example.com/unit"},
            "five": {"$ref": "#/$defs/a~1b"},
            "six": {"$ref": "https://json-schema.org/draft/2020-12/schema"},
            "seven": {"$ref": "https://example.com/part#/properties/one"},
        },
    });
    let bad = json!({
        "one": "x", "two": "x", "three": "x", "four": "x", "five": "x", "six": {"type": 1}, "seven": "x",
    });
    assert_eq!(
        pointers(&schema, bad),
        [
            "/five",
            "/four",
            "/one",
            "/seven",
            "/six/type",
            "/three",
            "/two"
        ]
    );
}

#[test]
fn a_schema_may_refer_to_itself_for_the_parts_of_a_value() {
    let schema = json!({
        "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name"],
    });
    let data = json!({"name": "a", "parts": [{"name": "b", "parts": [{"name": 1}, {}]}]});
    assert_eq!(
        pointers(&schema, data),
        ["/parts/0/parts/0/name", "/parts/0/parts/1"]
    );
    let mut deep = json!({"name": "leaf"});
    for _ in 0..15 {
        deep = json!({"name": "node", "parts": [deep]});
    }
    assert!(pointers(&schema, deep).is_empty());
}

#[test]
fn a_schema_that_leads_back_to_itself_for_the_same_value_is_refused() {
    for (schema, path) in [
        (json!({"$ref": "#"}), ""),
        (json!({"allOf": [{"$ref": "#"}]}), ""),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {
                "x": {"anyOf": [{"$ref": "#/$defs/y"}]}, "y": {"not": {"$ref": "#/$defs/x"}},
            }}),
            "$defs/x",
        ),
    ] {
        assert_refused(&schema, path, "schema_ref");
    }
}

#[test]
fn a_pattern_is_matched_in_linear_time_or_refused() {
    for pattern in [
        "(a)\\1",
        "^(?=.*x)y",
        "(?<!a)b",
        "(",
        "(((\\p{L}{100}){100}){100}){100}",
    ] {
        let schema = json!({"properties": {"a": {"pattern": pattern}}});
        assert_refused(&schema, "properties/a/pattern", "schema_pattern");
        let mut schema = json!({"patternProperties": {}});
        schema["patternProperties"][pattern] = json!({});
        let faults = refused(&schema);
        assert_eq!(faults[0].kind, "schema_pattern", "{faults:?}");
        assert_eq!(
            faults[0].path,
            [
                Step::Name("patternProperties".to_owned()),
                Step::Name(pattern.to_owned())
            ]
        );
    }
    let long = json!({"pattern": "x".repeat(2_001)});
    assert_refused(&long, "pattern", "schema_pattern");

    let schema = json!({"properties": {"a": {"pattern": "^(a+)+$"}}});
    let data = json!({"a": format!("{}b", "a".repeat(40_000))});
    assert_eq!(pointers(&schema, data), ["/a"]);
}

#[test]
fn a_schema_has_at_most_a_hundred_different_patterns() {
    let with = |count: usize| {
        let properties =
            (0..count).map(|n| (format!("p{n}"), json!({"pattern": format!("a{n}+")})));
        json!({"properties": properties.collect::<Map<_, _>>()})
    };
    assert!(Validator::parse(&with(100)).is_ok());
    assert_eq!(refused(&with(101))[0].kind, "too_complex");
}

#[test]
fn a_large_or_deep_schema_is_refused_before_it_is_read() {
    let large = json!({"description": "x".repeat(schemas::MAX_BYTES)});
    assert_refused(&large, "", "too_large");
    let largest = "x".repeat(schemas::MAX_BYTES - json!({"description": ""}).to_string().len());
    assert!(Validator::parse(&json!({"description": largest})).is_ok());

    let deep = |levels: usize| {
        let mut schema = json!({});
        for _ in 1..levels {
            schema = json!({"not": schema});
        }
        schema
    };
    assert!(Validator::parse(&deep(32)).is_ok());
    assert_refused(&deep(33), "", "too_deep");
}

/// Each of `levels` definitions asks the next one twice.
fn doubling(levels: usize) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(format!("d{level}"), json!({"allOf": [next, next]}));
    }
    definitions.insert(format!("d{levels}"), json!({"maxProperties": 1}));
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

#[test]
fn a_schema_that_asks_one_value_without_end_is_refused() {
    assert_refused(&doubling(30), "", "too_complex");
    let chain: Map<String, Value> = (0..1_000)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/d{}", (n + 1).min(1_000))});
            (format!("d{n}"), next)
        })
        .chain([("d1000".to_owned(), json!({}))])
        .collect();
    assert_refused(
        &json!({"$ref": "#/$defs/d0", "$defs": chain}),
        "",
        "too_complex",
    );
    // The nodes of a list of alternatives are no such thing.
    let kinds: Vec<Value> = (0..300)
        .map(|n| json!({"properties": {"kind": {"const": format!("k{n}")}}, "required": ["kind"]}))
        .collect();
    let schema = json!({"oneOf": kinds});
    assert!(pointers(&schema, json!({"kind": "k7"})).is_empty());
    assert_eq!(pointers(&schema, json!({"kind": "k777"})), [""]);
}

#[test]
fn data_is_checked_as_deep_as_its_schema_can_be() {
    // Each level of the data is asked twice as often as the one above it.
    let schema = json!({
        "$defs": {"node": {"additionalProperties": {
            "allOf": [{"$ref": "#/$defs/node"}, {"$ref": "#/$defs/node"}],
        }}},
        "$ref": "#/$defs/node",
    });
    let nested = |levels: usize| {
        let mut data = json!({"leaf": 1});
        for _ in 1..levels {
            data = json!({"a": data});
        }
        data
    };
    assert!(pointers(&schema, nested(4)).is_empty());
    let violations = violations(&schema, nested(32));
    assert_eq!(violations.len(), 1);
    let (pointer, message) = &violations[0];
    assert_eq!(pointer, "");
    assert!(message.contains("too deep"), "{message}");
}

#[test]
fn a_row_with_too_many_violations_to_tell_has_one() {
    let rules: Vec<Value> = (0..2_000).map(|n| json!({"const": n})).collect();
    let schema = json!({"additionalProperties": {"allOf": rules}});
    let data: Map<String, Value> = (0..1_000).map(|n| (format!("f{n}"), json!("x"))).collect();
    assert_eq!(pointers(&schema, Value::Object(data)), [""]);
}

#[test]
fn a_kept_schema_is_the_same_again() {
    let schema = json!({"properties": {"a": {"type": "integer"}}});
    let validator = Validator::from_text(&schema.to_string()).expect("a schema");
    assert_eq!(validator.check(&mut object(json!({"a": "x"}))).len(), 1);
    assert!(Validator::from_text("{").is_err());
    assert!(Validator::from_text("7").is_err());
}

#[test]
fn a_validator_is_shared_by_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Validator::parse(&json!({})).expect("a schema"));
}
