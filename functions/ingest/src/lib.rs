//! Ingests files: when they arrive in the bucket, and where a call before this one ran out of time.
//!
//! A call works on an upload for as long as Lambda lets it, and then calls its own function to go on.
//! What is called twice does nothing twice: the upload has one who works on it.

mod event;

use std::time::Duration;

use api::{App, Error};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use ingestion::background::{MAX_STEPS, Progress, run};
use model::time::Moment;
use serde_json::json;

pub use event::{Event, Step};

/// How long before its end a call stops to work: what it has begun has to be written until then.
const SPARE: Duration = Duration::from_mins(1);

/// A call that has no time works on nothing, so that the upload counts no step: after so many calls
/// none follows.
const MAX_CALLS: u32 = 2 * MAX_STEPS;

/// Ingests files.
pub struct Ingest {
    app: App,
    lambda: Client,
}

impl Ingest {
    /// For this service, with a client that can call the function itself.
    #[must_use]
    pub fn new(app: App, lambda: Client) -> Self {
        Self { app, lambda }
    }

    /// Works on what an event names, as the function of that name, whose call ends at `deadline`. What
    /// fails is to be sent again.
    pub async fn handle(
        &self,
        event: Event,
        function: String,
        deadline: Moment,
    ) -> Result<(), lambda_runtime::Error> {
        for step in event.steps(self.app.files()?) {
            match self.work(&step, deadline).await {
                Ok(Progress::Done) => {}
                Ok(Progress::More) if step.step >= MAX_CALLS => {
                    let Step { tenant, id, .. } = step;
                    tracing::error!(%tenant, upload = %id, "an upload does not get on");
                    return Err("an upload does not get on".into());
                }
                Ok(Progress::More) => self.call(&function, &step.following()).await?,
                Err(error) => {
                    let Step { tenant, id, .. } = step;
                    tracing::error!(%tenant, upload = %id, cause = ?error, "an upload met a failure");
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    async fn work(&self, step: &Step, deadline: Moment) -> Result<Progress, Error> {
        let left = (deadline - self.app.clock.now()).to_std();
        let left = left.unwrap_or_default().saturating_sub(SPARE);
        if left.is_zero() {
            return Ok(Progress::More);
        }
        run(&self.app, &step.tenant, step.id, left).await
    }

    /// Calls the function for another step, and does not wait for it.
    async fn call(&self, function: &str, step: &Step) -> Result<(), lambda_runtime::Error> {
        let (tenant, upload) = (&step.tenant, step.id);
        tracing::info!(%tenant, %upload, step = step.step, "an upload goes on");
        let payload = serde_json::to_vec(&json!({ "upload": step }))?;
        self.lambda
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| format!("it cannot call itself: {}", DisplayErrorContext(error)))?;
        Ok(())
    }
}
