//! A multipart form, built by hand so that broken ones can be built too.

use axum::body::Body;

const BOUNDARY: &str = "a-boundary-that-no-file-has";

/// A form.
#[derive(Debug, Clone, Default)]
pub struct Form {
    bytes: Vec<u8>,
}

impl Form {
    /// An empty form.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the part `file`.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let disposition = format!("form-data; name=\"file\"; filename=\"{name}\"");
        self.part(&disposition, content)
    }

    /// Adds a text part.
    #[must_use]
    pub fn text(self, name: &str, text: &str) -> Self {
        self.part(&format!("form-data; name=\"{name}\""), text)
    }

    /// Adds any part.
    #[must_use]
    pub fn part(mut self, disposition: &str, content: impl AsRef<[u8]>) -> Self {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n");
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(content.as_ref());
        self.bytes.extend_from_slice(b"\r\n");
        self
    }

    /// The header that says what the body is.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    /// The body, with its final boundary.
    pub fn body(mut self) -> Body {
        self.bytes
            .extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        Body::from(self.bytes)
    }

    /// The body without its end.
    pub fn unfinished(self) -> Body {
        Body::from(self.bytes)
    }
}
