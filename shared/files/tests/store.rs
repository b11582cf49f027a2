//! The store of files, in a folder and in memory.

use std::io::Read;
use std::path::Path;

use axum::extract::Query;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use files::{Door, Files, Grant, Received, Refused};
use futures_util::stream;
use model::id::{TenantId, UploadId};
use model::time::Moment;
use tempfile::TempDir;

const BASE: &str = "http://127.0.0.1:3000";

fn tenant() -> TenantId {
    "t_acme".parse().expect("a good one")
}

fn upload(last: u8) -> UploadId {
    let text = format!("019cc9f0-7a00-7000-8000-0000000000{last:02x}");
    text.parse().expect("a good one")
}

fn now() -> Moment {
    "2026-03-08T12:00:00Z".parse().expect("a good one")
}

fn door() -> Door {
    Door::new(BASE, b"0123456789abcdef0123456789abcdef")
}

fn in_folder(folder: &Path) -> Files {
    let address = objects::address_of(folder).expect("a good one");
    Files::open(&address, None, Some(door())).expect("a good one")
}

fn both(folder: &TempDir) -> [Files; 2] {
    let memory = Files::open("memory:///", None, Some(door())).expect("a good one");
    [in_folder(folder.path()), memory]
}

/// Sends a body in pieces.
async fn send(files: &Files, upload: UploadId, size: u64, pieces: &[&[u8]]) -> Received {
    let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
    let pieces: Vec<_> = pieces.collect();
    let body = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    files
        .receive(&tenant(), upload, size, body)
        .await
        .expect("a good one")
}

/// Everything from a byte on.
async fn read(files: &Files, upload: UploadId, size: u64, from: u64) -> Vec<u8> {
    let source = files.source(&tenant(), upload, size).expect("a good one");
    assert_eq!(source.len(), size);
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        source.open(from)?.read_to_end(&mut bytes).map(|_| bytes)
    });
    reading.await.expect("a good one").expect("a good one")
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .expect("a good one")
        .next()
        .is_none()
}

#[tokio::test]
async fn a_file_is_read_back_from_any_byte_on() {
    let folder = TempDir::new().unwrap();
    // More than two of the pieces in which it is fetched.
    let bytes: Vec<u8> = (0..17_u32 << 20).map(|at| (at % 251) as u8).collect();
    let size = bytes.len() as u64;
    for files in both(&folder) {
        assert_eq!(files.head(&tenant(), upload(1)).await.unwrap(), None);
        let halves = bytes.split_at(bytes.len() / 3);
        let sent = send(&files, upload(1), size, &[halves.0, halves.1]).await;
        assert_eq!(sent, Received::Stored);
        assert_eq!(files.head(&tenant(), upload(1)).await.unwrap(), Some(size));
        for from in [0, 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, size - 1, size] {
            let rest = read(&files, upload(1), size, from).await;
            let expected = &bytes[usize::try_from(from).unwrap()..];
            assert!(rest == expected, "from {from}");
        }
    }
}

#[tokio::test]
async fn reading_may_stop_half_way_and_begin_anew() {
    let files = Files::open("memory:///", None, None).unwrap();
    let bytes = vec![7; 20 << 20];
    send(&files, upload(1), 20 << 20, &[&bytes]).await;
    let source = files.source(&tenant(), upload(1), 20 << 20).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            let mut few = [0; 10];
            source.open(0)?.read_exact(&mut few)?;
            assert_eq!(few, [7; 10]);
        }
        std::io::Result::Ok(())
    });
    reading.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_file_that_is_not_there_or_too_short_fails_and_does_not_end() {
    let files = Files::open("memory:///", None, None).unwrap();
    send(&files, upload(1), 3, &[b"abc"]).await;
    for (upload, kind) in [
        (upload(1), std::io::ErrorKind::UnexpectedEof),
        (upload(2), std::io::ErrorKind::NotFound),
    ] {
        let source = files.source(&tenant(), upload, 4).unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = source.open(0)?;
            let first = reader.read_to_end(&mut Vec::new());
            // Whoever tries again reads nothing else.
            assert!(reader.read_exact(&mut [0]).is_err());
            first
        });
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), kind);
    }
    let folder = TempDir::new().unwrap();
    let missing = in_folder(folder.path()).source(&tenant(), upload(1), 4);
    assert!(matches!(missing.err(), Some(files::Error::Missing)));
}

