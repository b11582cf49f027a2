//! A private record is in no open answer, and a public one is found, whatever calls come in whatever
//! order: what owners see of their records says which is which.
//!
//! Each step draws from the seed. `PRIVATE_STEPS` says how many there are.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use model::id::TenantId;
use model::key::Scope;
use model::plan::Plan;
use serde_json::{Value, json};
use testkit::{Answer, Client, Form, TestApp};

/// The seed.
const SEED: u64 = 20_260_308;

/// The steps, if nothing is said.
const STEPS: u64 = 80;

/// Both tenants have collections of these names.
const COLLECTIONS: [&str; 2] = ["things", "parts"];

/// So many rows are told apart by their source in each collection.
const SOURCES: u64 = 6;

/// Numbers from a seed, by `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % end
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = self.below(all.len() as u64);
        &all[usize::try_from(place).expect("a place")]
    }
}

/// A tenant, by a token and by a key.
struct Owner<'a> {
    portal: Client<'a>,
    program: Client<'a>,
}

/// A record as its owner sees it.
struct Seen {
    name: String,
    collection: String,
    is_public: bool,
}

/// The records of all tenants, by id.
type Truth = BTreeMap<String, Seen>;

struct Play<'a> {
    app: &'a TestApp,
    owners: Vec<Owner<'a>>,
    random: Random,
    /// How many rows there were.
    rows: u64,
    /// Every id that there ever was.
    ids: BTreeSet<String>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

