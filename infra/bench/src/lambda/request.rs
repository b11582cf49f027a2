//! Requests of HTTP/1.1, as much of it as the client of the Lambda runtime speaks.

use std::str;

use anyhow::{Context, Result};

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Takes the first request out of what came; `None` while it is not whole.
    pub(crate) fn take(came: &mut Vec<u8>) -> Result<Option<Self>> {
        let Some((request, length)) = Self::parse(came)? else {
            return Ok(None);
        };
        came.drain(..length);
        Ok(Some(request))
    }

    /// The first request and its length.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&bytes[..end]).context("a head is not text")?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let method = words.next().context("a request without a method")?;
        let path = words.next().context("a request without a path")?;
        let (mut length, mut chunked) = (0, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("a body without a length")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = true;
            }
        }
        let rest = &bytes[end + 4..];
        let body = if chunked {
            join(rest)?
        } else {
            rest.get(..length).map(|body| (body.to_vec(), length))
        };
        Ok(body.map(|(body, length)| {
            let request = Self {
                method: method.to_owned(),
                path: path.to_owned(),
                body,
            };
            (request, end + 4 + length)
        }))
    }
}

/// What the chunks at the start hold, and their length up to the end of the trailers.
fn join(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(line) = find(&bytes[at..], b"\r\n") {
        let size = str::from_utf8(&bytes[at..at + line]).context("a size is not text")?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a chunk without a size")?;
        at += line + 2;
        if size == 0 {
            // The trailers end with an empty line.
            while let Some(line) = find(&bytes[at..], b"\r\n") {
                at += line + 2;
                if line == 0 {
                    return Ok(Some((body, at)));
                }
            }
            return Ok(None);
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(&chunk[..size]);
        at += chunk.len();
    }
    Ok(None)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, body: &str) -> Request {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.into(),
        }
    }

    /// Takes what is in a text that comes byte by byte.
    fn all(text: &str) -> Vec<Request> {
        let (mut came, mut taken) = (Vec::new(), Vec::new());
        for byte in text.bytes() {
            came.push(byte);
            taken.extend(Request::take(&mut came).unwrap());
        }
        assert!(came.is_empty(), "{came:?} is left");
        taken
    }

    #[test]
    fn a_request_is_taken_once_it_is_whole() {
        let text = "POST /a HTTP/1.1\r\nHost: b\r\ncontent-length: 5\r\n\r\n{\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
        let expected = [request("POST", "/a", "{\r\n\r\n"), request("GET", "/b", "")];
        assert_eq!(all(text), expected);
    }

    #[test]
    fn chunks_are_joined() {
        let head = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = "3\r\n{\r\n\r\nA;x=y\r\n\"12345678\"\r\n0\r\nTrailer: z\r\n\r\n";
        let next = "GET /b HTTP/1.1\r\n\r\n";
        let expected = [
            request("POST", "/a", "{\r\n\"12345678\""),
            request("GET", "/b", ""),
        ];
        assert_eq!(all(&[head, chunks, next].concat()), expected);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for text in ["GET\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
            assert!(Request::take(&mut text.into()).is_err(), "{text}");
        }
    }
}
