//! `POST /portal/uploads`: announces a file that is too large for a request; the answer says where to
//! put it.

use std::collections::BTreeMap;
use std::io;

use api::{App, Body, Editor, Error};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use model::fault::{Fault, Fields, length, string};
use model::id::{CollectionName, RecordType, UploadId};
use model::time::{Moment, shown};
use model::upload::{Job, Way};
use model::{Faults, fault};
use serde::Serialize;
use serde_json::Value;

use crate::form::{MAX_TEXT, tag};

const MB: u64 = 1024 * 1024;

/// What is known of a file before it comes.
struct Announced {
    collection: CollectionName,
    record_type: RecordType,
    file_name: String,
    size_bytes: u64,
    name_column: Option<String>,
    record_tag: Option<String>,
    source_name: Option<String>,
}

/// Where the file goes.
#[derive(Serialize)]
pub(crate) struct Answer {
    upload_id: UploadId,
    url: String,
    headers: BTreeMap<&'static str, String>,
    #[serde(serialize_with = "shown")]
    expires_at: Moment,
}

pub(crate) async fn create_upload(
    State(app): State<App>,
    Editor(caller): Editor,
    body: Body,
) -> api::Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<Answer>)> {
    let announced = body.parse(Announced::parse)?;
    let limit = app
        .table
        .plan(&caller.tenant)
        .await?
        .limits()
        .largest_upload;
    if announced.size_bytes > limit {
        let limit = limit / MB;
        let why = format!("The file is larger than the {limit} MB that the plan allows");
        return Err(Error::TooLarge(why));
    }
    let now = app.clock.now();
    let (tenant, id, size) = (&caller.tenant, app.ids.upload(now), announced.size_bytes);
    let presigned = app.files()?.presign(tenant, id, size, now).await?;
    let job = announced.into_job(id, now, presigned.expires_at);
    if !app.table.create_upload(tenant, &job).await? {
        return Err(Error::internal(io::Error::other("two uploads have one id")));
    }
    let answer = Answer {
        upload_id: id,
        url: presigned.url,
        headers: presigned.headers,
        expires_at: presigned.expires_at,
    };
    // Whoever has the address may put the file there.
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(answer)))
}

impl Announced {
    /// Parses the body.
    fn parse(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let collection = fields.required("collection", |value| {
            string(value)?.parse::<CollectionName>()
        });
        let record_type =
            fields.required("record_type", |value| string(value)?.parse::<RecordType>());
        let file_name = fields.required("file_name", text);
        let size_bytes = fields.required("size_bytes", size);
        let name_column = fields.optional("name_column", text);
        let record_tag = fields.optional("record_tag", |value| tag(string(value)?));
        let source_name = fields.optional("source_name", text);
        match (
            (collection, record_type, file_name, size_bytes),
            (name_column, record_tag, source_name),
        ) {
            (
                (Some(collection), Some(record_type), Some(file_name), Some(size_bytes)),
                (Some(name_column), Some(record_tag), Some(source_name)),
            ) => Ok(Self {
                collection,
                record_type,
                file_name,
                size_bytes,
                name_column,
                record_tag,
                source_name,
            }),
            _ => Err(fields.into_faults()),
        }
    }

    /// The upload, whose file may arrive until a moment.
    fn into_job(self, id: UploadId, now: Moment, until: Moment) -> Job {
        Job {
            file_name: self.file_name,
            size_bytes: self.size_bytes,
            name_column: self.name_column,
            record_tag: self.record_tag,
            source_name: self.source_name,
            until,
            ..Job::new(id, self.collection, self.record_type, Way::File, now)
        }
    }
}

fn text(value: &Value) -> Result<String, Fault> {
    let text = string(value)?.trim();
    length(text, 1, MAX_TEXT)?;
    Ok(text.to_owned())
}

/// A number of bytes, of which there has to be one.
fn size(value: &Value) -> Result<u64, Fault> {
    match value.as_u64() {
        Some(bytes @ 1..) => Ok(bytes),
        // Says what is wrong with any other.
        _ => fault::integer(value, 1, u32::MAX).map(u64::from),
    }
}
