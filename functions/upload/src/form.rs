//! The multipart form: one file and what the client says about it.

use std::io::{self, Read, Write};
use std::sync::Arc;

use api::{Error, Place, Result};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use formats::{OpenFile, Source};
use futures_util::{Stream, StreamExt, stream};
use model::fault::{Fault, length};
use model::idempotency::{Hashing, Sha256Hex};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tempfile::{SpooledData, SpooledTempFile};

/// The largest file that a request may carry, whatever the plan; larger ones take another way.
const MAX_FILE: u64 = 50 * 1024 * 1024;

/// More parts than this are no upload.
const MAX_PARTS: usize = 100;

/// How many bytes of the body are taken at once.
const PIECE: usize = 1024 * 1024;

/// The largest file that is kept in memory, in bytes.
const IN_MEMORY: usize = 4 * 1024 * 1024;

/// The longest boundary that RFC 2046 allows.
const MAX_BOUNDARY: usize = 70;

/// What the form may need beside the file.
const OVERHEAD: u64 = 1024 * 1024;

/// The longest text of the form, in characters.
pub(crate) const MAX_TEXT: usize = 200;

/// An upload as the client sent it.
pub(crate) struct Form {
    pub(crate) file: File,
    /// The CSV column that holds the name.
    pub(crate) name_column: Option<String>,
    /// The XML element that is a record.
    pub(crate) record_tag: Option<String>,
    /// What the client calls the source.
    pub(crate) source_name: Option<String>,
}

pub(crate) struct File {
    /// As the client named it; only its ending is looked at.
    pub(crate) name: String,
    pub(crate) content: Arc<dyn Source>,
}

impl Form {
    /// Reads the form. `plan_limit` is the plan's largest upload, in bytes.
    pub(crate) async fn read(request: Request, plan_limit: u64) -> Result<Self> {
        let limit = plan_limit.min(MAX_FILE);
        let (parts, body) = request.into_parts();
        let announced = header_number(&parts.headers);
        if announced.is_some_and(|bytes| bytes > limit + OVERHEAD) {
            return Err(too_large(limit));
        }
        let (first, rest) = not_empty(body).await?;
        let boundary = boundary(&parts.headers)?;
        // An empty line may stand in front of it.
        if !first.trim_ascii_start().starts_with(b"-") {
            return Err(malformed_form("The form has to begin with its boundary"));
        }
        let stream = coarse(stream::iter([Ok(first)]).chain(rest));
        let whole = SizeLimit::new().whole_stream(limit + OVERHEAD);
        let constraints = Constraints::new().size_limit(whole);
        let mut multipart = Multipart::with_constraints(stream, boundary, constraints);
        let malformed = |error| malformed(error, limit);
        let (mut file, mut name_column) = (None, None);
        let (mut record_tag, mut source_name) = (None, None);
        for count in 0.. {
            let Some(part) = multipart.next_field().await.map_err(malformed)? else {
                break;
            };
            if count == MAX_PARTS {
                return Err(malformed_form("The form has too many parts"));
            }
            match part.name().map(str::to_owned).as_deref() {
                Some("file") => {
                    once(&mut file, "file", read_file(part, limit).await?)?;
                }
                Some("name_column") => {
                    once(
                        &mut name_column,
                        "name_column",
                        read_text(part, "name_column", limit).await?,
                    )?;
                }
                Some("record_tag") => {
                    let text = read_text(part, "record_tag", limit).await?;
                    let tag = tag(&text).map_err(|fault| field_fault("record_tag", fault))?;
                    once(&mut record_tag, "record_tag", tag)?;
                }
                Some("source_name") => {
                    once(
                        &mut source_name,
                        "source_name",
                        read_text(part, "source_name", limit).await?,
                    )?;
                }
                Some(_) => skip(part, limit).await?,
                None => {
                    return Err(malformed_form("A part of the form has no name"));
                }
            }
        }
        let file = file.ok_or_else(|| field_fault("file", Fault::missing()))?;
        Ok(Self {
            file,
            name_column,
            record_tag,
            source_name,
        })
    }

    /// A hash of all that it says: the same file has the same, whatever boundary it was sent with.
    pub(crate) fn hash(&self) -> io::Result<Sha256Hex> {
        let mut hashing = Hashing::default();
        hashing.part(self.file.name.as_bytes());
        for text in [&self.name_column, &self.record_tag, &self.source_name] {
            hashing.optional(text.as_deref());
        }
        let mut content = self.file.content.open(0)?;
        let mut piece = vec![0; PIECE];
        loop {
            match content.read(&mut piece)? {
                0 => return Ok(hashing.finish()),
                length => hashing.piece(&piece[..length]),
            }
        }
    }
}

