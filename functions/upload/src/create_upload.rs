//! `POST /portal/uploads`: announces a file that is too large for a request; the answer says where to
//! put it.

use std::collections::BTreeMap;
use std::io;

use api::{App, Body, Editor, Error, Idempotency, Replayable};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use files::Presigned;
use model::fault::{Fault, Fields, length, string};
use model::id::{CollectionName, RecordType, TenantId, UploadId};
use model::idempotency::{Attempt, Sha256Hex};
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

type Announcement = (StatusCode, [(HeaderName, HeaderValue); 1], Json<Answer>);

type Answered = Replayable<Announcement>;

pub(crate) async fn create_upload(
    State(app): State<App>,
    Editor(caller): Editor,
    idempotency: Idempotency,
    body: Body,
) -> api::Result<Answered> {
    let announced = body.parse(Announced::parse)?;
    let tenant = &caller.tenant;
    let attempt = idempotency.attempt(|| Sha256Hex::of(body.as_bytes()));
    let attempt = attempt.as_ref();
    if let Some(answered) = before(&app, tenant, attempt).await? {
        return Ok(answered);
    }
    let limit = app.table.plan(tenant).await?.limits().largest_upload;
    if announced.size_bytes > limit {
        let limit = limit / MB;
        let why = format!("The file is larger than the {limit} MB that the plan allows");
        return Err(Error::TooLarge(why));
    }
    let now = app.clock.now();
    let (id, size) = (app.ids.upload(now), announced.size_bytes);
    let presigned = app.files()?.presign(tenant, id, size, now).await?;
    let job = announced.into_job(id, now, presigned.expires_at);
    match app.table.create_upload(tenant, &job, attempt).await? {
        table::upload::Announced::Yes => Ok(Replayable::first(answer(id, presigned))),
        // One that went ahead of this.
        table::upload::Announced::Before => {
            let answered = before(&app, tenant, attempt).await?;
            answered.ok_or(Error::AtWork)
        }
    }
}

/// The answer to an earlier call under the same key: the address of the same upload until the same time,
/// signed again, because whoever has it may use it and so it is not kept.
async fn before(
    app: &App,
    tenant: &TenantId,
    attempt: Option<&Attempt>,
) -> api::Result<Option<Answered>> {
    let Some(earlier) = app.earlier(tenant, attempt).await? else {
        return Ok(None);
    };
    let unknown = |()| Error::internal(io::Error::other("a call made what is no upload"));
    let id: UploadId = earlier.made.parse().map_err(unknown)?;
    let Some(job) = app.table.find_upload(tenant, id).await? else {
        return Ok(None);
    };
    let presign = app
        .files()?
        .presign(tenant, id, job.size_bytes, job.created_at);
    Ok(Some(Replayable::again(answer(id, presign.await?))))
}

fn answer(upload_id: UploadId, presigned: Presigned) -> Announcement {
    let answer = Answer {
        upload_id,
        url: presigned.url,
        headers: presigned.headers,
        expires_at: presigned.expires_at,
    };
    // Whoever has the address may put the file there.
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, no_store, Json(answer))
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
