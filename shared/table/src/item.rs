//! Items and keys: the one place that builds them and the one that reads them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// An item as the SDK knows it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Where an item lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    pub(crate) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    /// The key as the SDK takes it.
    pub(crate) fn item(&self) -> Item {
        Item::from([
            ("pk".to_owned(), text(&self.pk)),
            ("sk".to_owned(), text(&self.sk)),
        ])
    }

    /// The key of `item`.
    pub(crate) fn of(item: &Item) -> Self {
        let part = |name| item.get(name).and_then(|value| value.as_s().ok());
        Self {
            pk: part("pk").cloned().unwrap_or_default(),
            sk: part("sk").cloned().unwrap_or_default(),
        }
    }

    fn corrupt(self, reason: impl ToString) -> Error {
        Error::Corrupt {
            pk: self.pk,
            sk: self.sk,
            reason: reason.to_string(),
        }
    }
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The value of one attribute.
pub(crate) fn value(value: &impl Serialize) -> Result<AttributeValue> {
    serde_dynamo::to_attribute_value(value).map_err(|error| Error::Refused(Box::new(error)))
}

/// Builds an item. A `None` is left out: serde would write it as a NULL, which `if_not_exists`
/// takes for a value.
pub(crate) fn build(key: &Key, body: &impl Serialize) -> Result<Item> {
    let mut item: Item = serde_dynamo::to_item(body).map_err(|error| key.clone().corrupt(error))?;
    item.retain(|_, value| !value.is_null());
    item.extend(key.item());
    Ok(item)
}

/// Reads an item.
pub(crate) fn read<T: DeserializeOwned>(item: Item) -> Result<T> {
    let key = Key::of(&item);
    serde_dynamo::from_item(item).map_err(|error| key.corrupt(error))
}

/// For `#[serde(with)]`: a moment of one width, so that text order is time order.
pub(crate) mod moment {
    use model::time::{Moment, stored};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(moment: &Moment, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&stored(*moment))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Moment, D::Error> {
        Moment::deserialize(from)
    }
}

/// For `#[serde(with)]`: a moment or none.
pub(crate) mod moment_option {
    use model::time::{Moment, stored};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        moment: &Option<Moment>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        moment.map(stored).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Moment>, D::Error> {
        Option::deserialize(from)
    }
}
