//! What is printed at the start: where everything is, and lines to copy.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use model::plan::Plan;

use crate::engine::{Engine, Reach};

/// The quickstart as lines for a shell, with `$TOKEN` set and `BASE` for the API's address.
const WALK: &str = include_str!("walk.sh");

pub(crate) fn print(
    addr: SocketAddr,
    data: Option<&Path>,
    engine: &Engine,
    plan: Plan,
    token: &str,
) {
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
    let walk = walk(addr);
    let text = format!(
        "\
Portal API  http://{addr}/api/v1
DynamoDB    {dynamodb}
Data        {data}

A token of the tenant t_demo, on the {plan} plan, valid for 24 hours:

export TOKEN={token}

The quickstart, line by line:

{walk}
"
    );
    // Whoever started this may not read it; that is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The quickstart's lines for an API at that address.
pub(crate) fn walk(addr: SocketAddr) -> String {
    WALK.replace("BASE", &format!("http://{addr}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_walks_the_same_way() {
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&walk(([127, 0, 0, 1], 3000).into())));
    }
}
