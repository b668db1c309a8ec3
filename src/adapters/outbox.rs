//! Mails as files: for development, the demo and tests.
//!
//! One `.eml` file for each mail, whole from the moment it has its name. The names sort in the order of sending.

use super::message::{self, BadSender};
use crate::ports::{Chance, ChanceExt, Clock, Mail, MailError, Mailer};
use async_trait::async_trait;
use lettre::message::Mailbox;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that mails are put into.
pub struct OutboxMailer {
    folder: PathBuf,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    sent: AtomicU64,
}

impl OutboxMailer {
    /// Mails go into `folder`, which is made at the first one; `from` is an address, or `Name <address>`.
    pub fn new(
        folder: PathBuf,
        from: &str,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, BadSender> {
        Ok(Self { folder, from: message::sender(from)?, clock, chance, sent: AtomicU64::new(0) })
    }

    /// Milliseconds, then a count for mails of the same one, then chance for processes that share the folder.
    fn name(&self) -> String {
        let count = self.sent.fetch_add(1, Ordering::Relaxed);
        format!("{:013}-{count:06}-{}", self.clock.now().as_millis(), self.chance.base62(8))
    }
}

#[async_trait]
impl Mailer for OutboxMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let text = message::message(mail, &self.from, &*self.clock, &*self.chance)?.formatted();
        let (folder, name) = (self.folder.clone(), self.name());
        let shown = folder.display().to_string();
        let written = tokio::task::spawn_blocking(move || write(&folder, &name, &text)).await;
        written
            .map_err(io::Error::other)
            .and_then(|written| written)
            .map_err(|error| MailError::Temporary(format!("a file in {shown} cannot be written: {error}")))
    }

    /// A folder is made at the first mail; until then there is nothing to ask.
    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

/// The links in mails are as good as passwords: folder and file are the owner's only.
fn write(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(format!(".{name}.tmp"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(unfinished, folder.join(format!("{name}.eml")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::smtp::fixtures::{Frozen, Seeded, mail};
    use std::os::unix::fs::PermissionsExt;

    fn outbox(folder: &Path) -> OutboxMailer {
        let from = "Acme <no-reply@acme.example>";
        OutboxMailer::new(folder.to_owned(), from, Arc::new(Frozen), Arc::new(Seeded::default())).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_mail_is_a_private_file_that_can_be_read_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data/outbox");
        outbox(&folder).send(&mail("Welcome")).await.unwrap();
        let names = names(&folder);
        assert_eq!(names.len(), 1, "{names:?}");
        let path = folder.join(&names[0]);
        assert_eq!(path.extension().unwrap(), "eml");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
        let text = std::fs::read_to_string(path).unwrap();
        for line in [
            "From: Acme <no-reply@acme.example>",
            "To: ada@example.com",
            "Subject: Welcome",
            "Date: Sun, 22 Nov 2026 00:00:00 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Type: text/html; charset=utf-8",
            "http://127.0.0.1:8080/verify-email?token=0123456789012345678901234567890123456789012",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains("\r\nContent-Type: multipart/alternative;"), "{text}");
        assert!(!text.contains("Reply-To") && !text.contains("Sender:"), "{text}");
        assert!(text.contains("\r\nMessage-ID: <") && text.contains("@acme.example>\r\n"), "{text}");
    }

    #[tokio::test]
    async fn names_sort_as_mails_were_sent_also_within_one_moment() {
        let home = tempfile::tempdir().unwrap();
        let outbox = outbox(home.path());
        let subjects: Vec<String> = (0..12).map(|n| format!("Mail {n}")).collect();
        for subject in &subjects {
            outbox.send(&mail(subject)).await.unwrap();
        }
        let found: Vec<String> = names(home.path())
            .iter()
            .map(|name| std::fs::read_to_string(home.path().join(name)).unwrap())
            .map(|text| text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned())
            .collect();
        assert_eq!(found, subjects);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_is_a_passing_trouble() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let outcome = outbox(&file.path().join("outbox")).send(&mail("Welcome")).await;
        let Err(MailError::Temporary(text)) = outcome else { panic!("{outcome:?}") };
        assert!(text.contains("cannot be written") && !text.contains("token"), "{text}");
    }
}
