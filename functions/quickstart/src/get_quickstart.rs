//! `GET /portal/quickstart`: which steps the tenant has taken, and when.

use api::{App, Caller, Result};
use axum::Json;
use axum::extract::State;
use model::quickstart::Step;
use model::time::{self, Moment};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Answer {
    steps: Vec<Row>,
    all_completed: bool,
}

#[derive(Serialize)]
struct Row {
    id: &'static str,
    title: &'static str,
    completed: bool,
    #[serde(serialize_with = "time::shown_option")]
    completed_at: Option<Moment>,
}

pub(crate) async fn get_quickstart(State(app): State<App>, caller: Caller) -> Result<Json<Answer>> {
    let checklist = app.summary(&caller.tenant).await?.checklist;
    let steps = Step::ALL.into_iter().map(|step| {
        let completed_at = checklist.completed_at(step);
        Row {
            id: step.id(),
            title: step.title(),
            completed: completed_at.is_some(),
            completed_at,
        }
    });
    Ok(Json(Answer {
        steps: steps.collect(),
        all_completed: checklist.is_complete(),
    }))
}
