//! The paths of `collection_data`: what a client calls them, and the columns that they are.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use tantivy::SegmentReader;
use tantivy::columnar::ColumnarReader;
use tantivy::index::SegmentComponent;

use super::schema::{NUMBERS, STRINGS};

/// How many paths of one collection can be filtered and sorted by. Each is a column.
const MAX_PATHS: usize = 10_000;

/// How many paths that look the same from outside are told apart in a filter.
const MAX_NAMESAKES: usize = 8;

/// Stands between the steps of a path.
const STEP: char = '/';

/// Stands between a field and the path in the name of a column.
const BELOW: char = '\u{1}';

/// The paths that records of a collection have, by what a client calls them: dots between steps.
/// A key that has a dot of its own looks the same from outside and is another path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    known: HashMap<String, BTreeSet<String>>,
    count: usize,
}

impl Paths {
    /// The paths that a client's name for a field stands for.
    pub(crate) fn named(&self, field: &str) -> impl Iterator<Item = &str> {
        self.known
            .get(field)
            .into_iter()
            .flatten()
            .take(MAX_NAMESAKES)
            .map(String::as_str)
    }

    /// Whether any record has the field.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.known.contains_key(field)
    }

    /// Whether more than one path looks like the field.
    pub(crate) fn has_namesakes(&self, field: &str) -> bool {
        self.known.get(field).is_some_and(|paths| paths.len() > 1)
    }

    /// All paths that look like the field.
    pub(crate) fn all(&self, field: &str) -> BTreeSet<String> {
        self.known.get(field).cloned().unwrap_or_default()
    }

    /// Takes these for the paths that look like the field; if there are none, no record has it.
    pub(crate) fn keep(&mut self, field: &str, paths: BTreeSet<String>) {
        if paths.is_empty() {
            self.known.remove(field);
        } else {
            self.known.insert(field.to_owned(), paths);
        }
    }

    /// Notes a path and says whether there is room for it.
    pub(super) fn admit(&mut self, path: &Path) -> bool {
        if let Some(paths) = self.known.get_mut(&path.shown) {
            if paths.contains(&path.encoded) {
                return true;
            }
            if self.count < MAX_PATHS {
                self.count += 1;
                return paths.insert(path.encoded.clone());
            }
            return false;
        }
        if self.count >= MAX_PATHS {
            return false;
        }
        self.count += 1;
        let paths = BTreeSet::from([path.encoded.clone()]);
        self.known.insert(path.shown.clone(), paths);
        true
    }

    /// Notes the paths of a segment, which its columns are called by.
    pub(crate) fn note(&mut self, segment: &SegmentReader) -> tantivy::Result<()> {
        let file = segment.open_read(SegmentComponent::FastFields)?;
        for (name, _) in ColumnarReader::open(file)?.list_columns()? {
            if let Some((STRINGS | NUMBERS, encoded)) = name.split_once(BELOW) {
                self.admit(&Path::decode(encoded));
            }
        }
        Ok(())
    }
}

/// A path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// What a client calls it.
    shown: String,
    /// What its column is called. No two paths have the same.
    pub(super) encoded: String,
}

impl Path {
    pub(super) fn step(&self, key: &str) -> Self {
        let mut next = self.clone();
        if !next.encoded.is_empty() {
            next.shown.push('.');
            next.encoded.push(STEP);
        }
        next.shown.push_str(key);
        // Nothing, so that an empty key is a step too.
        if key.is_empty() {
            next.encoded.push_str("%;");
        }
        for c in key.chars() {
            // Characters that mean something in the name of a column, or here.
            if matches!(c, '.' | '\\' | '%' | STEP) || c < ' ' {
                // Writing to a string does not fail.
                let _ = write!(next.encoded, "%{:x};", u32::from(c));
            } else {
                next.encoded.push(c);
            }
        }
        next
    }

    fn decode(encoded: &str) -> Self {
        let keys = encoded.split(STEP).map(|step| {
            let mut key = String::with_capacity(step.len());
            let mut rest = step;
            while let Some((plain, code)) = rest.split_once('%') {
                key.push_str(plain);
                let (code, after) = code.split_once(';').unwrap_or((code, ""));
                key.extend(u32::from_str_radix(code, 16).ok().and_then(char::from_u32));
                rest = after;
            }
            key + rest
        });
        Self {
            shown: keys.collect::<Vec<_>>().join("."),
            encoded: encoded.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_and_bounded() {
        let mut paths = Paths::default();
        let nested = Path::default().step("a").step("b");
        let dotted = Path::default().step("a.b");
        assert!(paths.admit(&nested) && paths.admit(&dotted));
        assert_eq!(paths.named("a.b").count(), 2);
        for n in 0..2 * MAX_PATHS {
            paths.admit(&Path::default().step(&n.to_string()));
        }
        assert!(paths.has("0") && !paths.has(&(2 * MAX_PATHS - 1).to_string()));
        assert_eq!(paths.count, MAX_PATHS);
    }

    #[test]
    fn a_path_comes_back_from_the_name_of_its_column() {
        let odd = [
            "", "a", "a.b", "a/b", "100%", "%2e;", "\\", "tab\t", "\u{2024}", ";",
        ];
        for first in odd {
            let path = Path::default().step(first);
            assert_eq!(Path::decode(&path.encoded), path, "{first:?}");
            for second in odd {
                let path = path.step(second);
                assert_eq!(Path::decode(&path.encoded), path, "{first:?} {second:?}");
                assert!(!path.encoded.contains(['.', '\\', '\t', BELOW]));
            }
        }
    }
}
