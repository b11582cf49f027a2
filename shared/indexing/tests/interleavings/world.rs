//! A tenant, its processes, and the model of what they hold.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::TimeDelta;
use indexing::Indexes;
use model::id::{RecordId, RecordType, TenantId};
use model::plan::Plan;
use model::record::{Identity, Record, SourceType, Visibility};
use search::Store;
use serde_json::{Map, Value, json};
use table::Table;
use table::summary::View;
use testkit::{TABLE, engine, store};
use tokio::task::JoinHandle;

use crate::checks::Late;
use crate::common::{Clock, Random};
use crate::flights::{Flight, Row, reserve, write};
use crate::jobs::Parked;
use crate::queries::{SIZES, WORDS};
use crate::sides::{Side, States};

/// The seed of every run.
pub(crate) const SEED: u64 = 20_260_308;

/// The collections and how many records each may have. The first is where most of it happens.
const COLLECTIONS: [(&str, u64); 2] = [("things", 200), ("thing", 40)];
pub(crate) const THINGS: usize = 0;

/// The uploads that are under way at once, and the folds that stand still half way.
pub(crate) const MOST_FLIGHTS: usize = 4;
pub(crate) const MOST_PARKED: usize = 3;

/// The folds that go on by themselves at once.
pub(crate) const MOST_TASKS: usize = 3;

pub(crate) fn product() -> RecordType {
    "product".parse().expect("a record type")
}

/// What has happened; it is told if a test fails.
pub(crate) struct Diary {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    notes: VecDeque<String>,
}

impl Diary {
    pub(crate) fn note(&mut self, note: &str) {
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
pub(crate) struct World {
    pub(crate) diary: Diary,
    pub(crate) endpoint: String,
    /// The table as those see it who write to it.
    pub(crate) table: Table,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) tenant: TenantId,
    pub(crate) processes: [Indexes; 2],
    pub(crate) sides: Vec<Side>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) parked: Vec<Parked>,
    /// Folds that go on by themselves.
    pub(crate) tasks: Vec<JoinHandle<indexing::Result<()>>>,
    pub(crate) late: Option<Late>,
}

/// A process that begins.
pub(crate) fn process(endpoint: &str, store: &Store, clock: &Clock) -> Indexes {
    let table = Table::at_endpoint(endpoint, TABLE);
    Indexes::new(table, store.clone(), clock.teller(), None)
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
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
    pub(crate) async fn folded() -> Self {
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

    pub(crate) fn id(&self, side: usize, source: u64) -> RecordId {
        let Side { name, number, .. } = &self.sides[side];
        let source = source.to_string();
        let identity = Identity::Source(&source);
        RecordId::derive(&self.tenant, name, *number, &product(), &identity)
    }

    /// A record with that id, as a call makes it.
    pub(crate) fn record(&self, side: usize, source: u64, random: &mut Random) -> Record {
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

    pub(crate) async fn view(&self, side: usize) -> View {
        let view = self.table.view(&self.tenant, &self.sides[side].name).await;
        view.expect("a view")
    }

    /// Records as the table has them.
    pub(crate) async fn read(&self, side: usize, ids: &[RecordId]) -> HashMap<RecordId, Record> {
        let side = &self.sides[side];
        let place = side.place(&self.tenant);
        let records = self.table.records(&place, &side.name, ids).await;
        records.expect("records")
    }

    /// The same; each has to be what it may be.
    pub(crate) async fn currents(
        &self,
        side: usize,
        ids: &[RecordId],
    ) -> HashMap<RecordId, Record> {
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
}
