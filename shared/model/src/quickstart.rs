//! The quickstart checklist. A step is stamped the first time it happens and never moves.

use crate::time::Moment;

/// A step of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The tenant's first API key.
    CreateApiKey,
    /// The first schema.
    DefineSchema,
    /// The first upload that accepted a row.
    UploadData,
    /// The first search that was answered.
    FirstSearch,
}

impl Step {
    /// Every step, in the order of the checklist.
    pub const ALL: [Self; 4] = [
        Self::CreateApiKey,
        Self::DefineSchema,
        Self::UploadData,
        Self::FirstSearch,
    ];

    /// The step's id in answers; also the name of its attribute in the table.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::CreateApiKey => "create_api_key",
            Self::DefineSchema => "define_schema",
            Self::UploadData => "upload_data",
            Self::FirstSearch => "first_search",
        }
    }

    /// The step's title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CreateApiKey => "Create an API key",
            Self::DefineSchema => "Define a schema",
            Self::UploadData => "Upload sample data",
            Self::FirstSearch => "Run your first search",
        }
    }
}

/// When each step was first taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checklist {
    stamps: [Option<Moment>; Step::ALL.len()],
}

impl Checklist {
    /// When `step` was first taken.
    #[must_use]
    pub fn completed_at(&self, step: Step) -> Option<Moment> {
        self.stamps[step as usize]
    }

    /// Notes when `step` was first taken.
    pub fn stamp(&mut self, step: Step, moment: Moment) {
        self.stamps[step as usize].get_or_insert(moment);
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stamps.iter().all(Option::is_some)
    }
}
