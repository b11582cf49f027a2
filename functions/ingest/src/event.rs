//! What the function is called for.

use files::Files;
use model::Fault;
use model::id::{TenantId, UploadId};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// An event.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// Of the bucket.
    Arrived {
        /// What happened in it.
        #[serde(rename = "Records")]
        records: Vec<Change>,
    },
    /// Of the function itself.
    Continued {
        /// Where an upload goes on.
        upload: Step,
    },
}

/// A change of the bucket.
#[derive(Debug, Deserialize)]
pub struct Change {
    #[serde(rename = "eventName")]
    kind: String,
    s3: S3,
}

#[derive(Debug, Deserialize)]
struct S3 {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
}

/// A step of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The tenant.
    #[serde(deserialize_with = "tenant")]
    pub tenant: TenantId,
    /// The upload.
    pub id: UploadId,
    /// Which call works on it, from 1.
    pub step: u32,
}

impl Event {
    /// The steps that it asks for: one for each file that came.
    #[must_use]
    pub fn steps(self, files: &Files) -> Vec<Step> {
        match self {
            Self::Continued { upload } => vec![upload],
            Self::Arrived { records } => records
                .iter()
                .filter_map(|change| change.step(files))
                .collect(),
        }
    }
}

impl Change {
    /// The first step of the upload whose file came.
    fn step(&self, files: &Files) -> Option<Step> {
        let key = &self.s3.object.key;
        let found = self
            .kind
            .starts_with("ObjectCreated:")
            .then(|| files.parse(key))
            .flatten();
        if found.is_none() {
            tracing::warn!(kind = self.kind, key, "no upload's file came");
        }
        let (tenant, id) = found?;
        Some(Step {
            tenant,
            id,
            step: 1,
        })
    }
}

impl Step {
    /// The one after it.
    #[must_use]
    pub fn following(self) -> Self {
        Self {
            step: self.step.saturating_add(1),
            ..self
        }
    }
}

fn tenant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TenantId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|fault: Fault| D::Error::custom(fault.message))
}
