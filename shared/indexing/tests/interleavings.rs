//! What searches find while calls, uploads, folds, merges and crashes cross each other: the same as
//! in a plain map that had the same changes one after the other, whichever process is asked.
//!
//! Each step draws from its seed and its number alone. `INTERLEAVINGS_STEPS` says how many steps
//! there are and `INTERLEAVINGS_SEED` repeats a run that failed, which said its seed:
//!
//! ```text
//! INTERLEAVINGS_STEPS=10000 cargo test -p indexing --test interleavings
//! ```

mod common;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chrono::TimeDelta;
use common::{Clock, Fate, Random, abandon, advance, run, setting, whole};
use futures_util::future::{BoxFuture, FutureExt};
use indexing::{Ahead, Effort, Folded, Indexes, Own, Progress};
use model::collection::Collection;
use model::fault::Fields;
use model::id::{CollectionName, RecordId, RecordType, TenantId, UploadId};
use model::index::Pointer;
use model::period::Period;
use model::plan::Plan;
use model::record::{Identity, Record, SourceType, Visibility};
use model::time::Moment;
use search::{Request, Store};
use serde_json::{Map, Value, json};
use table::Table;
use table::cap::{self, Hold, Reserved, Tally};
use table::marker::{Generation, Markers};
use table::record::{Added, Place};
use table::summary::View;
use testkit::{TABLE, engine, store};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The seed of every run.
const SEED: u64 = 20_260_308;

/// The steps of a run, if nothing is said.
const STEPS: u64 = 750;

/// The collections and how many records each may have. The first is where most of it happens.
const COLLECTIONS: [(&str, u64); 2] = [("things", 200), ("thing", 40)];
const THINGS: usize = 0;

/// What records are called: two of these.
const WORDS: [&str; 8] = [
    "anchor", "bolt", "gasket", "nut", "rivet", "screw", "spring", "washer",
];

/// The values of the field `size` are below.
const SIZES: u64 = 12;

/// How long an upload may write.
const UPLOAD: TimeDelta = TimeDelta::minutes(15);

/// The uploads that are under way at once, and the folds that stand still half way.
const MOST_FLIGHTS: usize = 4;
const MOST_PARKED: usize = 3;

/// The folds that go on by themselves at once.
const MOST_TASKS: usize = 3;

/// A fold that stands still for so many steps is dropped, before its calls run out of real time.
const MOST_STEPS_PARKED: u64 = 60;

/// So long before the test every pack is yet to be written.
const LONG_BEFORE: TimeDelta = TimeDelta::days(7_000);

/// What records may be. One that is not named is not there.
type States = BTreeMap<RecordId, Vec<Option<Record>>>;

fn product() -> RecordType {
    "product".parse().expect("a record type")
}

fn live(view: &View) -> &Collection {
    view.collection.as_ref().expect("a live collection")
}

fn size_of(record: &Record) -> u64 {
    record.data["size"].as_u64().expect("a size")
}

/// A search.
#[derive(Debug, Clone, Copy)]
enum Query {
    Everything,
    Word(&'static str),
    Size(u64),
    AtLeast(u64),
    Smallest,
    Largest,
}

impl Query {
    fn any(random: &mut Random) -> Self {
        let (word, size) = (*random.pick(&WORDS), random.below(SIZES));
        match random.below(5) {
            0 => Self::Word(word),
            1 => Self::Size(size),
            2 => Self::AtLeast(size),
            3 => Self::Smallest,
            _ => Self::Largest,
        }
    }

    fn all() -> Vec<Self> {
        let mut all = vec![Self::Everything, Self::Smallest, Self::Largest];
        all.extend(WORDS.map(Self::Word));
        all.extend((0..SIZES).flat_map(|size| [Self::Size(size), Self::AtLeast(size)]));
        all
    }

