//! A place on an object store.

use std::path::Path;

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};
use objects::{Place, address_of};

async fn write(place: &Place, path: &str) {
    let key = place.key(path);
    let put = place.objects().put(&key, PutPayload::from("x"));
    put.await.expect("a good one");
}

async fn listed(place: &Place, prefix: &str) -> Vec<String> {
    let listed = place.list(prefix).await.expect("a good one");
    let mut paths: Vec<String> = listed.into_iter().map(|object| object.path).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn a_folder_and_a_store_in_memory_are_alike() {
    let folder = tempfile::tempdir().unwrap();
    let address = address_of(folder.path()).unwrap();
    for address in [address.as_str(), "memory:///"] {
        let place = Place::open(address, None).unwrap();
        assert!(listed(&place, "").await.is_empty());
        for path in ["a/1", "a/2", "b/1"] {
            write(&place, path).await;
        }
        assert_eq!(listed(&place, "").await, ["a/1", "a/2", "b/1"]);
        assert_eq!(listed(&place, "a").await, ["a/1", "a/2"]);
        for _ in 0..2 {
            place.delete("a/1").await.unwrap();
            assert_eq!(listed(&place, "a").await, ["a/2"]);
        }
        assert!(place.s3().is_none());
    }
}

#[tokio::test]
async fn drafts_of_a_folder_are_listed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(&address_of(folder.path()).unwrap(), None).unwrap();
    // As the store names what it has not finished.
    std::fs::write(folder.path().join("a#1"), "x").unwrap();
    assert_eq!(listed(&place, "").await, ["a#1"]);
    place.delete("a#1").await.unwrap();
    assert!(listed(&place, "").await.is_empty());
}

#[test]
fn a_path_is_the_rest_of_a_key() {
    let place = Place::open("memory:///", None).unwrap();
    let key = place.key("t/1");
    assert_eq!(key, ObjectPath::from("t/1"));
    assert_eq!(place.path_of(&key).as_deref(), Some("t/1"));
}

#[test]
fn only_an_absolute_folder_has_an_address() {
    assert_eq!(address_of(Path::new("x")), None);
    let address = address_of(Path::new("/a b/x"));
    assert_eq!(address.as_deref(), Some("file:///a%20b/x"));
}
