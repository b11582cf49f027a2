//! Opening a file, and the first look through it.

use std::sync::Arc;

use api::{App, Error, Result};
use formats::{Hints, Source};
use model::id::TenantId;
use model::upload::Job;
use schemas::Validator;

use super::Run;
use crate::input::{Input, Target, failure};
use crate::look::{Look, layout};

impl Input {
    /// Finds out how a file is read, and what its rows are checked against.
    pub(crate) async fn open(
        app: &App,
        tenant: &TenantId,
        job: &mut Job,
        source: Arc<dyn Source>,
    ) -> Result<Self> {
        // The one that is current when the upload begins: one that comes later is for later uploads.
        let (table, of) = (&app.table, (&job.collection, &job.record_type));
        let kept = match job.schema {
            Some(version @ 1..) => {
                table
                    .find_schema_version(tenant, of.0, of.1, version)
                    .await?
            }
            _ => None,
        };
        let schema = match job.schema {
            Some(0) => None,
            // A collection that was deleted took its schemas with it.
            _ if kept.is_none() => table.find_schema(tenant, of.0, of.1).await?,
            _ => kept,
        };
        job.schema = Some(schema.as_ref().map_or(0, |schema| schema.version));
        let hints = hints(job);
        let whole = job.whole;
        let target = Target {
            tenant: tenant.clone(),
            collection: job.collection.clone(),
            record_type: job.record_type.clone(),
        };
        let open = move || {
            let schema = match schema {
                Some(kept) => {
                    let schema = Validator::from_text(&kept.schema);
                    let broken =
                        |_| Error::internal(std::io::Error::other("a kept schema is broken"));
                    Some(Arc::new(schema.map_err(broken)?))
                }
                None => None,
            };
            Ok::<_, Error>(Self {
                layout: layout(&source, &hints, whole).map_err(failure)?,
                source,
                schema,
                target,
            })
        };
        tokio::task::spawn_blocking(open).await?
    }
}

fn hints(job: &Job) -> Hints {
    Hints {
        file_name: job.file_name.clone(),
        name_column: job.name_column.clone(),
        record_tag: job.record_tag.clone(),
    }
}

impl Run<'_> {
    /// Looks through the file.
    pub(crate) async fn look(&mut self) -> Result<Look> {
        let summary = self.app.summary(self.tenant()).await?;
        let records = self.plan.limits().records;
        let wanted = records.map(|most| most.max(summary.records()));
        let known = summary.collection(&self.job.collection);
        let number = known.map_or(summary.caps.next_number(), |known| known.number);
        let mut look = self.look_as(number, wanted).await;
        if let Err(formats::Error::NotUtf8) = look {
            self.job.whole = true;
            let (source, hints) = (Arc::clone(&self.input.source), hints(&self.job));
            let again = move || layout(&source, &hints, true);
            self.input.layout = tokio::task::spawn_blocking(again).await?.map_err(failure)?;
            look = self.look_as(number, wanted).await;
        }
        let look = look.map_err(failure)?;
        let job = &mut self.job;
        job.rows = Some(look.rows);
        job.file_hash = Some(look.hash.clone());
        let layout = &self.input.layout;
        job.format = Some(layout.format().to_owned());
        job.encoding = Some(layout.encoding().to_owned());
        job.delimiter = layout.delimiter();
        Ok(look)
    }

    pub(super) async fn look_as(
        &self,
        number: u32,
        wanted: Option<u64>,
    ) -> std::result::Result<Look, formats::Error> {
        let input = self.input.clone();
        let look = move || Look::take(&input, number, wanted);
        let look = tokio::task::spawn_blocking(look).await;
        look.map_err(|error| formats::Error::Io(std::io::Error::other(error)))?
    }
}