    /// What asks for the hits from `offset` on.
    fn request(self, offset: usize) -> Request {
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
fn assert_agrees(states: &States, found: &[RecordId], query: Query) {
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
fn assert_ordered(states: &States, found: &[RecordId], query: Query) {
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

/// Adds states that records may be in, too.
fn widen(states: &mut States, more: &States) {
    for (id, known) in &mut *states {
        if !more.contains_key(id) && !known.contains(&None) {
            known.push(None);
        }
    }
    for (id, new) in more {
        let known = states.entry(*id).or_insert_with(|| vec![None]);
        for state in new {
            if !known.contains(state) {
                known.push(state.clone());
            }
        }
    }
}

/// A collection and what it has to hold.
struct Side {
    name: CollectionName,
    number: u32,
    generation: u32,
    /// How many records it may have.
    sources: u64,
    /// The records whose state is certain.
    records: BTreeMap<RecordId, Record>,
    /// What those may be that an upload has named and not told of yet.
    doubtful: States,
}

impl Side {
    fn place(&self, tenant: &TenantId) -> Place {
        Place::new(tenant, self.number, self.generation)
    }

    fn of(&self) -> Generation {
        Generation {
            number: self.number,
            generation: self.generation,
        }
    }

    fn states_of(&self, id: RecordId) -> Vec<Option<Record>> {
        let doubtful = self.doubtful.get(&id).cloned();
        doubtful.unwrap_or_else(|| vec![self.records.get(&id).cloned()])
    }

    fn states(&self) -> States {
        let certain = self.records.iter();
        let mut states: States = certain
            .map(|(id, record)| (*id, vec![Some(record.clone())]))
            .collect();
        states.extend(self.doubtful.clone());
        states
    }

    /// A record is this from now on.
    fn adopt(&mut self, id: RecordId, state: Option<Record>) {
        self.doubtful.remove(&id);
        match state {
            Some(record) => drop(self.records.insert(id, record)),
            None => drop(self.records.remove(&id)),
        }
    }

    /// A record may be this, too, from now on.
    fn doubt(&mut self, id: RecordId, state: Option<Record>) {
        let mut states = self.states_of(id);
        if !states.contains(&state) {
            states.push(state);
        }
        self.doubtful.insert(id, states);
    }
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its rows are written.
    Written,
    /// It is settled; its fold is to come.
    Settled,
    /// Its process died before it was settled.
    Dead,
}

/// An upload under way.
struct Flight {
    side: usize,
    upload: UploadId,
    hold: Hold,
    /// The records that its rows name.
    ids: BTreeSet<RecordId>,
    tally: Tally,
    ahead: Option<Ahead>,
    stage: Stage,
}

/// A row of an upload: the record that it makes where there is none, and the one that is there.
struct Row {
    record: Record,
    before: Option<Record>,
}

impl Row {
    /// What the record is once the row is written.
    fn after(&self) -> Record {
        let row = &self.record;
        match &self.before {
            None => row.clone(),
            Some(before) => {
                let same = row.name == before.name
                    && row.data == before.data
                    && row.visibility == before.visibility;
                if same {
                    before.clone()
                } else {
                    next_of(before, row.clone())
                }
            }
        }
    }
}

/// The next version of a record, with the content of another.
fn next_of(old: &Record, new: Record) -> Record {
    Record {
        source_type: old.source_type,
        source_name: old.source_name.clone(),
        created_at: old.created_at,
        version: old.version + 1,
        upload: old.upload,
        row: old.row,
        ..new
    }
}

/// Reserves room for an upload as its call does.
async fn reserve(
    table: &Table,
    tenant: &TenantId,
    name: &CollectionName,
    upload: UploadId,
    rows: u64,
    now: Moment,
) -> (Pointer, Hold) {
    let record_type = product();
    let request = cap::Request {
        upload,
        collection: name,
        record_type: &record_type,
        rows,
        since: now,
        until: now + UPLOAD,
        format: search::FORMAT,
    };
    for _ in 0..20 {
        let summary = table.summary(tenant, Period::of(now)).await;
        let summary = summary.expect("a summary");
        let limits = Plan::Scale.limits();
        let reserved = table.reserve(tenant, &summary, limits, &request).await;
        match reserved.expect("an answer") {
            Reserved::Yes(collection, hold) => {
                return (collection.indexes[&hold.generation].clone(), hold);
            }
            Reserved::Again => tokio::time::sleep(Duration::from_millis(5)).await,
            refused => panic!("{refused:?}"),
        }
    }
    panic!("an upload is not let in")
}

/// Writes the rows of an upload as its call does. Returns what it did and what it added.
async fn write(
    table: &Table,
    place: &Place,
    rows: &[Row],
    upload: UploadId,
) -> (Tally, Vec<Record>) {
    let records: Vec<&Record> = rows.iter().map(|row| &row.record).collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    let additions = table.add_records(place, &records, deadline).await;
    assert!(additions.failure.is_none(), "{:?}", additions.failure);
    let (mut tally, mut all) = (Tally::default(), Vec::new());
    for (row, added) in rows.iter().zip(additions.rows) {
        match added {
            Some(Added::Yes) => {
                assert_eq!(row.before, None);
                tally.add(row.record.id, row.record.visibility);
                all.push(row.record.clone());
            }
            Some(Added::Exists(existing)) => {
                let existing = existing.record;
                assert_eq!(Some(&existing), row.before.as_ref());
                let next = row.after();
                if next != existing {
                    let changed = table.change_record(place, &existing, &next, upload).await;
                    assert!(changed.expect("an answer"), "{} is another", next.id);
                    tally.change(next.id);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    (tally, all)
}

/// Work on an index that changes no record.
#[derive(Debug)]
enum Job {
    /// A fold of what is free.
    Fold(Effort),
    /// The fold of an upload at the end of its call.
    Own(Own),
    /// Building it anew.
    Rebuild,
    /// Whatever is due.
    Tend,
}

/// How long a fold lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// To its end, in a task of its own, whether anybody waits for it or not.
    Task,
    /// Until it is dropped.
    Here,
}

/// Does a job as the code that has it does.
async fn carry_out(
    indexes: Indexes,
    table: Table,
    clock: Clock,
    (tenant, name): (TenantId, CollectionName),
    of: Generation,
    job: Job,
    life: Life,
) -> indexing::Result<()> {
    let (own, effort) = match job {
        Job::Fold(effort) => (Own::default(), effort),
        Job::Own(own) => (own, Effort::Call),
        Job::Rebuild => {
            let view = table.index_view(&tenant, &name).await?;
            let seen = view.and_then(|view| Some(view.collection.index()?.version));
            return match indexes.rebuild(&tenant, &name, seen).await {
                Ok(_) | Err(indexing::Error::LeaseLost) => Ok(()),
                Err(error) => Err(error),
            };
        }
        Job::Tend => return indexes.tend(&tenant, &name).await.map(|_| ()),
    };
    let (upload, generation) = (own.upload, of.generation);
    let folded = match life {
        Life::Task => indexes.fold(&tenant, &name, generation, own, effort).await,
        Life::Here => {
            let folding = indexes.fold_here(&tenant, &name, generation, own, effort);
            folding.await
        }
    };
    if let (Folded::Busy, Some(upload)) = (folded?, upload) {
        let now = clock.now();
        table.leave_batch(&tenant, &name, of, upload, now).await?;
    }
    Ok(())
}

/// Work that stands still half way, and since which step.
struct Parked {
    work: BoxFuture<'static, indexing::Result<()>>,
    since: u64,
}

/// A look at the table that a search has yet to come of, and what records were since.
struct Late {
    side: usize,
    view: View,
    states: States,
}

/// What has happened; it is told if a test fails.
struct Diary {
    seed: u64,
    step: u64,
    notes: VecDeque<String>,
}

impl Diary {
    fn note(&mut self, note: &str) {
        self.notes.push_back(format!("{}: {note}", self.step));
        if self.notes.len() > 60 {
            self.notes.pop_front();
        }
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, step, .. } = self;
            eprintln!("INTERLEAVINGS_SEED={seed} failed at step {step}, after");
            for note in &self.notes {
                eprintln!("  {note}");
            }
        }
    }
}

/// A tenant, two processes that keep indexes of its collections, and the model of what they hold.
struct World {
    diary: Diary,
    endpoint: String,
    /// The table as those see it who write to it.
    table: Table,
    store: Store,
    clock: Clock,
    tenant: TenantId,
    processes: [Indexes; 2],
    sides: Vec<Side>,
    flights: Vec<Flight>,
    parked: Vec<Parked>,
    /// Folds that go on by themselves.
    tasks: Vec<JoinHandle<indexing::Result<()>>>,
    late: Option<Late>,
}

/// A process that begins.
fn process(endpoint: &str, store: &Store, clock: &Clock) -> Indexes {
    let table = Table::at_endpoint(endpoint, TABLE);
    Indexes::new(table, store.clone(), clock.teller(), None)
}

impl World {
    async fn new(seed: u64) -> Self {
        let (endpoint, store, clock) = (engine().await, store(), Clock::default());
        let table = Table::at_endpoint(&endpoint, TABLE);
        table.create().await.expect("a table");
        let tenant: TenantId = "t_abc123".parse().expect("a tenant");
        let planned = table.set_plan(&tenant, Plan::Scale, clock.now()).await;
        planned.expect("a plan");
        let mut world = Self {
            diary: Diary {
                seed,
                step: 0,
                notes: VecDeque::new(),
            },
            processes: [
                process(&endpoint, &store, &clock),
                process(&endpoint, &store, &clock),
            ],
            endpoint,
            table,
            store,
            clock,
            tenant,
            sides: Vec::new(),
            flights: Vec::new(),
            parked: Vec::new(),
            tasks: Vec::new(),
            late: None,
        };
        for (name, sources) in COLLECTIONS {
            world.open(name, sources).await;
        }
        world
    }

    /// The same with everything folded.
    async fn folded() -> Self {
        let world = Self::new(SEED).await;
        world.clock.advance(TimeDelta::hours(1));
        for side in 0..world.sides.len() {
            world.fold_all(side).await;
        }
        world
    }

    /// Makes a collection by an upload of one record, which is left unfolded until its time.
    async fn open(&mut self, name: &str, sources: u64) {
        let mut random = Random::of(self.diary.seed, u64::MAX - sources);
        let (name, upload) = (name.parse().expect("a name"), random.upload());
        let now = self.clock.now();
        let (_, hold) = reserve(&self.table, &self.tenant, &name, upload, 1, now).await;
        let side = self.sides.len();
        self.sides.push(Side {
            name,
            number: hold.number,
            generation: hold.generation,
            sources,
            records: BTreeMap::new(),
            doubtful: States::new(),
        });
        let record = Record {
            source_type: SourceType::FileUpload,
            upload,
            ..self.record(side, 0, &mut random)
        };
        let rows = [Row {
            record,
            before: None,
        }];
        let place = self.sides[side].place(&self.tenant);
        let (tally, added) = write(&self.table, &place, &rows, upload).await;
        let settled = self
            .table
            .settle(&self.tenant, upload, &hold, &tally, now)
            .await;
        assert!(settled.expect("an end"));
        for record in added {
            self.sides[side].adopt(record.id, Some(record));
        }
    }

    fn id(&self, side: usize, source: u64) -> RecordId {
        let Side { name, number, .. } = &self.sides[side];
        let source = source.to_string();
        let identity = Identity::Source(&source);
        RecordId::derive(&self.tenant, name, *number, &product(), &identity)
    }

    /// A record with that id, as a call makes it.
    fn record(&self, side: usize, source: u64, random: &mut Random) -> Record {
        let (first, second) = (*random.pick(&WORDS), *random.pick(&WORDS));
        let data = [("size".to_owned(), json!(random.below(SIZES)))];
        let now = self.clock.now();
        Record {
            id: self.id(side, source),
            collection: self.sides[side].name.clone(),
            record_type: product(),
            name: format!("{first} {second}"),
            description: None,
            data: data.into_iter().collect::<Map<String, Value>>(),
            visibility: if random.chance(50) {
                Visibility::Public
            } else {
                Visibility::Private
            },
            source_type: SourceType::Api,
            source_name: None,
            source_id: Some(source.to_string()),
            created_at: now,
            updated_at: now,
            version: 1,
            upload: random.upload(),
            row: 1,
        }
    }

    async fn view(&self, side: usize) -> View {
        let view = self.table.view(&self.tenant, &self.sides[side].name).await;
        view.expect("a view")
    }

    /// Records as the table has them.
    async fn read(&self, side: usize, ids: &[RecordId]) -> HashMap<RecordId, Record> {
        let side = &self.sides[side];
        let place = side.place(&self.tenant);
        let records = self.table.records(&place, &side.name, ids).await;
        records.expect("records")
    }

    /// The same; each has to be what it may be.
    async fn currents(&self, side: usize, ids: &[RecordId]) -> HashMap<RecordId, Record> {
        let records = self.read(side, ids).await;
        for id in ids {
            let (current, states) = (records.get(id), self.sides[side].states_of(*id));
            assert!(
                states.iter().any(|state| state.as_ref() == current),
                "the table has {current:?} for {id}, which is {states:?}"
            );
        }
        records
    }

    // Single records.

    /// Makes, changes or deletes a record.
    async fn change(&mut self, side: usize, random: &mut Random) {
        let source = random.below(self.sides[side].sources);
        let new = self.record(side, source, random);
        let id = new.id;
        let (gone, outdated) = (random.chance(45), random.chance(8));
        let fate = random.fate(15, 12);
        let Some(old) = self.currents(side, &[id]).await.remove(&id) else {
            self.turn(side, id, None, Some(new), fate).await;
            return;
        };
        if outdated {
            self.diary.note(&format!("outdated change of {id}"));
            let seen = Record {
                version: old.version + 1,
                ..old
            };
            let place = self.sides[side].place(&self.tenant);
            let next = next_of(&seen, new);
            let changed = self.table.update_record(&place, &seen, &next).await;
            assert!(!changed.expect("an answer"), "{id} was another");
            return;
        }
        let next = if gone && self.may_be_deleted(id) {
            None
        } else {
            Some(next_of(&old, new))
        };
        self.turn(side, id, Some(old), next, fate).await;
    }

    /// Deletes some records.
    async fn purge(&mut self, side: usize, random: &mut Random) {
        for _ in 0..8 {
            let source = random.below(self.sides[side].sources);
            self.remove(side, source).await;
        }
    }

    /// Makes or changes a record.
    async fn put(&mut self, side: usize, source: u64, random: &mut Random) {
        let new = self.record(side, source, random);
        let id = new.id;
        let old = self.currents(side, &[id]).await.remove(&id);
        let next = match &old {
            Some(old) => next_of(old, new),
            None => new,
        };
        self.turn(side, id, old, Some(next), Fate::Whole).await;
    }

    /// Deletes a record, if it is there and may be deleted.
    async fn remove(&mut self, side: usize, source: u64) {
        let id = self.id(side, source);
        let old = self.currents(side, &[id]).await.remove(&id);
        if old.is_some() && self.may_be_deleted(id) {
            self.turn(side, id, old, None, Fate::Whole).await;
        }
    }

    /// What an upload added that is then cut short cannot be counted once it is gone, so what an
    /// unsettled upload names is not deleted here.
    fn may_be_deleted(&self, id: RecordId) -> bool {
        let unsettled = |flight: &Flight| flight.stage != Stage::Settled;
        let mut flights = self.flights.iter();
        !flights.any(|flight| unsettled(flight) && flight.ids.contains(&id))
    }

    /// Makes `next` of a record that is `old`, by the verb for that.
    async fn turn(
        &mut self,
        side: usize,
        id: RecordId,
        old: Option<Record>,
        next: Option<Record>,
        fate: Fate,
    ) {
        let versions = [&old, &next].map(|state| state.as_ref().map(|record| record.version));
        self.diary
            .note(&format!("{id} from {versions:?}, {fate:?}"));
        let place = self.sides[side].place(&self.tenant);
        let now = self.clock.now();
        let verb: BoxFuture<'_, table::Result<bool>> = match (&old, &next) {
            (None, Some(next)) => self.table.create_record(&place, next).boxed(),
            (Some(old), Some(next)) => self.table.update_record(&place, old, next).boxed(),
            (Some(old), None) => self.table.delete_record(&place, old, now).boxed(),
            (None, None) => panic!("there is nothing to do"),
        };
        if let Some(done) = run(verb, fate).await {
            assert!(done.expect("an answer"), "{id} is another");
        } else {
            let current = self.read(side, &[id]).await.remove(&id);
            if current != next {
                assert_eq!(current, old, "{id} is neither the old nor the new");
                return;
            }
        }
        self.sides[side].adopt(id, next);
    }

    // Uploads.

    /// Begins an upload.
    async fn begin(&mut self, side: usize, random: &mut Random) {
        if self.flights.len() >= MOST_FLIGHTS {
            self.go_on(random).await;
            return;
        }
        let most = if random.chance(70) { 5 } else { 40 };
        let rows = 1 + random.below(most);
        let all = self.sides[side].sources;
        let sources = (0..rows).map(|_| random.below(all)).collect();
        let fates = [random.fate(8, 16), random.fate(25, 30)];
        self.upload(side, sources, fates, random).await;
    }

    /// Reserves room for rows and writes them, each with its fate.
    async fn upload(
        &mut self,
        side: usize,
        sources: BTreeSet<u64>,
        [reserving, writing]: [Fate; 2],
        random: &mut Random,
    ) {
        let (upload, rows) = (random.upload(), sources.len());
        self.diary
            .note(&format!("{upload} of {rows}, {reserving:?}, {writing:?}"));
        let (name, now) = (&self.sides[side].name, self.clock.now());
        let reserved = reserve(&self.table, &self.tenant, name, upload, rows as u64, now);
        // What it has reserved by then is found abandoned later.
        let Some((pointer, hold)) = run(reserved.boxed(), reserving).await else {
            return;
        };
        let mut fresh = Vec::new();
        for (source, row) in sources.into_iter().zip(1..) {
            fresh.push(Record {
                source_type: SourceType::FileUpload,
                upload,
                row,
                ..self.record(side, source, random)
            });
        }
        let ids: Vec<RecordId> = fresh.iter().map(|record| record.id).collect();
        let mut before = self.currents(side, &ids).await;
        let rows: Vec<Row> = fresh
            .into_iter()
            .map(|record| Row {
                before: before.remove(&record.id),
                record,
            })
            .collect();
        for row in &rows {
            self.sides[side].doubt(row.record.id, Some(row.after()));
        }
        self.flights.push(Flight {
            side,
            upload,
            hold,
            ids: ids.into_iter().collect(),
            tally: Tally::default(),
            ahead: None,
            stage: Stage::Dead,
        });
        let place = self.sides[side].place(&self.tenant);
        let written = write(&self.table, &place, &rows, upload);
        let written = run(written.boxed(), writing).await;
        if let (Some((tally, added)), Some(flight)) = (written, self.flights.last_mut()) {
            flight.tally = tally;
            let (process, name) = (&self.processes[0], &self.sides[side].name);
            let ahead = process.ahead(&self.tenant, name, flight.hold.of(), pointer);
            ahead.take(added).await;
            flight.ahead = Some(ahead);
            flight.stage = Stage::Written;
        }
    }

    /// Takes an upload that is alive a step further.
    async fn go_on(&mut self, random: &mut Random) {
        let alive: Vec<usize> = (0..self.flights.len())
            .filter(|at| self.flights[*at].stage != Stage::Dead)
            .collect();
        if alive.is_empty() {
            return;
        }
        let at = *random.pick(&alive);
        if self.flights[at].stage == Stage::Written {
            let fate = random.fate(15, 20);
            self.settle(at, fate).await;
        } else {
            self.leave(at, random).await;
        }
    }

    /// Settles an upload.
    async fn settle(&mut self, at: usize, fate: Fate) {
        let flight = &self.flights[at];
        let note = format!("{} settles, {fate:?}", flight.upload);
        self.diary.note(&note);
        let now = self.clock.now();
        let settling = self.table.settle(
            &self.tenant,
            flight.upload,
            &flight.hold,
            &flight.tally,
            now,
        );
        let Some(settled) = run(settling.boxed(), fate).await else {
            self.flights[at].stage = Stage::Dead;
            self.look_for_settled().await;
            return;
        };
        assert!(settled.expect("an end"), "it was settled already");
        let flight = &mut self.flights[at];
        flight.stage = Stage::Settled;
        let (side, ids) = (flight.side, flight.ids.clone());
        self.make_certain(side, &ids).await;
    }

    /// Ends the call of an upload that is settled: by its fold, or by leaving that to others now or
    /// after its time.
    async fn leave(&mut self, at: usize, random: &mut Random) {
        let Flight {
            side,
            upload,
            ahead,
            ..
        } = self.flights.swap_remove(at);
        match random.below(10) {
            0..6 => {
                let own = Own {
                    upload: Some(upload),
                    ahead,
                };
                self.start(side, Job::Own(own), random).await;
            }
            6..8 => {
                self.diary.note(&format!("{upload} is left to others"));
                let Side { name, .. } = &self.sides[side];
                let (of, now) = (self.sides[side].of(), self.clock.now());
                let left = self.table.leave_batch(&self.tenant, name, of, upload, now);
                whole(left.boxed()).await.expect("a marker for others");
            }
            _ => self.diary.note(&format!("{upload} is left")),
        }
    }

    /// Settles uploads whose time is over, as the first who looks does.
    async fn settle_abandoned(&mut self, crashes: u64, random: &mut Random) {
        let view = self.view(THINGS).await;
        for (upload, hold) in view.caps.abandoned(self.clock.now(), None) {
            let fate = random.fate(crashes, 40);
            self.diary
                .note(&format!("{upload} is settled for, {fate:?}"));
            let settling = self.table.settle_abandoned(&self.tenant, upload, &hold);
            if let Some(settled) = run(settling.boxed(), fate).await {
                settled.expect("an end");
            }
        }
        self.look_for_settled().await;
    }

    /// Finds out which uploads were settled by others, or by a call that was cut short.
    async fn look_for_settled(&mut self) {
        for side in 0..self.sides.len() {
            let unsettled = |flight: &Flight| flight.side == side && flight.stage != Stage::Settled;
            if !self.flights.iter().any(unsettled) {
                continue;
            }
            let view = self.view(side).await;
            let later = self.clock.now() + TimeDelta::days(1);
            let held = view.caps.abandoned(later, None).into_iter();
            let held: HashSet<UploadId> = held.map(|(upload, _)| upload).collect();
            let (over, rest): (Vec<Flight>, Vec<Flight>) = std::mem::take(&mut self.flights)
                .into_iter()
                .partition(|flight| {
                    let marked = view.markers.batches.contains_key(&flight.upload);
                    unsettled(flight) && (marked || !held.contains(&flight.upload))
                });
            self.flights = rest;
            for flight in over {
                self.make_certain(side, &flight.ids).await;
            }
        }
    }

    /// From now on records are what the table has, but those that an upload is still to tell of.
    async fn make_certain(&mut self, side: usize, ids: &BTreeSet<RecordId>) {
        let told = |id: &RecordId| {
            let mut flights = self.flights.iter();
            !flights.any(|flight| flight.stage != Stage::Settled && flight.ids.contains(id))
        };
        let ids: Vec<RecordId> = ids.iter().copied().filter(told).collect();
        let mut currents = self.currents(side, &ids).await;
        for id in ids {
            self.sides[side].adopt(id, currents.remove(&id));
        }
    }

    // Folds and what else the index needs.

    fn job(
        &self,
        side: usize,
        process: usize,
        job: Job,
        life: Life,
    ) -> BoxFuture<'static, indexing::Result<()>> {
        let (name, of) = (self.sides[side].name.clone(), self.sides[side].of());
        carry_out(
            self.processes[process].clone(),
            self.table.clone(),
            self.clock.clone(),
            (self.tenant.clone(), name),
            of,
            job,
            life,
        )
        .boxed()
    }

    /// Begins a job, which ends, goes on by itself, is cut short or stands still half way.
    async fn start(&mut self, side: usize, job: Job, random: &mut Random) {
        let what = match &job {
            Job::Own(own) => format!("fold of {:?}", own.upload),
            other => format!("{other:?}"),
        };
        let mortal = matches!(job, Job::Fold(_) | Job::Own(_));
        let course = random.below(if mortal { 10 } else { 6 });
        let life = if course < 6 { Life::Task } else { Life::Here };
        let mut work = self.job(side, random.index(2), job, life);
        match course {
            0..4 => {
                self.diary.note(&what);
                whole(work).await.expect("a fold");
            }
            4..6 => {
                self.diary.note(&format!("{what}, by itself"));
                self.tasks.push(tokio::spawn(work));
                if self.tasks.len() > MOST_TASKS {
                    self.finish_tasks().await;
                }
            }
            6..8 => {
                let fate = random.fate(100, 50);
                self.diary.note(&format!("{what}, {fate:?}"));
                if let Some(done) = run(work, fate).await {
                    done.expect("a fold");
                }
            }
            _ => {
                self.diary.note(&format!("{what}, half way"));
                let since = self.diary.step;
                match advance(&mut work, random.below(50)).await {
                    Some(done) => done.expect("a fold"),
                    None => self.parked.push(Parked { work, since }),
                }
                if self.parked.len() > MOST_PARKED {
                    let oldest = self.parked.remove(0);
                    whole(oldest.work).await.expect("a fold");
                }
            }
        }
    }

    /// Waits for what goes on by itself.
    async fn finish_tasks(&mut self) {
        for task in std::mem::take(&mut self.tasks) {
            let done = whole(task.boxed()).await.expect("a task");
            done.expect("a fold");
        }
    }

    /// Takes work that stands still further, to its end, or drops it.
    async fn resume(&mut self, random: &mut Random) {
        if self.parked.is_empty() {
            return;
        }
        let at = random.index(self.parked.len());
        let mut parked = self.parked.swap_remove(at);
        match random.below(10) {
            0..5 => {
                self.diary.note("what stands still goes on");
                match advance(&mut parked.work, random.below(20)).await {
                    Some(done) => done.expect("a fold"),
                    None => self.parked.push(parked),
                }
            }
            5..8 => {
                self.diary.note("what stands still ends");
                whole(parked.work).await.expect("a fold");
            }
            _ => {
                self.diary.note("what stands still is dropped");
                abandon(parked.work).await;
            }
        }
    }

    /// Drops work that stands still for too long.
    async fn drop_old(&mut self) {
        let step = self.diary.step;
        let old = |parked: &Parked| parked.since + MOST_STEPS_PARKED < step;
        while let Some(at) = self.parked.iter().position(old) {
            abandon(self.parked.swap_remove(at).work).await;
        }
    }

    /// Sweeps the store: of everything that is not in use, or, while some work has packs that it
    /// has yet to publish, of what is old.
    async fn sweep(&mut self, random: &mut Random) {
        self.finish_tasks().await;
        let alone = self.parked.is_empty();
        let now = self.clock.now();
        let now = if alone { now } else { now - LONG_BEFORE };
        let (process, fate) = (random.index(2), random.fate(15, 12));
        self.diary.note(&format!("sweep, {alone}, {fate:?}"));
        let sweeping = self.processes[process].sweep(alone, now);
        let Some(swept) = run(sweeping.boxed(), fate).await else {
            return;
        };
        let swept = swept.expect("a sweep");
        if alone {
            self.check_packs().await;
        } else {
            assert_eq!(swept, 0);
        }
    }

    fn move_clock(&mut self, random: &mut Random) {
        let by = match random.below(10) {
            0..6 => random.seconds(1, 20),
            6..8 => random.seconds(30, 120),
            8 => random.seconds(180, 1_200),
            _ => random.seconds(3_660, 7_800),
        };
        self.diary.note(&format!("{} s later", by.num_seconds()));
        self.clock.advance(by);
    }

    fn restart(&mut self, process: usize) {
        self.diary.note(&format!("process {process} begins anew"));
        self.processes[process] = self::process(&self.endpoint, &self.store, &self.clock);
    }

    /// Folds what is marked until nothing is. Nobody else may be at it.
    async fn fold_all(&self, side: usize) {
        let Side {
            name, generation, ..
        } = &self.sides[side];
        for _ in 0..5 {
            if self.view(side).await.markers.is_empty() {
                return;
            }
            let (own, effort) = (Own::default(), Effort::Background);
            let folding = self.processes[0].fold(&self.tenant, name, *generation, own, effort);
            let folded = whole(folding.boxed()).await.expect("a fold");
            assert_ne!(folded, Folded::Busy);
        }
        panic!("markers stay");
    }

    // Searches.

    /// Everything that a search finds, page after page.
    async fn find(&self, process: usize, view: &View, query: Query) -> Vec<RecordId> {
        let mut ids: Vec<RecordId> = Vec::new();
        loop {
            let request = query.request(ids.len());
            let (indexes, markers) = (&self.processes[process], &view.markers);
            let searching = indexes.search(&self.tenant, live(view), markers, &request);
            let page = whole(searching.boxed()).await.expect("a page").page;
            let next = page.hits.iter().map(|hit| hit.id);
            ids.extend(next);
            if page.hits.is_empty() || ids.len() >= page.total {
                assert_eq!(ids.len(), page.total, "the total of {query:?}");
                return ids;
            }
        }
    }

    async fn check(&self, side: usize, process: usize, query: Query) {
        let view = self.view(side).await;
        let found = self.find(process, &view, query).await;
        let states = self.sides[side].states();
        assert_agrees(&states, &found, query);
        assert_ordered(&states, &found, query);
    }

    /// Checks what both processes find.
    async fn check_both(&self, side: usize) {
        for process in 0..self.processes.len() {
            for query in [Query::Everything, Query::Smallest] {
                self.check(side, process, query).await;
            }
            self.check_progress(side, process).await;
        }
    }

    /// Begins a search and hangs up.
    async fn hang_up(&mut self, side: usize, random: &mut Random) {
        let view = self.view(side).await;
        let (request, process) = (Query::any(random).request(0), random.index(2));
        let fate = random.fate(100, 10);
        self.diary
            .note(&format!("process {process} searches, {fate:?}"));
        let (indexes, markers) = (&self.processes[process], &view.markers);
        let searching = indexes.search(&self.tenant, live(&view), markers, &request);
        if let Some(found) = run(searching.boxed(), fate).await {
            found.expect("a page");
        }
    }

    /// Looks at the table for a search that comes later; or searches by such a look.
    async fn search_late(&mut self, side: usize, random: &mut Random) {
        let Some(late) = self.late.take() else {
            self.diary.note("a look at the table");
            let (view, states) = (self.view(side).await, self.sides[side].states());
            self.late = Some(Late { side, view, states });
            return;
        };
        let process = random.index(2);
        self.diary
            .note(&format!("process {process} searches by an old look"));
        let request = Query::Everything.request(0);
        let (indexes, markers) = (&self.processes[process], &late.view.markers);
        let searching = indexes.search(&self.tenant, live(&late.view), markers, &request);
        let page = whole(searching.boxed()).await.expect("a page").page;
        let found: Vec<RecordId> = page.hits.iter().map(|hit| hit.id).collect();
        let mut states = late.states;
        widen(&mut states, &self.sides[late.side].states());
        if page.total > found.len() {
            states.retain(|id, _| found.contains(id));
        }
        assert_agrees(&states, &found, Query::Everything);
    }

    /// Checks that what is not indexed yet adds up. Two things are not told apart by markers alone:
    /// a record of an upload that is gone by now, and one that came back by an upload.
    async fn check_progress(&self, side: usize, process: usize) {
        let view = self.view(side).await;
        let (collection, markers) = (live(&view), &view.markers);
        let states = self.sides[side].states();
        let (mut named, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for (upload, marker) in &markers.batches {
            let batch = self.table.batch(&self.tenant, *upload, marker).await;
            let ids = batch.expect("an answer").expect("an upload's ids").ids();
            assert_eq!(marker.count, ids.len() as u64);
            named.extend(ids);
        }
        for (id, marker) in &markers.records {
            if marker.gone {
                gone.insert(*id);
            } else {
                let there = states
                    .get(id)
                    .is_some_and(|all| all.iter().any(Option::is_some));
                assert!(there, "{id} is marked as changed and not there");
                named.insert(*id);
            }
        }
        let surely = |id: &&RecordId| states.get(*id).is_some_and(|all| !all.contains(&None));
        let least = named.difference(&gone).filter(surely).count() as u64;
        let most = named.len() as u64;

        let indexes = &self.processes[process];
        let progress = indexes.progress(&self.tenant, collection, markers).await;
        let progress = progress.expect("progress");

        let waiting = progress.pending + progress.processing;
        assert!(
            (least..=most).contains(&waiting),
            "{progress:?} where from {least} to {most} are waiting"
        );
        assert_eq!(progress.failed, 0);
        let request = Query::Everything.request(0);
        let searching = indexes.search(&self.tenant, collection, markers, &request);
        let found = whole(searching.boxed()).await.expect("a page");
        for (id, status) in &found.statuses {
            let marked = named.contains(id) || gone.contains(id);
            assert!(marked, "{id} is {status:?} without a marker");
        }
    }

    /// Checks what the table counts, once every upload has told what it did.
    async fn check_counters(&self) {
        if self
            .flights
            .iter()
            .any(|flight| flight.stage != Stage::Settled)
        {
            return;
        }
        let period = Period::of(self.clock.now());
        let summary = self.table.summary(&self.tenant, period).await;
        let summary = summary.expect("a summary");
        for side in &self.sides {
            assert!(side.doubtful.is_empty(), "{:?}", side.doubtful);
            let mut collections = summary.collections.iter();
            let counted = collections.find(|(collection, _)| collection.name == side.name);
            let (_, counts) = counted.expect("a live collection");
            let public = |record: &&Record| record.visibility == Visibility::Public;
            let public = side.records.values().filter(public).count();
            assert_eq!(
                (counts.total, counts.public),
                (side.records.len() as u64, public as u64),
                "the counters of {}",
                side.name
            );
        }
    }

    /// Checks what the table holds.
    async fn check_records(&self) {
        for (at, side) in self.sides.iter().enumerate() {
            let ids: Vec<RecordId> = (0..side.sources).map(|n| self.id(at, n)).collect();
            self.currents(at, &ids).await;
        }
    }

    /// Checks that the store holds the packs that pointers name, and no other.
    async fn check_packs(&self) {
        let now = self.clock.now();
        let mut named = BTreeSet::new();
        for (at, side) in self.sides.iter().enumerate() {
            let view = self.view(at).await;
            let pointer = live(&view).index().expect("an index");
            let prefix = format!(
                "{}/{}/{}/{}",
                self.tenant, side.name, side.number, side.generation
            );
            for pack in &pointer.packs {
                named.insert(search::pack_path(&prefix, pointer.build, &pack.name));
            }
            for retired in &pointer.retired {
                if retired.at > now - search::RETIRED_FOR {
                    named.insert(search::pack_path(&prefix, retired.build, &retired.name));
                }
            }
        }
        let listed = self.store.list("").await.expect("a list").into_iter();
        let listed: BTreeSet<String> = listed.map(|object| object.path).collect();
        assert_eq!(listed, named);
    }

    // The run.

    async fn step(&mut self, step: u64) {
        self.diary.step = step;
        let random = &mut Random::of(self.diary.seed, step);
        let millis = random.below(1_000).cast_signed();
        self.clock.advance(TimeDelta::milliseconds(millis));
        let side = usize::from(random.chance(15));
        self.drop_old().await;
        match random.below(100) {
            0..38 => self.change(side, random).await,
            38..41 => self.purge(side, random).await,
            41..50 => self.begin(side, random).await,
            50..60 => self.go_on(random).await,
            60..66 => self.start(side, Job::Fold(Effort::Call), random).await,
            66..70 => {
                let job = Job::Fold(Effort::Background);
                self.start(side, job, random).await;
            }
            70..72 => self.start(side, Job::Tend, random).await,
            72..74 => self.start(side, Job::Rebuild, random).await,
            74..76 => self.sweep(random).await,
            76..84 => self.resume(random).await,
            84..90 => self.move_clock(random),
            90..93 => self.settle_abandoned(15, random).await,
            93..95 => self.restart(random.index(2)),
            95..98 => self.search_late(side, random).await,
            _ => self.hang_up(side, random).await,
        }
        if let Some(late) = &mut self.late {
            widen(&mut late.states, &self.sides[late.side].states());
        }

        let process = random.index(2);
        self.check(side, process, Query::Everything).await;
        self.check(side, process, Query::any(random)).await;
        if step % 4 == 1 {
            self.finish_tasks().await;
            self.check_progress(side, process).await;
        }
        if step % 10 == 7 {
            for side in 0..self.sides.len() {
                for process in 0..self.processes.len() {
                    self.check(side, process, Query::any(random)).await;
                }
            }
        }
        if step % 20 == 13 {
            self.check_counters().await;
            self.check_records().await;
        }
    }

    /// Lets everything come to its end. Nothing is left then but the records and their index.
    async fn end(mut self) {
        self.diary.note("the end");
        self.finish_tasks().await;
        while let Some(parked) = self.parked.pop() {
            whole(parked.work).await.expect("a fold");
        }
        self.clock.advance(TimeDelta::hours(1));
        let random = &mut Random::of(self.diary.seed, u64::MAX);
        self.settle_abandoned(0, random).await;
        self.flights.retain(|flight| flight.stage != Stage::Settled);
        assert!(self.flights.is_empty(), "an upload is not settled");
        for side in 0..self.sides.len() {
            self.fold_all(side).await;
            let name = &self.sides[side].name;
            let markers = self.table.markers(&self.tenant, name).await;
            let markers = markers.expect("markers");
            assert!(markers.values().all(Markers::is_empty), "{markers:?}");
            let view = self.view(side).await;
            let progress = self.processes[0].progress(&self.tenant, live(&view), &view.markers);
            assert_eq!(progress.await.expect("progress"), Progress::default());
            self.check_both(side).await;
        }
        self.check_counters().await;
        self.check_records().await;

        // Longer than packs are kept that went out of use.
        self.clock.advance(TimeDelta::hours(2));
        let swept = self.processes[0].sweep(true, self.clock.now()).await;
        swept.expect("a sweep");
        self.check_packs().await;
        for process in 0..self.processes.len() {
            self.restart(process);
        }
        for side in 0..self.sides.len() {
            for query in Query::all() {
                self.check(side, 0, query).await;
            }
            self.check_both(side).await;
        }
    }
}

async fn interleave(seed: u64) {
    println!("INTERLEAVINGS_SEED={seed}");
    let mut world = World::new(seed).await;
    for step in 0..setting("INTERLEAVINGS_STEPS").unwrap_or(STEPS) {
        world.step(step).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_find_what_is_there_however_calls_folds_and_crashes_cross() {
    interleave(SEED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_find_what_is_there_from_any_seed() {
    let seed = setting("INTERLEAVINGS_SEED");
    interleave(seed.unwrap_or_else(|| RandomState::new().hash_one(0_u8))).await;
}

/// Lets a change of a record that is being folded land after each step of the fold in turn.
async fn assert_kept_during_a_fold(gone: bool) {
    let mut world = World::folded().await;
    for polls in 0..1_000 {
        world.diary.step = polls;
        let random = &mut Random::of(SEED, polls);
        world.put(THINGS, 7, random).await;
        let mut fold = world.job(THINGS, 0, Job::Fold(Effort::Call), Life::Here);
        let early = advance(&mut fold, polls).await;

        if gone {
            world.remove(THINGS, 7).await;
        } else {
            world.put(THINGS, 7, random).await;
        }

        let over = early.is_some();
        let folded = match early {
            Some(folded) => folded,
            None => whole(fold).await,
        };
        folded.expect("a fold");
        for process in 0..2 {
            world.check(THINGS, process, Query::Smallest).await;
        }
        world.fold_all(THINGS).await;
        world.check_both(THINGS).await;
        if over {
            assert!(polls >= 8, "a fold waits more than {polls} times");
            return;
        }
    }
    panic!("a fold has no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_lands_during_a_fold_is_not_lost() {
    assert_kept_during_a_fold(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_lands_during_a_fold_is_not_lost() {
    assert_kept_during_a_fold(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_went_between_two_folds_is_gone_from_open_indexes() {
    let mut world = World::folded().await;
    let random = &mut Random::of(SEED, 0);
    world.put(THINGS, 7, random).await;
    world.check_both(THINGS).await;

    world.remove(THINGS, 7).await;
    world.fold_all(THINGS).await;

    world.check_both(THINGS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_before_its_upload_is_folded_stays_gone() {
    let mut world = World::folded().await;
    let random = &mut Random::of(SEED, 0);
    let rows = BTreeSet::from([7]);
    world.upload(THINGS, rows, [Fate::Whole; 2], random).await;
    let id = world.id(THINGS, 7);
    let written = world.read(THINGS, &[id]).await.remove(&id);
    world.turn(THINGS, id, written, None, Fate::Whole).await;
    world.fold_all(THINGS).await;
    world.settle(0, Fate::Whole).await;
    let Flight { upload, ahead, .. } = world.flights.remove(0);
    let own = Own {
        upload: Some(upload),
        ahead,
    };

    let folded = whole(world.job(THINGS, 1, Job::Own(own), Life::Task)).await;

    folded.expect("a fold");
    world.check_both(THINGS).await;
    world.fold_all(THINGS).await;
    world.check_both(THINGS).await;
    world.check_counters().await;
}