#[tokio::test]
async fn a_file_stays_as_it_came_first() {
    let folder = TempDir::new().unwrap();
    for files in both(&folder) {
        assert_eq!(
            send(&files, upload(1), 3, &[b"abc"]).await,
            Received::Stored
        );
        assert_eq!(
            send(&files, upload(1), 3, &[b"xyz"]).await,
            Received::Exists
        );
        assert_eq!(read(&files, upload(1), 3, 0).await, b"abc");
    }
}

#[tokio::test]
async fn of_many_at_once_one_is_taken() {
    let folder = TempDir::new().unwrap();
    for files in both(&folder) {
        let sends = (0..8_u8).map(|number| {
            let files = files.clone();
            async move { send(&files, upload(1), 2, &[&[number, number]]).await }
        });
        let sent = futures_util::future::join_all(sends).await;
        let stored = sent.iter().filter(|sent| **sent == Received::Stored);
        assert_eq!(stored.count(), 1, "{sent:?}");
        let bytes = read(&files, upload(1), 2, 0).await;
        assert_eq!(bytes[0], bytes[1]);
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("t_acme"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn a_body_of_another_size_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    for files in both(&folder) {
        let bodies: [&[&[u8]]; 3] = [&[b"ab"], &[b"abc", b"d"], &[]];
        for pieces in bodies {
            assert_eq!(send(&files, upload(1), 3, pieces).await, Received::Cut);
        }
        let broken = [
            Ok(Bytes::from_static(b"ab")),
            Err(std::io::Error::other("the client hung up")),
        ];
        let body = stream::iter(broken);
        let received = files.receive(&tenant(), upload(1), 3, body).await;
        assert_eq!(received.unwrap(), Received::Cut);
        assert_eq!(files.head(&tenant(), upload(1)).await.unwrap(), None);
        assert!(files.arrived().await.unwrap().is_empty());
    }
    assert!(is_empty(&folder.path().join("t_acme")));
}

#[tokio::test]
async fn what_is_there_is_listed_and_deleted() {
    let folder = TempDir::new().unwrap();
    for files in both(&folder) {
        for last in [1, 2] {
            send(&files, upload(last), 1, &[b"a"]).await;
        }
        let mut arrived = files.arrived().await.unwrap();
        arrived.sort();
        assert_eq!(arrived, [(tenant(), upload(1)), (tenant(), upload(2))]);
        for _ in 0..2 {
            files.delete(&tenant(), upload(1)).await.unwrap();
            assert_eq!(files.arrived().await.unwrap(), [(tenant(), upload(2))]);
        }
    }
}

#[tokio::test]
async fn a_sweep_takes_old_files_and_drafts_that_nobody_writes() {
    #[expect(clippy::disallowed_methods, reason = "files have the real time")]
    let (now, day) = (Utc::now(), TimeDelta::days(1));
    let folder = TempDir::new().unwrap();
    let files = in_folder(folder.path());
    send(&files, upload(1), 1, &[b"a"]).await;
    let own = folder.path().join("t_acme");
    std::fs::write(own.join(format!("{}.0.draft", upload(2))), "b").unwrap();
    assert_eq!(files.arrived().await.unwrap(), [(tenant(), upload(1))]);
    assert_eq!(files.sweep(now - day, now - day).await.unwrap(), 0);
    assert_eq!(files.sweep(now - day, now + day).await.unwrap(), 1);
    assert_eq!(files.arrived().await.unwrap(), [(tenant(), upload(1))]);
    assert_eq!(files.sweep(now + day, now + day).await.unwrap(), 1);
    assert!(is_empty(&own));
}

#[test]
fn a_key_leads_to_its_upload_and_nothing_else_does() {
    let files = Files::open("memory:///", None, None).unwrap();
    let id = upload(1);
    for key in [format!("t_acme/{id}"), format!("t%5Facme/{id}")] {
        assert_eq!(files.parse(&key), Some((tenant(), id)));
    }
    for key in [
        String::new(),
        "t_acme".to_owned(),
        format!("t_acme/{id}/x"),
        format!("x/t_acme/{id}"),
        format!("t acme/{id}"),
        format!("t_acme/{}", id.0.simple()),
        format!("t_acme/{id}.0.draft"),
        format!("../{id}"),
        format!("%FF/{id}"),
    ] {
        assert_eq!(files.parse(&key), None, "{key}");
    }
}

/// The query of an address.
fn grant(address: &str) -> Grant {
    let query = Query::try_from_uri(&address.parse().expect("a good one"));
    let Query(grant) = query.expect("a good one");
    grant
}

#[tokio::test]
async fn an_address_admits_its_file_until_its_time_is_over() {
    let files = Files::open("memory:///", None, Some(door())).unwrap();
    let presigned = files.presign(&tenant(), upload(1), 10, now()).await;
    let presigned = presigned.unwrap();
    let path = format!("{BASE}/local/files/t_acme/{}?", upload(1));
    assert!(presigned.url.starts_with(&path));
    let headers = [
        ("Content-Length", "10".to_owned()),
        ("If-None-Match", "*".to_owned()),
    ];
    assert_eq!(presigned.headers, headers.into());
    assert_eq!(presigned.expires_at, now() + TimeDelta::minutes(15));

    let grant = grant(&presigned.url);
    assert_eq!(grant.size, 10);
    let admit = |at: Moment| files.admit(&tenant(), upload(1), &grant, at);
    let end = presigned.expires_at;
    assert_eq!(admit(now()), Ok(()));
    assert_eq!(admit(end - TimeDelta::seconds(1)), Ok(()));
    assert_eq!(admit(end), Err(Refused::Expired));
}

#[tokio::test]
async fn an_address_admits_nothing_else() {
    let files = Files::open("memory:///", None, Some(door())).unwrap();
    let presigned = files.presign(&tenant(), upload(1), 10, now()).await;
    let url = presigned.unwrap().url;
    let admit = |files: &Files, tenant: &str, upload, url: &str| {
        files.admit(&tenant.parse().unwrap(), upload, &grant(url), now())
    };
    assert_eq!(admit(&files, "t_acme", upload(1), &url), Ok(()));
    let refused = Err(Refused::Signature);
    assert_eq!(admit(&files, "t_acm", upload(1), &url), refused);
    assert_eq!(admit(&files, "t_acme", upload(2), &url), refused);
    let (start, signature) = url.rsplit_once('=').unwrap();
    let later = url.replace("expires=1", "expires=2");
    for changed in [
        url.replace("size=10", "size=11"),
        later,
        format!("{start}="),
        format!("{start}=xyz"),
        format!("{start}={}", "0".repeat(64)),
        format!("{start}={}", &signature[..62]),
        format!("{start}={signature}00"),
    ] {
        assert_ne!(changed, url);
        let admitted = admit(&files, "t_acme", upload(1), &changed);
        assert_eq!(admitted, refused, "{changed}");
    }
    let other = Door::new(BASE, b"another secret, which is as long as that");
    let other = Files::open("memory:///", None, Some(other)).unwrap();
    assert_eq!(admit(&other, "t_acme", upload(1), &url), refused);
    let closed = Files::open("memory:///", None, None).unwrap();
    assert_eq!(admit(&closed, "t_acme", upload(1), &url), refused);
    let unsigned = closed.presign(&tenant(), upload(1), 10, now()).await;
    assert!(matches!(unsigned, Err(files::Error::Closed)));
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_its_reason() {
    let error = Files::open("ftp://x", None, None).unwrap_err();
    let message =
        "'ftp://x' is no address of a store of files: 'ftp' is none of file, s3 and memory";
    assert_eq!(error.to_string(), message);
}
