//! Who else may get at what lies in a data directory.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::sqlite::files::directory::DataDirectory;

/// What others may not do to its files: anything.
const FILES: u32 = 0o077;
/// What they may not do to the directory: put a file of theirs in the place of one. Names are no secret.
const DIRECTORY: u32 = 0o022;

impl DataDirectory {
    /// What is wrong with the owner or the mode of the directory and its files, if anything: others may read
    /// or change them. It is said and not mended, because somebody may have set it so on purpose.
    pub fn exposure(&self) -> Option<String> {
        let own = rustix::process::geteuid().as_raw();
        let files = [self.database(), self.pepper_file(), self.owner_link_file()];
        let files = files.into_iter().map(|file| (file, FILES));
        std::iter::once((self.path().to_owned(), DIRECTORY)).chain(files).find_map(
            |(path, denied)| {
                let found = std::fs::metadata(&path).ok()?;
                let (mode, path) = (found.permissions().mode() & 0o7777, path.display());
                if found.uid() != own && found.uid() != 0 {
                    return Some(format!("{path} belongs to another account, uid {}", found.uid()));
                }
                (mode & denied != 0)
                    .then(|| format!("other accounts may reach {path}: its mode is {mode:04o}"))
            },
        )
    }
}
