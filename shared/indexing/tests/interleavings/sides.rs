//! The model: collections and what they have to hold.

use std::collections::BTreeMap;

use model::id::{CollectionName, RecordId, TenantId};
use model::record::Record;
use table::marker::Generation;
use table::record::Place;

/// What records may be. One that is not named is not there.
pub(crate) type States = BTreeMap<RecordId, Vec<Option<Record>>>;

/// Adds states that records may be in, too.
pub(crate) fn widen(states: &mut States, more: &States) {
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
pub(crate) struct Side {
    pub(crate) name: CollectionName,
    pub(crate) number: u32,
    pub(crate) generation: u32,
    /// How many records it may have.
    pub(crate) sources: u64,
    /// The records whose state is certain.
    pub(crate) records: BTreeMap<RecordId, Record>,
    /// What those may be that an upload has named and not told of yet.
    pub(crate) doubtful: States,
}

impl Side {
    pub(crate) fn place(&self, tenant: &TenantId) -> Place {
        Place::new(tenant, self.number, self.generation)
    }

    pub(crate) fn of(&self) -> Generation {
        Generation {
            number: self.number,
            generation: self.generation,
        }
    }

    pub(crate) fn states_of(&self, id: RecordId) -> Vec<Option<Record>> {
        let doubtful = self.doubtful.get(&id).cloned();
        doubtful.unwrap_or_else(|| vec![self.records.get(&id).cloned()])
    }

    pub(crate) fn states(&self) -> States {
        let certain = self.records.iter();
        let mut states: States = certain
            .map(|(id, record)| (*id, vec![Some(record.clone())]))
            .collect();
        states.extend(self.doubtful.clone());
        states
    }

    /// A record is this from now on.
    pub(crate) fn adopt(&mut self, id: RecordId, state: Option<Record>) {
        self.doubtful.remove(&id);
        match state {
            Some(record) => drop(self.records.insert(id, record)),
            None => drop(self.records.remove(&id)),
        }
    }

    /// A record may be this, too, from now on.
    pub(crate) fn doubt(&mut self, id: RecordId, state: Option<Record>) {
        let mut states = self.states_of(id);
        if !states.contains(&state) {
            states.push(state);
        }
        self.doubtful.insert(id, states);
    }
}

/// The next version of a record, with the content of another.
pub(crate) fn next_of(old: &Record, new: Record) -> Record {
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
