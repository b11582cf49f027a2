//! What ingests as a Lambda.

use aws_sdk_lambda::Client;
use futures_util::FutureExt;
use ingest::{Event, Ingest};
use lambda_runtime::{Error, LambdaEvent, service_fn, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let lambda = Client::new(&api::lambda_from_env()?);
    let ingest = Ingest::new(api::app_from_env().await?, lambda);
    let handle = |event: LambdaEvent<Event>| {
        let (event, context) = event.into_parts();
        let function = context.env_config.function_name.clone();
        let deadline = context.deadline().into();
        // Boxed: with what the runtime wraps it in it is too deep for the compiler.
        ingest.handle(event, function, deadline).boxed()
    };
    lambda_runtime::run(service_fn(handle)).await
}
