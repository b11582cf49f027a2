//! Faults that the engine on this machine never has, injected at the SDK client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Calls;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use table::{Table, local_config};

/// How often the SDK tries one call, so that so many faults reach the code behind it.
pub const SDK_ATTEMPTS: usize = 5;

/// How often a transaction is tried that meets another one.
pub const TRANSACTION_ATTEMPTS: usize = 10;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with a throttle and not done.
    Throttled,
    /// It is done, and its answer is lost: the client sees a server error.
    Lost,
    /// It is a transaction that meets another one and is not done.
    Conflict,
    /// It is a write of one item that meets a transaction and is not done.
    Met,
}

/// The faults to come. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    queue: Arc<Mutex<VecDeque<(String, Fault)>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Faults {
    /// Lets the next `count` calls of an operation, such as `UpdateItem`, fail.
    pub fn inject(&self, operation: &str, fault: Fault, count: usize) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            queue.push_back((operation.to_owned(), fault));
        }
    }

    /// Forgets the faults to come.
    pub fn clear(&self) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The operations that were called since the last time of asking, retries included.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A table whose client meets these faults.
    #[must_use]
    pub fn table(&self, endpoint: &str, name: &str) -> Table {
        self.recorded_table(endpoint, name, &Calls::default())
    }

    /// The same, whose calls are recorded.
    #[must_use]
    pub fn recorded_table(&self, endpoint: &str, name: &str, calls: &Calls) -> Table {
        let config = local_config(endpoint)
            .interceptor(self.clone())
            .http_client(calls.client());
        Table::new(Client::from_conf(config.build()), name)
    }

    fn take(&self, operation: &str) -> Option<Fault> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let place = queue.iter().position(|(of, _)| of == operation)?;
        queue.remove(place).map(|(_, fault)| fault)
    }
}

/// The fault that was chosen for an attempt, carried from its request to its answer.
#[derive(Debug, Clone, Copy)]
struct Chosen(Option<Fault>);

impl Storable for Chosen {
    type Storer = StoreReplace<Self>;
}

const TARGET: &str = "x-amz-target";

impl Intercept for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        let target = headers.get(TARGET).unwrap_or_default().to_owned();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(operation.to_owned());
        let chosen = self.take(operation);
        if matches!(
            chosen,
            Some(Fault::Throttled | Fault::Conflict | Fault::Met)
        ) {
            // The engine knows no such operation, so it does nothing.
            headers.insert(TARGET, "DynamoDB_20120810.Nothing");
        }
        bag.interceptor_state().store_put(Chosen(chosen));
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Chosen(Some(fault))) = bag.load::<Chosen>() else {
            return Ok(());
        };
        let (status, body) = match fault {
            Fault::Throttled => (
                400,
                r#"{"__type":"x#ThrottlingException","message":"slow"}"#,
            ),
            Fault::Lost => (
                500,
                r#"{"__type":"x#InternalServerError","message":"lost"}"#,
            ),
            Fault::Met => (
                400,
                r#"{"__type":"x#TransactionConflictException","message":"met"}"#,
            ),
            Fault::Conflict => (
                400,
                r#"{"__type":"x#TransactionCanceledException","message":"met",
                "CancellationReasons":[{"Code":"TransactionConflict","Message":"met"}]}"#,
            ),
        };
        *context.response_mut() = HttpResponse::new(status.try_into()?, SdkBody::from(body));
        Ok(())
    }
}
