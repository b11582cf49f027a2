//! `portal-local upload`: sends a file to the API and prints what became of its rows.

mod api;
mod report;
mod sending;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Error, Result};
use model::upload::Status;
use reqwest::StatusCode;

use self::api::{Api, Refusal};
use self::report::report;
use self::sending::{File, send};
use crate::cli::Upload;

/// How often a watched file is looked at, and how long it has to be still before it is sent.
const STILL: Duration = Duration::from_secs(1);

/// What refuses the file itself, and not the call.
const OF_THE_FILE: [StatusCode; 4] = [
    StatusCode::PAYMENT_REQUIRED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];

pub(crate) async fn upload(args: Upload) -> Result<ExitCode> {
    let api = Api::new(&args)?;
    let file = File::open(&args.file).await?;
    if !args.watch {
        return once(&api, &args, &file).await;
    }
    tokio::select! {
        ended = watch(&api, &args, file) => ended,
        stopped = tokio::signal::ctrl_c() => {
            stopped.context("cannot wait for Ctrl-C")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Uploads the file and prints what became of it.
async fn once(api: &Api, args: &Upload, file: &File) -> Result<ExitCode> {
    let started = Instant::now();
    let outcome = match send(api, args, file).await {
        Err(error) if is_of_the_file(&error) => {
            complain(&error);
            return Ok(ExitCode::FAILURE);
        }
        outcome => outcome?,
    };
    print!("{}", report(&file.name, &outcome, started.elapsed()));
    if let Some(detail) = &outcome.detail {
        complain(&Error::msg(detail.clone()));
    }
    if outcome.status == Status::Failed || outcome.summary.rejected > 0 {
        Ok(ExitCode::FAILURE)
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

/// Uploads the file, and again whenever it has changed. What goes wrong may be right the next time.
async fn watch(api: &Api, args: &Upload, mut file: File) -> Result<ExitCode> {
    loop {
        if let Err(error) = once(api, args, &file).await {
            complain(&error);
        }
        file = changed(args, file.state()).await;
    }
}

/// The file, once it is another than it was and has been still for a while. It may be gone
/// meanwhile.
async fn changed(args: &Upload, sent: (u64, SystemTime)) -> File {
    let mut before = None;
    loop {
        tokio::time::sleep(STILL).await;
        let now = File::open(&args.file).await.ok();
        let state = now.as_ref().map(File::state);
        match now {
            Some(file) if state == before && state != Some(sent) => return file,
            _ => before = state,
        }
    }
}

fn is_of_the_file(error: &Error) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| OF_THE_FILE.contains(&refusal.status))
}

fn complain(error: &Error) {
    eprintln!("portal-local: {error:#}");
}
