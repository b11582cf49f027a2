//! What the functions' starts are measured beside: a Lambda that reads one item of the table, written
//! as tutorials write it, with the defaults of every crate.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Error, Request, Response, run, service_fn, tracing};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = std::env::var("TABLE_NAME")?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = Client::new(&config);
    run(service_fn(|request| get(&client, &table, request))).await
}

async fn get(client: &Client, table: &str, request: Request) -> Result<Response<String>, Error> {
    let found = client
        .get_item()
        .table_name(table)
        .key("pk", AttributeValue::S("TENANT#t_event#SUMMARY".to_owned()))
        .key("sk", AttributeValue::S("TENANT".to_owned()))
        .send()
        .await?;
    let plan = found.item().and_then(|item| item.get("plan")?.as_s().ok());
    let answer = json!({"path": request.uri().path(), "plan": plan});
    let response = Response::builder().header("Content-Type", "application/json");
    Ok(response.body(answer.to_string())?)
}
