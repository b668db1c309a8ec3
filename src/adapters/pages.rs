//! Pages as a folder: one file for each page, written whole or not at all.

use crate::ports::{Pages, PagesError};
use async_trait::async_trait;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a page's file ends in; `.aside` where it was set aside, `.new` while it is written.
const PAGE: &str = "page";

/// A folder of pages. It is made when the first page comes.
pub struct FolderPages {
    folder: PathBuf,
}

impl FolderPages {
    /// Nothing is touched yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PagesError> {
        let folder = self.folder.clone();
        let shown = folder.display().to_string();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        let fault = |error: &dyn std::fmt::Display| PagesError(format!("{shown}: {error}"));
        done.map_err(|error| fault(&error))?.map_err(|error| fault(&error))
    }
}

#[async_trait]
impl Pages for FolderPages {
    async fn keep(&self, name: &str, page: &[u8]) -> Result<(), PagesError> {
        let (name, page) = (name.to_owned(), page.to_vec());
        self.work(move |folder| {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let (new, place) = (folder.join(format!("{name}.new")), folder.join(format!("{name}.{PAGE}")));
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            let written = file.write_all(&page).and_then(|()| file.sync_all());
            let kept =
                written.and_then(|()| fs::rename(&new, place)).and_then(|()| File::open(folder)?.sync_all());
            if kept.is_err() {
                drop(fs::remove_file(&new));
            }
            kept
        })
        .await
    }

    async fn pages(&self) -> Result<Vec<(String, Vec<u8>)>, PagesError> {
        self.work(|folder| {
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut pages = Vec::new();
            for entry in entries {
                let path = entry?.path();
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                if let Some(name) = stem.filter(|_| path.extension().is_some_and(|end| end == PAGE)) {
                    pages.push((name.to_owned(), fs::read(&path)?));
                }
            }
            Ok(pages)
        })
        .await
    }

    async fn remove(&self, name: &str) -> Result<(), PagesError> {
        let file = format!("{name}.{PAGE}");
        self.work(move |folder| match fs::remove_file(folder.join(file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
        .await
    }

    async fn set_aside(&self, name: &str) -> Result<(), PagesError> {
        let (from, to) = (format!("{name}.{PAGE}"), format!("{name}.aside"));
        self.work(move |folder| fs::rename(folder.join(from), folder.join(to))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn pages_outlive_their_writer() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/spill");
        let spill = FolderPages::new(place.clone());
        assert!(spill.pages().await.unwrap().is_empty(), "no folder is no page");
        spill.keep("a", b"one").await.unwrap();
        spill.keep("a", b"two").await.unwrap();
        spill.keep("b", b"three").await.unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(place.clone()), mode(place.join("a.page"))), (0o700, 0o600));
        fs::write(place.join("c.new"), b"half").unwrap();
        let mut pages = FolderPages::new(place.clone()).pages().await.unwrap();
        pages.sort();
        assert_eq!(pages, [("a".to_owned(), b"two".to_vec()), ("b".to_owned(), b"three".to_vec())]);
        spill.set_aside("a").await.unwrap();
        spill.remove("b").await.unwrap();
        spill.remove("b").await.unwrap();
        assert!(spill.pages().await.unwrap().is_empty());
        assert_eq!(fs::read(place.join("a.aside")).unwrap(), b"two");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spill"), b"a file").unwrap();
        let spill = FolderPages::new(folder.path().join("spill"));
        let error = spill.keep("a", b"one").await.unwrap_err().to_string();
        assert!(error.contains("/spill: "), "{error}");
    }
}
