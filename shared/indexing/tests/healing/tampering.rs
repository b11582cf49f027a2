//! The table past its verbs.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use model::id::RecordId;
use model::record::Record;
use serde_json::Value;
use testkit::{TABLE, dynamodb, items};

use crate::world::{OF, World};

impl World {
    fn tamper(&self, pk: String, sk: String) -> UpdateItemFluentBuilder {
        dynamodb(&self.endpoint)
            .update_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(pk))
            .key("sk", AttributeValue::S(sk))
            .condition_expression("attribute_exists(pk)")
    }

    pub(crate) fn tamper_with_collection(&self) -> UpdateItemFluentBuilder {
        let (pk, sk) = (
            format!("TENANT#{}#SUMMARY", self.tenant),
            format!("COLL#{}", self.name),
        );
        self.tamper(pk, sk)
            .expression_attribute_names("#index", "index")
    }

    /// Lets the pointer say another format.
    pub(crate) async fn set_format(&self, format: u32) {
        let value = AttributeValue::N(format.to_string());
        let set = self
            .tamper_with_collection()
            .update_expression("SET #index.#generation.#format = :format")
            .expression_attribute_names("#generation", OF.generation.to_string())
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", value);
        set.send().await.expect("a change");
    }

    /// Lets a record's data be this text.
    pub(crate) async fn set_data(&self, id: RecordId, text: &str) {
        let pk = format!(
            "TENANT#{}#RECORDS#{:010}#{:06}#{:02}",
            self.tenant,
            OF.number,
            OF.generation,
            id.shard()
        );
        let set = self
            .tamper(pk, id.to_string())
            .update_expression("SET #data = :data")
            .expression_attribute_names("#data", "data")
            .expression_attribute_values(":data", AttributeValue::S(text.to_owned()));
        set.send().await.expect("a change");
    }

    /// Lets a record's data be what they were.
    pub(crate) async fn mend(&self, record: &Record) {
        let text = Value::Object(record.data.clone()).to_string();
        self.set_data(record.id, &text).await;
    }

    /// Deletes the items that hold the ids of uploads' records.
    pub(crate) async fn lose_batches(&self) {
        for item in items(&self.endpoint).await {
            let (pk, sk) = (item["pk"].clone(), item["sk"].clone());
            if pk.as_s().is_ok_and(|pk| pk.contains("#BATCH#")) {
                let delete = dynamodb(&self.endpoint)
                    .delete_item()
                    .table_name(TABLE)
                    .key("pk", pk)
                    .key("sk", sk);
                delete.send().await.expect("no item");
            }
        }
    }
}
