//! The indexer as a Lambda.

use futures_util::FutureExt;
use indexer::Indexer;
use lambda_runtime::{Error, LambdaEvent, service_fn, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let indexer = Indexer::new(api::indexes_from_env().await?);
    // Boxed: with what the runtime wraps it in it is too deep for the compiler.
    let handle = |event: LambdaEvent<_>| indexer.handle(event.payload).boxed();
    lambda_runtime::run(service_fn(handle)).await
}
