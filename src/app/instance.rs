//! The instance: a server's own id, in its own data folder, held for as long as it runs.

use super::error::StartError;
use crate::domain::{Id, InstanceId};
use crate::ports::{Chance, ChanceExt};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The file with the id, which is locked while a server runs.
const FILE: &str = "instance";

/// A server's own id. Nobody else can have it while this lives.
pub(super) struct Instance {
    pub id: InstanceId,
    _held: File,
}

/// Takes the folder for this server; makes folder and id where there are none.
pub(super) fn hold(folder: &Path, chance: &dyn Chance) -> Result<Instance, StartError> {
    let path = folder.join(FILE);
    let odd = |what: String| StartError::DataFolder { path: path.clone(), what };
    let failed = |error: io::Error| odd(error.to_string());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StartError::FolderInUse { folder: folder.to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    let id = match text.trim() {
        "" => {
            let id: InstanceId = chance.id();
            file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            id
        }
        known => InstanceId::parse(known).ok_or_else(|| {
            odd("is no instance id (16 letters and digits): restore it, or remove it and be a new instance".to_owned())
        })?,
    };
    Ok(Instance { id, _held: file })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::system::SystemChance;

    #[test]
    fn an_id_outlives_its_holder_and_has_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/deep");
        let first = hold(&place, &SystemChance).unwrap();
        let refusal = hold(&place, &SystemChance).err().unwrap().to_string();
        assert!(refusal.contains("a folder of its own"), "{refusal}");
        let id = first.id.clone();
        drop(first);
        assert_eq!(hold(&place, &SystemChance).unwrap().id, id);
        std::fs::write(place.join(FILE), "spoilt").unwrap();
        let refusal = hold(&place, &SystemChance).err().unwrap().to_string();
        assert!(refusal.contains("no instance id"), "{refusal}");
    }
}
