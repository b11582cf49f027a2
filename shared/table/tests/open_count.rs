//! What others find: open searches and their agents are counted whole, each month in its own items.

use futures_util::future::join_all;
use model::id::TenantId;
use model::period::{Day, Period};
use table::{Table, agents};
use testkit::{Fault, faulty_table};

fn tenant() -> TenantId {
    "t_abc123".parse().expect("a tenant")
}

fn day(text: &str) -> Day {
    let noon = format!("{text}T12:00:00Z");
    Day::of(noon.parse().expect("a moment"))
}

fn march() -> Period {
    day("2026-03-08").period()
}

async fn come(table: &Table, on: Day, agent: &str, count: u64) {
    let tenant = tenant();
    let counted = table.count_agent_searches(&tenant, on, agent, count);
    counted.await.expect("counted searches");
}

#[tokio::test]
async fn what_was_collected_is_added_whole_and_by_collection() {
    let table = testkit::table().await;
    let today = day("2026-03-08");
    let adds = [(1, 250), (2, 1), (1, 750), (1, 3)];
    let counting = adds.map(|(number, count)| {
        let (table, tenant) = (table.clone(), tenant());
        async move {
            let counted = table.count_open_searches(&tenant, today, number, count);
            counted.await.expect("counted searches");
        }
    });
    join_all(counting).await;

    let searches = table.open_searches(&tenant(), march()).await.unwrap();

    let totals: Vec<(u32, u64, u64)> = searches
        .iter()
        .map(|(number, of)| (*number, of.total, of.on(today)))
        .collect();
    assert_eq!(totals, [(1, 1_003, 1_003), (2, 1, 1)]);
}

#[tokio::test]
async fn the_same_day_of_another_month_is_another_day() {
    let table = testkit::table().await;
    come(&table, day("2026-03-08"), "bot", 1).await;
    come(&table, day("2026-04-08"), "bot", 2).await;
    come(&table, day("2027-03-08"), "bot", 4).await;

    let found = table.agents(&tenant(), march()).await.unwrap();

    assert_eq!(found.named["bot"].total, 1);
    assert_eq!(found.named["bot"].on(day("2026-03-08")), 1);
}

#[tokio::test]
async fn an_agent_that_is_known_is_counted_where_there_is_no_room_for_more() {
    let table = testkit::table().await;
    let today = day("2026-03-08");
    for number in 0..agents::MOST {
        come(&table, today, &format!("bot-{number}"), 1).await;
    }
    // Often enough to meet shards on which it is not known yet.
    for _ in 0..40 {
        come(&table, today, "bot-7", 1).await;
    }
    come(&table, today, "late", 1).await;

    let found = table.agents(&tenant(), march()).await.unwrap();

    assert_eq!(found.named.len(), agents::MOST);
    assert_eq!(found.named["bot-7"].on(today), 41);
    assert_eq!(found.other.on(today), 1);
}

#[tokio::test]
async fn a_count_of_an_agent_whose_answer_was_lost_is_never_too_few() {
    let (table, faults) = faulty_table().await;
    let today = day("2026-03-08");
    faults.inject("UpdateItem", Fault::Lost, 1);
    come(&table, today, "bot", 1).await;
    let found = table.agents(&tenant(), march()).await.unwrap();
    assert_eq!(found.named["bot"].total, 1);

    faults.inject("UpdateItem", Fault::Lost, 1);
    come(&table, today, "bot", 1).await;
    let found = table.agents(&tenant(), march()).await.unwrap();
    assert!((2..=3).contains(&found.named["bot"].total));
}
