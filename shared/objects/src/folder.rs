//! The objects of a folder.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Listed};

/// Every file below `start`, which is in `root`, by its path from there.
pub(crate) async fn list(root: PathBuf, start: PathBuf) -> Result<Vec<Listed>, Error> {
    let listed = tokio::task::spawn_blocking(move || {
        let mut listed = Vec::new();
        walk(&root, &start, &mut listed).map(|()| listed)
    });
    Ok(listed.await.map_err(io::Error::other)??)
}

fn walk(root: &Path, folder: &Path, listed: &mut Vec<Listed>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(root, &path, listed)?;
        } else if let (Ok(name), Ok(meta)) = (path.strip_prefix(root), entry.metadata()) {
            listed.push(Listed {
                path: name.to_string_lossy().into_owned(),
                written: meta.modified()?.into(),
            });
        }
    }
    Ok(())
}
