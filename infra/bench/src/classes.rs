//! The classes of queries that are measured: each query as the body of a search and as SQL.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use crate::catalogue::{Catalogue, bare};
use crate::products::CATEGORIES;
use crate::random::Random;
use crate::vocabulary::{COMMON, FREQUENT, MIDDLING, RARE};

/// The most queries of a class that differ: there are no more common words.
pub const MOST: usize = 45;

/// The fewest products that queries can be chosen from.
const LEAST: u64 = 1_000;

/// How far in the last class looks, in a catalogue that is large enough for it.
const OFFSET: u64 = 10_000;

/// Hits on a page.
const LIMIT: u64 = 20;

/// The columns of a whole row.
const ROW: &str = "id, source_id, name, description, data, created_at, updated_at";

/// Queries of one kind.
#[derive(Debug, Clone)]
pub struct Class {
    /// What is common to them, for a table.
    pub name: &'static str,
    /// No two are the same.
    pub queries: Vec<Query>,
}

/// A query in both languages.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The body of `POST /portal/search/{collection}`.
    pub body: Value,
    /// Selects the page, whole rows in order.
    pub page_sql: String,
    /// Counts all matches.
    pub count_sql: String,
}

/// All classes, with so many queries each (at most [`MOST`]), chosen by the catalogue's seed.
pub fn classes(catalogue: &Catalogue, queries: usize) -> Result<Vec<Class>> {
    ensure!(queries <= MOST, "a class has at most {MOST} queries");
    // Fewer do not have what is looked for.
    ensure!(
        catalogue.count() >= LEAST,
        "a catalogue has to have {LEAST} products to be searched"
    );
    let mut draw = Draw {
        catalogue,
        random: Random::stream(catalogue.seed(), u64::MAX),
    };
    let offset = OFFSET.min(catalogue.count() / 10);
    let mut all = Vec::new();
    let mut add = |name, kind: &mut dyn FnMut(usize) -> Query| {
        let mut seen = HashSet::new();
        let mut found = Vec::with_capacity(queries);
        // A random choice may come twice, above all of a small catalogue.
        for at in 0..100 * queries {
            if found.len() == queries {
                break;
            }
            let query = kind(at);
            if seen.insert(query.body.to_string()) {
                found.push(query);
            }
        }
        all.push(Class {
            name,
            queries: found,
        });
    };

    let common = draw.ranks(COMMON);
    let rare = draw.ranks(RARE);
    let frequent = draw.ranks(FREQUENT);
    let word = |ranks: &[usize], at: usize| {
        let rank = ranks[at % ranks.len()];
        Words::new(catalogue.vocabulary().word(rank))
    };
    add("1 common word", &mut |at| word(&common, at).query(0));
    add("1 rare word", &mut |at| word(&rare, at).query(0));
    add("3 words, all", &mut |_| draw.three_words().query(0));
    add("identifier", &mut |at| draw.identifier(at));
    add("words, 2 filters", &mut |_| draw.filtered_words());
    add("filters, by price", &mut |at| draw.by_price(at));
    add("common word, far in", &mut |at| {
        word(&frequent, at).query(offset)
    });
    Ok(all)
}

/// A search for words, all of which have to be there.
struct Words {
    text: String,
    filters: Map<String, Value>,
    conditions: String,
}

impl Words {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            filters: Map::new(),
            conditions: String::new(),
        }
    }

    fn query(self, offset: u64) -> Query {
        let text = literal(&self.text);
        let tsquery = format!("plainto_tsquery('english', {text})");
        let matching = format!("FROM records WHERE tsv @@ {tsquery}{}", self.conditions);
        let mut body = json!({"query": self.text, "limit": LIMIT, "offset": offset});
        if !self.filters.is_empty() {
            body["filters"] = Value::Object(self.filters);
        }
        Query {
            body,
            page_sql: format!(
                "SELECT {ROW}, ts_rank(tsv, {tsquery}) AS score {matching} \
                 ORDER BY score DESC, id LIMIT {LIMIT} OFFSET {offset}"
            ),
            count_sql: format!("SELECT count(*) {matching}"),
        }
    }
}

/// Chooses from the catalogue.
struct Draw<'a> {
    catalogue: &'a Catalogue,
    random: Random,
}

