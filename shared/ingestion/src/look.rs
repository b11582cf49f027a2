//! The first look: is the file good as a whole, and what would it add?

use std::collections::HashSet;
use std::sync::Arc;

use formats::{Cursor, Hints, Layout, Source};
use model::id::RecordId;

use crate::hashed::Hashed;
use crate::input::Input;
use crate::window::Window;

/// What there is in a file.
#[derive(Debug)]
pub(crate) struct Look {
    /// How many rows.
    pub(crate) rows: u64,
    /// Whether one of them can become a record.
    pub(crate) is_good: bool,
    /// The records that the good rows are, each once; of more than were asked for, one more.
    pub(crate) ids: HashSet<RecordId>,
    /// Up to how many were asked for, where a plan has a cap.
    pub(crate) wanted: Option<u64>,
    /// The first part.
    pub(crate) window: Window,
    /// Of the collection with this number.
    pub(crate) number: u32,
    /// `sha256:` and the hash of its bytes.
    pub(crate) hash: String,
}

/// How a file is read, by its beginning or, where that says nothing, by all of it.
pub(crate) fn layout(
    source: &Arc<dyn Source>,
    hints: &Hints,
    whole: bool,
) -> Result<Layout, formats::Error> {
    if whole {
        Layout::detect_whole(&**source, hints)
    } else {
        Layout::detect(&**source, hints)
    }
}

impl Look {
    /// Looks through a file. Ids are wanted up to so many, where a plan has a cap.
    pub(crate) fn take(
        input: &Input,
        number: u32,
        wanted: Option<u64>,
    ) -> Result<Self, formats::Error> {
        let hashed = Hashed::new(Arc::clone(&input.source));
        let mut look = Self {
            rows: 0,
            is_good: false,
            ids: HashSet::new(),
            wanted,
            window: Window::at(Cursor::default()),
            number,
            hash: String::new(),
        };
        let target = &input.target;
        for row in input.read(&hashed, Cursor::default(), true)? {
            let row = row?;
            look.rows = row.number;
            if !look.window.is_full() {
                look.window.take(target, number, &row);
            }
            let Ok(draft) = &row.draft else { continue };
            look.is_good = true;
            if wanted.is_some_and(|most| look.ids.len() as u64 <= most) {
                look.ids.insert(target.id(number, draft));
            }
        }
        look.hash = hashed.finish().map_err(formats::Error::Io)?;
        Ok(look)
    }
}
