//! The authorizer as a Lambda.

use authorizer::Authorizer;
use lambda_runtime::{LambdaEvent, service_fn, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    tracing::init_default_subscriber();
    let authorizer = Authorizer::new(&api::Config::from_env()?);
    let decide = async |event: LambdaEvent<_>| {
        let decision = authorizer.decide(&event.payload, api::Clock::System.now());
        decision.map_err(lambda_runtime::Error::from)
    };
    lambda_runtime::run(service_fn(decide)).await
}
