//! What is asked of the table: each call as it goes over the wire, with what AWS would charge and
//! decide on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// A call of the table.
#[derive(Debug, Clone)]
pub struct Call {
    /// The operation, such as `Query`.
    pub operation: String,
    /// What a role must allow for it.
    pub accesses: BTreeSet<Access>,
    /// The capacity units that it consumed, by the `ConsumedCapacity` of its answer; `None` for a call
    /// that failed, or of which the engine does not say it.
    pub units: Option<f64>,
}

/// What a policy allows or not: an action on a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The action, such as `dynamodb:PutItem`.
    pub action: String,
    /// The partition key.
    pub key: String,
}

impl Call {
    /// Whether the call only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        let reads = ["BatchGetItem", "GetItem", "Query", "TransactGetItems"];
        reads.contains(&self.operation.as_str())
    }

    fn of(operation: &str, body: &Value) -> Self {
        let mut accesses = BTreeSet::new();
        let mut access = |action: &str, key: &Value| {
            accesses.insert(Access {
                action: format!("dynamodb:{action}"),
                key: key["S"].as_str().expect("a partition key").to_owned(),
            });
        };
        match operation {
            "GetItem" | "UpdateItem" | "DeleteItem" => access(operation, &body["Key"]["pk"]),
            "PutItem" => access(operation, &body["Item"]["pk"]),
            "Query" => access(operation, &body["ExpressionAttributeValues"][":pk"]),
            "BatchGetItem" => {
                for (_, table) in body["RequestItems"].as_object().into_iter().flatten() {
                    for key in array(&table["Keys"]) {
                        access(operation, &key["pk"]);
                    }
                }
            }
            "BatchWriteItem" => {
                for (_, writes) in body["RequestItems"].as_object().into_iter().flatten() {
                    for write in array(writes) {
                        let put = &write["PutRequest"]["Item"]["pk"];
                        let delete = &write["DeleteRequest"]["Key"]["pk"];
                        access(operation, if put.is_null() { delete } else { put });
                    }
                }
            }
            "TransactGetItems" | "TransactWriteItems" => {
                for item in array(&body["TransactItems"]) {
                    for (verb, part) in item.as_object().into_iter().flatten() {
                        let key = if verb == "Put" {
                            &part["Item"]
                        } else {
                            &part["Key"]
                        };
                        access(&format!("{verb}Item"), &key["pk"]);
                    }
                }
            }
            "BatchExecuteStatement" => {
                for statement in array(&body["Statements"]) {
                    let text = statement["Statement"].as_str().expect("a statement");
                    assert!(text.starts_with("INSERT INTO "), "{text}");
                    let names = text.split('\'').skip(1).step_by(2);
                    let place = names.into_iter().position(|name| name == "pk");
                    let place = place.expect("a partition key");
                    access("PartiQLInsert", &statement["Parameters"][place]);
                }
            }
            operation => panic!("which partitions does {operation} touch?"),
        }
        Self {
            operation: operation.to_owned(),
            accesses,
            units: None,
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The calls of a client, once they are recorded. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    recording: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Calls {
    /// Records from now on, and forgets what was recorded before.
    pub fn record(&self) {
        self.recording.store(true, Ordering::SeqCst);
        self.lock().clear();
    }

    /// The calls since the last time of asking.
    #[must_use]
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client whose calls these are.
    pub(crate) fn client(&self) -> SharedHttpClient {
        let (calls, http) = (self.clone(), Builder::new().build_http());
        http_client_fn(move |settings, components| {
            SharedHttpConnector::new(Recorder {
                calls: calls.clone(),
                connector: http.http_connector(settings, components),
            })
        })
    }
}

#[derive(Debug)]
struct Recorder {
    calls: Calls,
    connector: SharedHttpConnector,
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        // What faults let happen in place of a call is none.
        let ignored = ["CreateTable", "Nothing"].contains(&operation.as_str());
        if ignored || !self.calls.recording.load(Ordering::SeqCst) {
            return self.connector.call(request);
        }
        let (calls, connector) = (self.calls.clone(), self.connector.clone());
        HttpConnectorFuture::new(async move {
            let (request, body) = counted(request);
            let mut call = Call::of(&operation, &body);
            let (response, body) = whole(connector.call(request).await?).await?;
            if response.status().is_success() {
                call.units = units(&body["ConsumedCapacity"]);
            }
            calls.lock().push(call);
            Ok(response)
        })
    }
}

/// The request, made to ask what it consumes, and its body.
fn counted(mut request: HttpRequest) -> (HttpRequest, Value) {
    let bytes = request.body().bytes().expect("a body in memory");
    let mut body: Value = serde_json::from_slice(bytes).expect("a body of JSON");
    body["ReturnConsumedCapacity"] = json!("TOTAL");
    let text = body.to_string();
    let headers = request.headers_mut();
    headers.insert("content-length", text.len().to_string());
    *request.body_mut() = SdkBody::from(text);
    (request, body)
}

/// The response with its body read.
async fn whole(mut response: HttpResponse) -> Result<(HttpResponse, Value), ConnectorError> {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let body = body.collect().await;
    let bytes = body
        .map_err(|error| ConnectorError::other(error, None))?
        .to_bytes();
    let json = serde_json::from_slice(&bytes).unwrap_or_default();
    *response.body_mut() = SdkBody::from(bytes.to_vec());
    Ok((response, json))
}

fn units(consumed: &Value) -> Option<f64> {
    match consumed {
        Value::Array(tables) => tables.iter().map(units).sum(),
        table => table["CapacityUnits"].as_f64(),
    }
}