impl Draw<'_> {
    /// The ranks of a range, in any order.
    fn ranks(&mut self, range: std::ops::Range<usize>) -> Vec<usize> {
        let mut ranks: Vec<usize> = range.collect();
        self.random.shuffle(&mut ranks);
        ranks
    }

    fn word(&self, rank: usize) -> &str {
        self.catalogue.vocabulary().word(rank)
    }

    fn number(&mut self) -> u64 {
        self.random.below(self.catalogue.count())
    }

    /// Three words of one record that are neither common nor rare, so that a few more have them.
    fn three_words(&mut self) -> Words {
        loop {
            let number = self.number();
            let mut ranks: Vec<usize> = self.catalogue.words(number);
            ranks.retain(|rank| MIDDLING.contains(rank));
            ranks.dedup();
            self.random.shuffle(&mut ranks);
            if let [first, second, third, ..] = ranks[..]
                && first != second
                && second != third
                && first != third
            {
                let words = [first, second, third].map(|rank| self.word(rank));
                return Words::new(words.join(" "));
            }
        }
    }

    /// A SKU as it is, an EAN, or a SKU as people type it.
    fn identifier(&mut self, at: usize) -> Query {
        let number = self.number();
        let product = self.catalogue.product(number);
        let text = match at % 4 {
            0 => product.sku,
            1 => bare(&product.sku),
            _ => product.ean,
        };
        let found = literal(&bare(&text));
        let matching = format!("FROM records WHERE identifiers @> ARRAY[{found}]");
        Query {
            body: json!({"query": text, "limit": LIMIT, "offset": 0}),
            // The planner expects 500 matches of any array, and would rather go through the whole table
            // in the order of ids; it must not.
            page_sql: format!(
                "WITH found AS MATERIALIZED (SELECT {ROW} {matching}) \
                 SELECT * FROM found ORDER BY id LIMIT {LIMIT}"
            ),
            count_sql: format!("SELECT count(*) {matching}"),
        }
    }

    /// Two words, a category and a highest price that more than half of all products have.
    fn filtered_words(&mut self) -> Query {
        let ranks = self.ranks(FREQUENT);
        let category = self.random.pick(&CATEGORIES).name;
        let price = self.random.between(16, 40);
        let mut words = Words::new(format!("{} {}", self.word(ranks[0]), self.word(ranks[1])));
        words.filters.insert("category".to_owned(), json!(category));
        words
            .filters
            .insert("price_eur_max".to_owned(), json!(price));
        let contained = literal(&json!({"category": category}).to_string());
        words.conditions =
            format!(" AND data @> {contained} AND (data->>'price_eur')::numeric <= {price}");
        words.query(0)
    }

    /// Two categories of twenty, in stock, by price.
    fn by_price(&mut self, at: usize) -> Query {
        let mut names = CATEGORIES.map(|category| category.name);
        self.random.shuffle(&mut names);
        let (first, second) = (names[0].min(names[1]), names[0].max(names[1]));
        let (sort, order) = if at.is_multiple_of(2) {
            ("price_eur", "ASC, id")
        } else {
            ("-price_eur", "DESC, id")
        };
        let matching = format!(
            "FROM records WHERE data->>'category' IN ({}, {}) AND data->>'in_stock' = 'true'",
            literal(first),
            literal(second)
        );
        Query {
            body: json!({
                "filters": {"category_in": [first, second], "in_stock": true},
                "sort": sort, "limit": LIMIT, "offset": 0,
            }),
            page_sql: format!(
                "SELECT {ROW} {matching} \
                 ORDER BY (data->>'price_eur')::numeric {order} LIMIT {LIMIT}"
            ),
            count_sql: format!("SELECT count(*) {matching}"),
        }
    }
}

/// Text as a literal of SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_queries_and_repeats_none() {
        let catalogue = Catalogue::new(1, 10_000);
        let classes = classes(&catalogue, 40).unwrap();
        assert_eq!(classes.len(), 7);
        for class in &classes {
            let bodies: HashSet<String> =
                class.queries.iter().map(|q| q.body.to_string()).collect();
            assert_eq!(bodies.len(), 40, "{}", class.name);
        }
        let again = super::classes(&catalogue, 40).unwrap();
        assert_eq!(classes[4].queries, again[4].queries);
    }

    #[test]
    fn literals_cannot_end_early() {
        assert_eq!(literal("a'b"), "'a''b'");
    }
}
