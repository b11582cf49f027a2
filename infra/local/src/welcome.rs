//! What is printed at the start: where everything is, and lines to copy.

use std::net::SocketAddr;
use std::path::Path;

use crate::engine::{Engine, Reach};

/// The quickstart as lines for a shell, with `$TOKEN` set and `BASE` for the API's address.
pub(crate) const WALK: &str = include_str!("walk.sh");

pub(crate) fn print(addr: SocketAddr, data: Option<&Path>, engine: &Engine, token: &str) {
    let data = match data {
        Some(path) => std::path::absolute(path)
            .unwrap_or_else(|_| path.to_owned())
            .display()
            .to_string(),
        None => "in memory, gone when this ends".to_owned(),
    };
    let dynamodb = match engine.reach {
        Reach::Served => engine.endpoint.clone(),
        Reach::Elsewhere => format!("{} (port 8000 is taken)", engine.endpoint),
        Reach::Private => "private".to_owned(),
    };
    println!("Portal API  http://{addr}/api/v1");
    println!("DynamoDB    {dynamodb}");
    println!("Data        {data}");
    println!();
    println!("A token of the tenant t_demo, on the pro plan, valid for 24 hours:");
    println!();
    println!("export TOKEN={token}");
    println!();
    println!("The quickstart, line by line:");
    println!();
    println!(
        "{}",
        WALK.replace("BASE", &format!("http://{addr}")).trim_end()
    );
    println!();
}
