//! What a process remembers to spare itself a question; it may forget all of it at any time.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much is remembered before all is forgotten.
const MOST: usize = 10_000;

/// A set that cannot grow without bounds.
#[derive(Debug)]
pub(crate) struct Remembered<T>(Mutex<HashSet<T>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Eq + Hash> Remembered<T> {
    fn lock(&self) -> MutexGuard<'_, HashSet<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.lock().contains(value)
    }

    pub(crate) fn insert(&self, value: T) {
        let mut values = self.lock();
        if values.len() >= MOST {
            values.clear();
        }
        values.insert(value);
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&self, value: &Q)
    where
        T: Borrow<Q>,
    {
        self.lock().remove(value);
    }
}
