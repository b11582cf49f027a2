//! Packs and uploaded files on a server that speaks S3: what a search finds outlives the process, the
//! cache and even the packs; and a file is put where the API says, once.
//!
//! `S3_TEST_ENDPOINT` is the server's address; `infra/s3-test.sh` starts one.

#[expect(dead_code, reason = "each test takes what it needs of it")]
mod common;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use common::{Server, command};

const ROWS: usize = 300;

/// Words of each row that no other row has: so many that a pack is too long to be read whole when
/// it is opened. What is read of it later is what the cache on the disk is for.
const WORDS: usize = 800;

/// What a server that verifies no signatures wants to see.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// A bucket of its own.
struct Bucket {
    endpoint: String,
    name: String,
}

impl Bucket {
    fn create(endpoint: &str) -> Self {
        let bucket = Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            name: format!("portal-{:016x}", RandomState::new().hash_one(0_u8)),
        };
        let created = ureq::put(bucket.url())
            .header("Authorization", SIGNED)
            .send_empty();
        created.expect("a bucket");
        bucket
    }

    fn url(&self) -> String {
        format!("{}/{}", self.endpoint, self.name)
    }

    /// The objects below the store's prefix, in order.
    fn keys(&self) -> Vec<String> {
        let mut answer = ureq::get(format!("{}?list-type=2&prefix=packs/", self.url()))
            .header("Authorization", SIGNED)
            .call()
            .expect("a list");
        let text = answer.body_mut().read_to_string().expect("XML");
        assert!(text.contains("<IsTruncated>false</IsTruncated>"), "{text}");
        let keys = text.split("<Key>").skip(1).map(|rest| {
            let (key, _) = rest.split_once("</Key>").expect("a key");
            key.to_owned()
        });
        let mut keys: Vec<String> = keys.collect();
        keys.sort();
        keys
    }

    /// An object.
    fn read(&self, key: &str) -> String {
        let answer = ureq::get(format!("{}/{key}", self.url()))
            .header("Authorization", SIGNED)
            .call();
        let mut answer = answer.expect("an object");
        answer.body_mut().read_to_string().expect("its text")
    }

    fn clear(&self) {
        for key in self.keys() {
            let deleted = ureq::delete(format!("{}/{key}", self.url()))
                .header("Authorization", SIGNED)
                .call();
            deleted.expect("a deletion");
        }
        assert!(self.keys().is_empty());
    }
}

fn serve(data: &Path, cache: &Path, bucket: &Bucket) -> Server {
    let arguments = [
        "--addr",
        "127.0.0.1:0",
        "--dynamodb-addr",
        "off",
        "--data-dir",
        data.to_str().expect("a path"),
    ];
    let mut command = command(&arguments);
    command
        .env("SEARCH_STORE_URL", format!("s3://{}/packs", bucket.name))
        .env("SEARCH_CACHE_DIR", cache)
        .env("UPLOAD_STORE_URL", format!("s3://{}/uploads", bucket.name))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL_S3", &bucket.endpoint);
    Server::run(command)
}

/// A word that only this row has.
fn word(row: usize, at: usize) -> String {
    let number = (row * WORDS + at) as u64 + 1;
    let bits = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "w{:016x}",
        (bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    )
}

fn csv() -> String {
    let mut csv = "name,source_id,kind,text\n".to_owned();
    for row in 0..ROWS {
        let kind = ["flange", "valve", "gasket"][row % 3];
        let words: Vec<String> = (0..WORDS).map(|at| word(row, at)).collect();
        csv += &format!("Part {row},P{row},{kind},{}\n", words.join(" "));
    }
    csv
}

/// What two searches find: one many rows, the other one.
fn search(server: &Server) -> Vec<Value> {
    let find = |body: Value| {
        let answer = server.post("/portal/search/parts", &body);
        json!([answer["results"], answer["metadata"]["total_estimate"]])
    };
    let found = vec![
        find(json!({"query": "flange", "limit": 50})),
        find(json!({"query": word(ROWS / 2, 7)})),
    ];
    assert_eq!(found[0][1], ROWS / 3, "{}", found[0]);
    assert_eq!(found[1][1], 1, "{}", found[1]);
    assert_eq!(found[1][0][0]["name"], format!("Part {}", ROWS / 2));
    found
}

