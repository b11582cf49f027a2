//! What goes wrong with storage, without HTTP.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;

/// A failure of the table. None of it is for a client's eyes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table throttles, is in conflict or does not answer, past every retry. The call may be
    /// repeated.
    #[error("the table is not available: {0}")]
    Unavailable(String),
    /// An item is not what this code wrote.
    #[error("item {pk} / {sk} is corrupt: {reason}")]
    Corrupt {
        /// The partition key.
        pk: String,
        /// The sort key.
        sk: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The SDK refuses a request or its answer.
    #[error("the table refuses: {0}")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Error codes that say "later".
const PASSING: [&str; 10] = [
    "ThrottlingException",
    "ThrottlingError",
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "InternalServerError",
    "TransactionInProgressException",
    "TransactionConflict",
    "TransactionConflictException",
    "ServiceUnavailable",
];

impl Error {
    pub(crate) fn is_passing(code: &str) -> bool {
        PASSING.contains(&code)
    }
}

impl<E> From<SdkError<E>> for Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let unanswered = matches!(
            error,
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)
        );
        let code = error.code().unwrap_or_default().to_owned();
        let broken = error
            .raw_response()
            .is_some_and(|response| response.status().is_server_error());
        if unanswered || broken || Self::is_passing(&code) {
            Self::Unavailable(
                error
                    .code()
                    .map_or_else(|| error.to_string(), str::to_owned),
            )
        } else {
            Self::Refused(Box::new(error))
        }
    }
}

impl From<aws_sdk_dynamodb::error::BuildError> for Error {
    fn from(error: aws_sdk_dynamodb::error::BuildError) -> Self {
        Self::Refused(Box::new(error))
    }
}

/// Why each write of a cancelled transaction was cancelled, in the order of the writes.
pub(crate) fn cancellation(error: &SdkError<TransactWriteItemsError>) -> Option<Vec<String>> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(
            cancelled
                .cancellation_reasons()
                .iter()
                .map(|reason| reason.code().unwrap_or("None").to_owned())
                .collect(),
        ),
        _ => None,
    }
}
