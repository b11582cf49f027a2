//! How a file goes to the API: with the request, or, a large one, to an address of its own.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};
use model::upload::{RowError, Status, Summary};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::api::{Api, Refusal};
use super::report::{LISTED, Outcome};
use crate::cli::Upload;

/// The largest file that goes with the request.
const LARGEST_WITH_REQUEST: u64 = 50 * 1024 * 1024;

/// How much of a file is in memory.
const CHUNK: usize = 256 * 1024;

/// How long to wait between two looks at an upload: at first, and at most.
const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(2);

/// How long the service may be away while it has the file.
const PATIENCE: Duration = Duration::from_mins(1);

/// A file as it was when it was opened.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    pub(super) name: String,
    size: u64,
    modified: SystemTime,
}

impl File {
    /// A file that can be read.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read {}", path.display());
        let file = tokio::fs::File::open(path).await.with_context(cannot)?;
        let metadata = file.metadata().await.with_context(cannot)?;
        if !metadata.is_file() {
            bail!("{} is not a file", path.display());
        }
        let name = path.file_name().unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            name: name.to_string_lossy().into_owned(),
            size: metadata.len(),
            modified: metadata.modified().with_context(cannot)?,
        })
    }

    /// What differs when it has changed.
    pub(super) fn state(&self) -> (u64, SystemTime) {
        (self.size, self.modified)
    }

    /// Its bytes; the bar tells how many are sent.
    async fn body(&self, bar: &ProgressBar) -> Result<Body> {
        let file = tokio::fs::File::open(&self.path).await;
        let file = file.with_context(|| format!("cannot read {}", self.path.display()))?;
        bar.set_message("sending");
        bar.set_position(0);
        let bar = bar.clone();
        let chunks = stream::try_unfold((file, self.size), move |(mut file, left)| {
            let bar = bar.clone();
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
                let mut chunk = vec![0; most];
                let read = file.read(&mut chunk).await?;
                if read == 0 {
                    let what = "the file became shorter while it was sent";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                chunk.truncate(read);
                let left = left - read as u64;
                bar.inc(read as u64);
                if left == 0 {
                    bar.set_message("processing");
                }
                Ok(Some((chunk, (file, left))))
            }
        });
        Ok(Body::wrap_stream(chunks))
    }
}

/// Sends a file and waits until its rows are written.
pub(super) async fn send(api: &Api, args: &Upload, file: &File) -> Result<Outcome> {
    let bar = bar(file.size);
    if file.size <= LARGEST_WITH_REQUEST {
        match with_request(api, args, file, &bar).await {
            // API Gateway takes far less with a request than the service does. If it is the plan
            // that takes no more, the other way says so too.
            Err(error) if is_too_large(&error) => {}
            outcome => return outcome,
        }
    }
    by_address(api, args, file, &bar).await
}

#[derive(Debug, Deserialize)]
struct Answer {
    upload_id: String,
    status: Status,
    summary: Summary,
    errors: Vec<RowError>,
}

async fn with_request(api: &Api, args: &Upload, file: &File, bar: &ProgressBar) -> Result<Outcome> {
    let path = format!(
        "/portal/upload/{}/{}/upload",
        args.collection, args.record_type
    );
    let form = async || {
        let mut form = Form::new();
        for (name, value) in hints(args) {
            form = form.text(name, value);
        }
        let body = file.body(bar).await?;
        let part = Part::stream_with_length(body, file.size).file_name(file.name.clone());
        anyhow::Ok(form.part("file", part))
    };
    let answer: Answer = api.post_form(bar, &path, form).await?;
    Ok(Outcome {
        id: answer.upload_id,
        status: answer.status,
        summary: answer.summary,
        detail: None,
        errors: answer.errors,
    })
}

#[derive(Debug, Deserialize)]
struct Announced {
    upload_id: String,
    url: String,
    headers: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Job {
    status: Status,
    summary: Summary,
    progress: Progress,
    detail: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Progress {
    bytes: u64,
    total_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Errors {
    errors: Vec<RowError>,
}

async fn by_address(api: &Api, args: &Upload, file: &File, bar: &ProgressBar) -> Result<Outcome> {
    let mut body = json!({
        "collection": args.collection,
        "record_type": args.record_type,
        "file_name": file.name,
        "size_bytes": file.size,
    });
    for (name, value) in hints(args) {
        body[name] = value.into();
    }
    let announced: Announced = api.post(bar, "/portal/uploads", &body).await?;
    let mut headers = HeaderMap::new();
    for (name, value) in &announced.headers {
        headers.insert(name.parse::<HeaderName>()?, value.parse()?);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(file.size));
    let content = async || file.body(bar).await;
    api.put(bar, &announced.url, &headers, content).await?;

    let id = announced.upload_id;
    let path = format!("/portal/uploads/{id}");
    let job = ended(api, &path, bar).await?;
    let errors = if job.summary.rejected > 0 {
        let path = format!("{path}/errors?limit={LISTED}");
        api.get::<Errors>(bar, &path).await?.errors
    } else {
        Vec::new()
    };
    Ok(Outcome {
        id,
        status: job.status,
        summary: job.summary,
        detail: job.detail,
        errors,
    })
}

/// Waits for the end of an upload. The service may be restarted meanwhile: it goes on with it.
async fn ended(api: &Api, path: &str, bar: &ProgressBar) -> Result<Job> {
    bar.reset();
    let (mut pause, mut heard) = (SOON, Instant::now());
    loop {
        tokio::time::sleep(pause).await;
        pause = LATER.min(pause * 2);
        let job: Job = match api.get(bar, path).await {
            Err(error) if !error.is::<Refusal>() && heard.elapsed() < PATIENCE => continue,
            job => job?,
        };
        heard = Instant::now();
        if matches!(job.status, Status::Complete | Status::Failed) {
            return Ok(job);
        }
        bar.set_message("processing");
        bar.set_length(job.progress.total_bytes);
        bar.set_position(job.progress.bytes);
    }
}

/// What the client says about the file, by the names that the API has for it.
fn hints(args: &Upload) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("name_column", args.name_column.clone()),
        ("record_tag", args.record_tag.clone()),
        ("source_name", args.source_name.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

fn is_too_large(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| refusal.status == StatusCode::PAYLOAD_TOO_LARGE)
}

/// A bar of bytes, which nobody sees where there is no terminal.
fn bar(size: u64) -> ProgressBar {
    let template = "{msg:12} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {elapsed}";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(size).with_style(style);
    bar.enable_steady_tick(SOON);
    bar
}
