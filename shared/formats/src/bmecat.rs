//! Articles of `BMEcat` catalogues: what a record calls its own, out of where they keep it.

use serde_json::{Map, Value};

/// Texts that stay as they are written.
pub(crate) const TEXTS: [&str; 2] = ["DESCRIPTION_SHORT", "DESCRIPTION_LONG"];

/// Moves number, name, description and price of an article to the names that records have for them.
/// All else stays under its own tag.
pub(crate) fn flatten(article: &mut Map<String, Value>) {
    let number = ["SUPPLIER_AID", "SUPPLIER_PID"]
        .iter()
        .find_map(|tag| take(article, tag));
    put(article, "part_number", number);
    for (tag, name) in TEXTS.into_iter().zip(["name", "description"]) {
        let text = within(
            article,
            &["ARTICLE_DETAILS", "PRODUCT_DETAILS"],
            |details| take(details, tag),
        );
        put(article, name, text);
    }
    let price = within(
        article,
        &["ARTICLE_PRICE_DETAILS", "PRODUCT_PRICE_DETAILS"],
        |details| {
            within(details, &["ARTICLE_PRICE", "PRODUCT_PRICE"], |price| {
                take(price, "PRICE_AMOUNT")
            })
        },
    );
    put(article, "price", price);
}

fn put(article: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        article.insert(name.to_owned(), value);
    }
}

/// Looks into the first element of one of the tags, which goes if nothing is left in it.
fn within(
    object: &mut Map<String, Value>,
    tags: &[&str],
    look: impl Fn(&mut Map<String, Value>) -> Option<Value>,
) -> Option<Value> {
    for tag in tags {
        let Some(value) = object.get_mut(*tag) else {
            continue;
        };
        let (element, is_alone) = match value {
            Value::Array(elements) => (elements.first_mut(), false),
            value => (Some(value), true),
        };
        let Some(Value::Object(element)) = element else {
            continue;
        };
        if let Some(found) = look(element) {
            if is_alone && element.is_empty() {
                object.remove(*tag);
            }
            return Some(found);
        }
    }
    None
}

/// Takes the text of the first element of a tag; its attributes and the other elements stay.
fn take(object: &mut Map<String, Value>, tag: &str) -> Option<Value> {
    let mut left = match object.remove(tag)? {
        Value::Array(elements) => elements,
        element => vec![element],
    };
    let text = match left.first_mut() {
        Some(Value::Object(element)) => {
            let text = element.remove("#text");
            if element.is_empty() {
                left.remove(0);
            }
            text
        }
        Some(_) => Some(left.remove(0)),
        None => None,
    };
    let left = match left.len() {
        0 => None,
        1 => left.pop(),
        _ => Some(Value::Array(left)),
    };
    put(object, tag, left);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flat(article: Value) -> Value {
        let Value::Object(mut article) = article else {
            panic!("{article}");
        };
        flatten(&mut article);
        Value::Object(article)
    }

    #[test]
    fn an_article_has_a_records_fields() {
        let article = json!({
            "mode": "new",
            "SUPPLIER_AID": "B-1",
            "ARTICLE_DETAILS": {"DESCRIPTION_SHORT": "Bolt", "DESCRIPTION_LONG": "Steel", "EAN": 1},
            "ARTICLE_PRICE_DETAILS": {"ARTICLE_PRICE": [
                {"PRICE_AMOUNT": 1.5, "PRICE_CURRENCY": "EUR"},
                {"PRICE_AMOUNT": 1.2, "LOWER_BOUND": 100},
            ]},
        });
        let expected = json!({
            "mode": "new", "part_number": "B-1", "name": "Bolt", "description": "Steel", "price": 1.5,
            "ARTICLE_DETAILS": {"EAN": 1},
            "ARTICLE_PRICE_DETAILS": {"ARTICLE_PRICE": [
                {"PRICE_CURRENCY": "EUR"},
                {"PRICE_AMOUNT": 1.2, "LOWER_BOUND": 100},
            ]},
        });
        assert_eq!(flat(article), expected);
    }

    #[test]
    fn attributes_and_other_languages_stay() {
        let article = json!({
            "SUPPLIER_PID": {"type": "own", "#text": 7},
            "PRODUCT_DETAILS": {"DESCRIPTION_SHORT": [
                {"lang": "deu", "#text": "Schraube"}, {"lang": "eng", "#text": "Bolt"},
            ]},
            "PRODUCT_PRICE_DETAILS": {"PRODUCT_PRICE": {"PRICE_AMOUNT": 2}},
        });
        let expected = json!({
            "part_number": 7, "name": "Schraube", "price": 2,
            "SUPPLIER_PID": {"type": "own"},
            "PRODUCT_DETAILS": {"DESCRIPTION_SHORT": [
                {"lang": "deu"}, {"lang": "eng", "#text": "Bolt"},
            ]},
        });
        assert_eq!(flat(article), expected);
    }
}
