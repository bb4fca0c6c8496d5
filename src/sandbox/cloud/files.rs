//! Files of the sandbox's folder: written whole or not at all.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::CloudError;

/// Writes beside the file and renames over it, so that a reader never meets half a file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CloudError> {
    write_with(path, bytes, &mut fs::OpenOptions::new())
}

/// As [`write`], readable by the owner alone.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CloudError> {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write_with(path, bytes, &mut options)
}

fn write_with(path: &Path, bytes: &[u8], options: &mut fs::OpenOptions) -> Result<(), CloudError> {
    let beside = path.with_extension("new");
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| CloudError::Write { path: path.to_owned(), source })
}

/// Reads a text file.
pub(super) fn read_text(path: &Path) -> Result<String, CloudError> {
    fs::read_to_string(path).map_err(|source| CloudError::Read { path: path.to_owned(), source })
}
