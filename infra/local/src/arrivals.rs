//! What arrived: its files are ingested one after the other, as `functions/ingest` does in AWS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result};
use api::App;
use chrono::TimeDelta;
use ingestion::background::{Progress, run};
use model::id::{TenantId, UploadId};
use tokio::sync::{Semaphore, watch};

/// How many files are worked on at once.
const AT_ONCE: usize = 2;

/// How often in a row what fails is tried again. The next start tries it, too.
const TRIES: u32 = 10;

/// How long the first pause between two tries is; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// How often old files are swept up.
const SWEEP: Duration = Duration::from_hours(1);

/// How long a file is kept, as in the bucket.
const KEPT: TimeDelta = TimeDelta::days(7);

/// How old a draft is that surely nobody writes any more.
const DRAFTED: TimeDelta = TimeDelta::days(1);

/// Whoever ingests files. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Arrivals {
    app: App,
    places: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Arrivals {
    /// Whoever ingests files until it is told to stop.
    pub(crate) fn new(app: &App, stopped: watch::Receiver<bool>) -> Self {
        Self {
            app: app.clone(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            stopped,
        }
    }

    /// Has the file of an upload ingested. One that is, or is just being, is none the worse for it.
    pub(crate) fn add(&self, tenant: TenantId, upload: UploadId) {
        let arrivals = self.clone();
        let mut stopped = self.stopped.clone();
        tokio::spawn(async move {
            let stop = async {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                () = arrivals.ingest(&tenant, upload) => {}
                // The next process goes on where this one is.
                () = stop => {}
            }
        });
    }

    /// Goes on with what the process before this one left, and keeps sweeping up what is old.
    pub(crate) async fn tend(&self) -> Result<()> {
        let files = self.app.files()?.clone();
        let now = self.app.clock.now();
        // Whoever wrote a draft is gone.
        files.sweep(now - KEPT, now).await?;
        for (tenant, upload) in files.arrived().await? {
            self.add(tenant, upload);
        }
        let clock = self.app.clock.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let now = clock.now();
                if let Err(error) = files.sweep(now - KEPT, now - DRAFTED).await {
                    tracing::warn!("old files are not swept up: {:#}", Error::from(error));
                }
            }
        });
        Ok(())
    }

    async fn ingest(&self, tenant: &TenantId, upload: UploadId) {
        let step = self.app.config.upload_time;
        let (mut tries, mut pause) = (0, PAUSE);
        while tries < TRIES {
            let Ok(place) = self.places.acquire().await else {
                return;
            };
            let progress = run(&self.app, tenant, upload, step).await;
            drop(place);
            match progress {
                Ok(Progress::Done) => return,
                Ok(Progress::More) => (tries, pause) = (0, PAUSE),
                Err(error) => {
                    let error = Error::from(error);
                    tracing::error!(%tenant, %upload, "a file is not ingested: {error:#}");
                    tokio::time::sleep(pause).await;
                    tries += 1;
                    pause *= 2;
                }
            }
        }
    }
}