fn assert_indexed(server: &Server) {
    let answer = server.get("/portal/collections");
    let counts = &answer["collections"][0];
    assert_eq!(counts["total_records"], ROWS, "{counts}");
    assert_eq!(counts["indexed"], ROWS, "{counts}");
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .expect("a folder")
        .next()
        .is_none()
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the test says where the server is"
)]
fn endpoint() -> Option<String> {
    std::env::var("S3_TEST_ENDPOINT").ok()
}

#[test]
fn what_is_found_outlives_the_process_the_cache_and_the_packs() {
    let Some(endpoint) = endpoint() else {
        println!("skipped: S3_TEST_ENDPOINT is not set; infra/s3-test.sh sets it");
        return;
    };
    let bucket = Bucket::create(&endpoint);
    let (data, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());

    let server = serve(data.path(), cache.path(), &bucket);
    let uploaded = server.upload("parts", &csv()).unwrap();
    assert_eq!(uploaded["summary"]["accepted"], ROWS);
    assert_indexed(&server);
    let found = search(&server);
    let packs = bucket.keys();
    assert!(!packs.is_empty());
    assert!(
        packs
            .iter()
            .all(|key| key.starts_with("packs/t_demo/parts/"))
    );
    assert!(!data.path().join("search").exists());
    assert_eq!(server.stop(), Some(0));

    let cache = TempDir::new().unwrap();
    let server = serve(data.path(), cache.path(), &bucket);
    assert_eq!(search(&server), found);
    assert!(!is_empty(cache.path()));
    assert_eq!(server.stop(), Some(0));

    let server = serve(data.path(), cache.path(), &bucket);
    assert_eq!(search(&server), found);
    assert_eq!(bucket.keys(), packs);
    assert_eq!(server.stop(), Some(0));

    // What the cache still has would be answered from it.
    bucket.clear();
    let cache = TempDir::new().unwrap();
    let server = serve(data.path(), cache.path(), &bucket);
    assert_eq!(search(&server), found);
    assert_indexed(&server);
    let anew = bucket.keys();
    assert!(!anew.is_empty());
    assert!(anew.iter().all(|key| !packs.contains(key)));
    assert_eq!(server.stop(), Some(0));

    let server = serve(data.path(), cache.path(), &bucket);
    assert_eq!(search(&server), found);
    assert_eq!(bucket.keys(), anew);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_file_is_put_into_the_bucket_once() {
    let Some(endpoint) = endpoint() else {
        println!("skipped: S3_TEST_ENDPOINT is not set; infra/s3-test.sh sets it");
        return;
    };
    let bucket = Bucket::create(&endpoint);
    let (data, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = serve(data.path(), cache.path(), &bucket);
    let file = "name\nBolt\n";
    let announced = server.post(
        "/portal/uploads",
        &json!({
            "collection": "parts",
            "record_type": "product",
            "file_name": "parts.csv",
            "size_bytes": file.len(),
        }),
    );
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let put = |file: &str| {
        let once = text(&announced["headers"]["If-None-Match"]);
        let request = ureq::put(text(&announced["url"]))
            .header("Content-Type", "text/csv")
            .header("If-None-Match", once);
        request.send(file).map(|answer| answer.status().as_u16())
    };
    assert_eq!(put(file).expect("an answer"), 200);
    let again = put("name\nNut!\n").unwrap_err();
    assert!(matches!(again, ureq::Error::StatusCode(412)), "{again}");
    let key = format!("uploads/t_demo/{}", text(&announced["upload_id"]));
    assert_eq!(bucket.read(&key), file);
    assert_eq!(server.stop(), Some(0));
}
