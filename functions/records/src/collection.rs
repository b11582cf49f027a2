//! A collection as the main API shows it.

use std::collections::BTreeSet;

use api::{App, Error, Place, Result};
use model::id::{CollectionName, RecordType, TenantId};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Shown {
    pub(crate) collection: CollectionName,
    description: Option<String>,
    category: Option<String>,
    record_types: BTreeSet<RecordType>,
    record_count: u64,
    has_schema: bool,
}

impl Shown {
    /// All collections of a tenant, in the order of their names.
    pub(crate) async fn all(app: &App, tenant: &TenantId) -> Result<Vec<Self>> {
        let (summary, with_schema) =
            tokio::join!(app.summary(tenant), app.table.types_with_schema(tenant));
        let (summary, with_schema) = (summary?, with_schema?);
        let shown = summary
            .collections
            .into_iter()
            .map(|(collection, counts)| Self {
                has_schema: with_schema.contains_key(&collection.name),
                collection: collection.name,
                description: collection.description,
                category: collection.category,
                record_types: collection.record_types,
                record_count: counts.total,
            });
        Ok(shown.collect())
    }
}

pub(crate) fn not_found() -> Error {
    Error::NotFound("Collection")
}

/// The name of a collection in the path, where it stands as `part`.
pub(crate) fn named(part: &str, text: &str) -> Result<CollectionName> {
    let parsed = text.parse::<CollectionName>();
    parsed.map_err(|fault| Error::invalid(Place::Path, part, fault))
}