fn ok(answer: Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

impl Play<'_> {
    /// Rows whose names nothing else has. Some say who may find them.
    fn rows(&mut self) -> Value {
        let count = 1 + self.random.below(3);
        let rows = (0..count).map(|_| {
            self.rows += 1;
            let name = format!("Thing w{}w", self.rows);
            let source = format!("s{}", self.random.below(SOURCES));
            let mut row =
                json!({"name": name, "source_id": source, "mark": format!("m{}m", self.rows)});
            match self.random.below(3) {
                0 => row["visibility"] = json!("public"),
                1 => row["visibility"] = json!("private"),
                _ => {}
            }
            row
        });
        rows.collect()
    }

    fn visibility(&mut self) -> &'static str {
        if self.random.below(2) == 0 {
            "public"
        } else {
            "private"
        }
    }

    /// One change, by one of the tenants.
    async fn step(&mut self) -> String {
        let owner = usize::try_from(self.random.below(2)).expect("a place");
        let collection = *self.random.pick(&COLLECTIONS);
        let own = self.records(owner).await;
        let ids: Vec<&String> = own.keys().collect();
        let kind = self.random.below(12);
        if kind > 3 && kind < 9 && ids.is_empty() {
            return "nothing to change".to_owned();
        }
        let one = ids.first().map(|_| (*self.random.pick(&ids)).clone());
        let path = format!("/records/{}", one.unwrap_or_default());
        let (visibility, rows) = (self.visibility(), self.rows());
        let Owner { portal, program } = &self.owners[owner];
        let answer = match kind {
            0..=3 => {
                let path = format!("/ingest/batch/{collection}/thing");
                program.post(&path, rows).await
            }
            4 => {
                let body = json!({"visibility": visibility});
                program.patch(&format!("{path}/visibility"), body).await
            }
            5 => {
                let body = json!({"record_ids": ids, "visibility": visibility});
                program.post("/records/bulk-visibility", body).await
            }
            6 => {
                let body = json!({"name": rows[0]["name"], "visibility": visibility});
                program.patch(&path, body).await
            }
            7 => program.delete(&path).await,
            8 => {
                let body = json!({"record_ids": ids[..ids.len().div_ceil(3)]});
                program.post("/records/bulk-delete", body).await
            }
            9 => {
                let body = json!({"default_visibility": visibility});
                let path = format!("/collections/{collection}");
                program.patch(&path, body).await
            }
            10 => {
                let path = format!("/portal/collections/{collection}");
                let form = Form::new().file("things.json", rows.to_string());
                let replace = format!("{path}/replace?record_type=thing");
                let filled = portal.upload(&replace, form).await;
                if filled.status != StatusCode::NOT_FOUND {
                    ok(filled);
                    // Nothing of it is served before the swap.
                    self.check("a replace that is not swapped").await;
                }
                portal.post(&format!("{path}/swap"), json!({})).await
            }
            _ => {
                let path = format!("/portal/collections/{collection}");
                portal.delete(&path).await
            }
        };
        let is_known = answer.status == StatusCode::NOT_FOUND || answer.status.is_success();
        assert!(is_known, "{kind} {answer:?}");
        format!("{kind} of {collection} by {owner}: {}", answer.text)
    }

    /// What an owner sees of its records.
    async fn records(&self, owner: usize) -> Truth {
        let program = &self.owners[owner].program;
        let page = ok(program.get("/records?limit=100").await);
        assert_eq!(page["has_more"], false);
        let records = page["records"].as_array().expect("records").iter();
        let seen = records.map(|record| {
            let seen = Seen {
                name: text(record, "name").to_owned(),
                collection: text(record, "collection").to_owned(),
                is_public: record["visibility"] == "public",
            };
            (text(record, "id").to_owned(), seen)
        });
        seen.collect()
    }

    async fn truth(&self) -> Truth {
        let mut truth = Truth::new();
        for owner in 0..self.owners.len() {
            truth.extend(self.records(owner).await);
        }
        truth
    }

    /// Asks for everything that everybody may ask for.
    async fn check(&self, after: &str) {
        let (truth, anybody) = (self.truth().await, self.app.anybody());
        let mut told = Vec::new();
        let search = async |path: &str| {
            let body = json!({"limit": 100});
            let answer = anybody.call(Method::POST, path, Some(body)).await;
            let text = answer.text.clone();
            let body = ok(answer);
            let results = body["results"].as_array().expect("results");
            let ids: BTreeSet<String> = results
                .iter()
                .map(|row| text_of(row, "record_id"))
                .collect();
            assert_eq!(
                body["metadata"]["total_estimate"],
                json!(ids.len()),
                "{after}"
            );
            (ids, text)
        };
        let public = |name: Option<&str>| -> BTreeSet<String> {
            let of_name = truth.iter().filter(|(_, seen)| {
                seen.is_public && name.is_none_or(|name| seen.collection == name)
            });
            of_name.map(|(id, _)| id.clone()).collect()
        };
        let (found, text) = search("/search").await;
        assert_eq!(found, public(None), "{after}");
        told.push(text);
        let collections = anybody.get("/collections").await;
        told.push(collections.text.clone());
        let mut counts = BTreeMap::new();
        for row in ok(collections).as_array().expect("collections") {
            let count = row["record_count"].as_u64().expect("a count");
            counts.insert(text_of(row, "collection"), count);
        }
        for name in COLLECTIONS {
            let expected = public(Some(name));
            let (found, text) = search(&format!("/search/{name}")).await;
            assert_eq!(found, expected, "{after}");
            told.push(text);
            let counted = counts.remove(name).unwrap_or_default();
            assert_eq!(counted, expected.len() as u64, "{name}: {after}");
            let schema = anybody.get(&format!("/collections/{name}/schema")).await;
            assert_eq!(
                schema.status == StatusCode::OK,
                !expected.is_empty(),
                "{after}"
            );
            told.push(schema.text);
        }
        assert!(counts.is_empty(), "{counts:?} {after}");
        for id in &self.ids {
            let answer = anybody.get(&format!("/records/{id}")).await;
            let is_public = truth.get(id).is_some_and(|seen| seen.is_public);
            assert_eq!(answer.status == StatusCode::OK, is_public, "{id}: {after}");
            told.push(answer.text);
        }
        let hidden = truth.iter().filter(|(_, seen)| !seen.is_public);
        let hidden: Vec<&str> = hidden
            .flat_map(|(id, seen)| [id.as_str(), seen.name.as_str()])
            .chain(self.owners.iter().map(|owner| owner.portal.tenant.as_str()))
            .collect();
        for text in &told {
            for secret in &hidden {
                assert!(!text.contains(secret), "{secret} in {text} after {after}");
            }
        }
    }
}

fn text_of(value: &Value, name: &str) -> String {
    text(value, name).to_owned()
}

#[tokio::test]
async fn a_private_record_is_in_no_open_answer() {
    #[expect(clippy::disallowed_methods, reason = "the setting is this test's own")]
    let steps = std::env::var("PRIVATE_STEPS").ok();
    let steps = steps.map_or(STEPS, |steps| steps.parse().expect("a number"));
    let off = [("RATE_LIMIT_ENABLED", "false")];
    let app = TestApp::with_open(portal_local::routes(), open::router(), &off).await;
    let mut owners = Vec::new();
    for name in ["t_first_owner", "t_second_owner"] {
        let tenant: TenantId = name.parse().expect("a tenant");
        let now = app.app.clock.now();
        let set = app.app.table.set_plan(&tenant, Plan::Pro, now).await;
        set.expect("a plan");
        owners.push(Owner {
            portal: app.client(name, auth::Role::Member),
            program: app.with_key(&tenant, &[Scope::Admin]).await,
        });
    }
    let mut play = Play {
        app: &app,
        owners,
        random: Random(SEED),
        rows: 0,
        ids: BTreeSet::new(),
    };
    for number in 0..steps {
        let after = play.step().await;
        app.advance(chrono::TimeDelta::seconds(1));
        let ids = play.truth().await.into_keys();
        play.ids.extend(ids);
        play.check(&format!("step {number}, {after}")).await;
    }
}
