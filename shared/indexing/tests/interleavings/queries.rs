//! What searches ask for, and what they have to find.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use model::fault::Fields;
use model::id::RecordId;
use model::record::Record;
use search::Request;
use serde_json::json;

use crate::common::Random;
use crate::sides::States;

/// What records are called: two of these.
pub(crate) const WORDS: [&str; 8] = [
    "anchor", "bolt", "gasket", "nut", "rivet", "screw", "spring", "washer",
];

/// The values of the field `size` are below.
pub(crate) const SIZES: u64 = 12;

fn size_of(record: &Record) -> u64 {
    record.data["size"].as_u64().expect("a size")
}

/// A search.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Query {
    Everything,
    Word(&'static str),
    Size(u64),
    AtLeast(u64),
    Smallest,
    Largest,
}

impl Query {
    pub(crate) fn any(random: &mut Random) -> Self {
        let (word, size) = (*random.pick(&WORDS), random.below(SIZES));
        match random.below(5) {
            0 => Self::Word(word),
            1 => Self::Size(size),
            2 => Self::AtLeast(size),
            3 => Self::Smallest,
            _ => Self::Largest,
        }
    }

    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Everything, Self::Smallest, Self::Largest];
        all.extend(WORDS.map(Self::Word));
        all.extend((0..SIZES).flat_map(|size| [Self::Size(size), Self::AtLeast(size)]));
        all
    }

    /// What asks for the hits from `offset` on.
    pub(crate) fn request(self, offset: usize) -> Request {
        let mut body = match self {
            Self::Everything => json!({}),
            Self::Word(word) => json!({"query": word}),
            Self::Size(size) => json!({"filters": {"size": size}}),
            Self::AtLeast(size) => json!({"filters": {"size_min": size}}),
            Self::Smallest => json!({"sort": "size"}),
            Self::Largest => json!({"sort": "-size"}),
        };
        body["limit"] = json!(search::MAX_LIMIT);
        body["offset"] = json!(offset);
        let mut fields = Fields::of(&body).expect("an object");
        Request::read(&mut fields).expect("a good request")
    }

    fn fits(self, record: &Record) -> bool {
        match self {
            Self::Everything | Self::Smallest | Self::Largest => true,
            Self::Word(word) => record.name.split(' ').any(|other| other == word),
            Self::Size(size) => size_of(record) == size,
            Self::AtLeast(size) => size_of(record) >= size,
        }
    }

    /// The order of hits, of all but searches for words.
    fn order(self, left: &Record, right: &Record) -> Ordering {
        let order = match self {
            Self::Smallest => size_of(left).cmp(&size_of(right)),
            Self::Largest => size_of(right).cmp(&size_of(left)),
            _ => right.updated_at.cmp(&left.updated_at),
        };
        order.then(left.id.cmp(&right.id))
    }
}

/// Checks that a search found what it should: each record once that fits in all of its states, none
/// that fits in no state.
#[track_caller]
pub(crate) fn assert_agrees(states: &States, found: &[RecordId], query: Query) {
    let mut seen = HashSet::new();
    for id in found {
        assert!(seen.insert(*id), "{query:?} finds {id} twice");
        let states = states.get(id);
        let fits = states.is_some_and(|all| all.iter().flatten().any(|state| query.fits(state)));
        assert!(fits, "{query:?} finds {id}, which is {states:?}");
    }
    for (id, states) in states {
        let fit = states
            .iter()
            .flatten()
            .filter(|state| query.fits(state))
            .count();
        assert!(
            seen.contains(id) || fit < states.len(),
            "{query:?} does not find {id}, which is {states:?}"
        );
    }
}

/// Checks that the records whose state is certain are in order.
#[track_caller]
pub(crate) fn assert_ordered(states: &States, found: &[RecordId], query: Query) {
    if matches!(query, Query::Word(_)) {
        return;
    }
    let certain: BTreeMap<RecordId, &Record> = states
        .values()
        .filter(|states| states.len() == 1)
        .flatten()
        .flatten()
        .map(|record| (record.id, record))
        .collect();
    let found: Vec<RecordId> = found
        .iter()
        .copied()
        .filter(|id| certain.contains_key(id))
        .collect();
    let mut expected: Vec<&Record> = certain.into_values().collect();
    expected.retain(|record| query.fits(record));
    expected.sort_by(|left, right| query.order(left, right));
    let expected: Vec<RecordId> = expected.into_iter().map(|record| record.id).collect();
    assert_eq!(found, expected, "the order of {query:?}");
}