fn header_number(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn fault(fault: Fault) -> Error {
    Error::Invalid(Place::Body, vec![fault])
}

pub(crate) fn field_fault(name: &str, fault: Fault) -> Error {
    Error::invalid(Place::Body, name, fault)
}

fn too_large(limit: u64) -> Error {
    let larger = "; announce a larger one by POST /portal/uploads";
    Error::TooLarge(format!(
        "The file is larger than the {} MB that this request may carry{}",
        limit / (1024 * 1024),
        // A plan's own limit holds there, too.
        if limit == MAX_FILE { larger } else { "" }
    ))
}

const INCOMPLETE: &str = "The body ended before it was complete";

fn malformed_form(message: impl Into<String>) -> Error {
    fault(Fault::new("multipart_invalid", message))
}

fn malformed(error: multer::Error, limit: u64) -> Error {
    match error {
        multer::Error::StreamSizeExceeded { .. } => too_large(limit),
        // What the stream says would be about our insides.
        multer::Error::StreamReadFailed(_) => malformed_form(INCOMPLETE),
        error => malformed_form(format!("The form cannot be read: {error}")),
    }
}

/// The first bytes of the body and the rest, if there is one.
async fn not_empty(body: Body) -> Result<(Bytes, BodyDataStream)> {
    let mut data = body.into_data_stream();
    loop {
        match data.next().await {
            None => return Err(fault(Fault::missing())),
            Some(Ok(first)) if first.is_empty() => {}
            Some(Ok(first)) => return Ok((first, data)),
            Some(Err(_)) => return Err(malformed_form(INCOMPLETE)),
        }
    }
}

/// The same bytes in pieces of about [`PIECE`]. What reads the form looks through the header of a
/// part from its start with each piece that comes, so a long one in small pieces would take for ever.
fn coarse<E>(
    stream: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
) -> impl Stream<Item = std::result::Result<Bytes, E>> {
    stream::unfold(stream, |mut stream| async {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            match stream.next().await {
                Some(Ok(bytes)) => piece.extend_from_slice(&bytes),
                Some(Err(error)) => return Some((Err(error), stream)),
                None => break,
            }
        }
        (!piece.is_empty()).then(|| (Ok(Bytes::from(piece)), stream))
    })
}

fn boundary(headers: &HeaderMap) -> Result<String> {
    let wrong_type =
        || Error::UnsupportedMediaType("The body has to be multipart/form-data".to_owned());
    let identity = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !identity {
        return Err(Error::UnsupportedMediaType(
            "Compressed bodies are not taken".to_owned(),
        ));
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(wrong_type)?;
    let boundary = multer::parse_boundary(content_type).map_err(|error| match error {
        multer::Error::NoBoundary => malformed_form("The Content-Type names no boundary"),
        _ => wrong_type(),
    })?;
    if boundary.len() > MAX_BOUNDARY {
        return Err(malformed_form(format!(
            "The boundary has more than {MAX_BOUNDARY} characters"
        )));
    }
    Ok(boundary)
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(field_fault(
            name,
            Fault::new("value_error", "The field stands in the form more than once"),
        ));
    }
    Ok(())
}

/// Reads a file. A large one is kept on the disk, where nobody else finds it.
async fn read_file(mut part: Field<'_>, limit: u64) -> Result<File> {
    let name = ending_of(part.file_name().unwrap_or_default());
    let (mut spool, mut length) = (SpooledTempFile::new(IN_MEMORY), 0);
    while let Some(chunk) = part
        .chunk()
        .await
        .map_err(|error| malformed(error, limit))?
    {
        length += chunk.len() as u64;
        if length > limit {
            drop(spool);
            // Take in what is still coming, so that the client reads the answer.
            let _ = skip(part, OVERHEAD).await;
            return Err(too_large(limit));
        }
        let written = tokio::task::spawn_blocking(move || {
            spool.write_all(&chunk)?;
            Ok::<_, io::Error>(spool)
        });
        spool = written.await?.map_err(Error::internal)?;
    }
    let content: Arc<dyn Source> = match spool.into_inner() {
        SpooledData::InMemory(bytes) => Arc::new(Bytes::from(bytes.into_inner())),
        SpooledData::OnDisk(file) => Arc::new(OpenFile::new(file).map_err(Error::internal)?),
    };
    Ok(File { name, content })
}

async fn read_text(mut part: Field<'_>, name: &str, limit: u64) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part
        .chunk()
        .await
        .map_err(|error| malformed(error, limit))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > 4 * MAX_TEXT {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    length(&text, 1, MAX_TEXT).map_err(|fault| field_fault(name, fault))?;
    Ok(text)
}

/// The last characters of a name: its ending says something of the file.
fn ending_of(name: &str) -> String {
    let cut = name.char_indices().rev().nth(MAX_TEXT - 1);
    name[cut.map_or(0, |(start, _)| start)..].to_owned()
}

/// The name of an XML element.
pub(crate) fn tag(text: &str) -> std::result::Result<String, Fault> {
    let text = text.trim();
    length(text, 1, MAX_TEXT)?;
    if text.contains(|c: char| c.is_whitespace() || "<>&/\"'=".contains(c)) {
        let message = "Input should be the name of an XML element";
        return Err(Fault::new("value_error", message));
    }
    Ok(text.to_owned())
}

async fn skip(mut part: Field<'_>, limit: u64) -> Result<()> {
    let mut skipped = 0;
    while let Some(chunk) = part
        .chunk()
        .await
        .map_err(|error| malformed(error, limit))?
    {
        skipped += chunk.len() as u64;
        if skipped > limit {
            return Err(too_large(limit));
        }
    }
    Ok(())
}
