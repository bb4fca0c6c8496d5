//! The operator's files: where they live, and reading them.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use directories::ProjectDirs;

use crate::domain::{Problem, site::Site};

/// More than any profile, policy or reference file has. A larger file is something else, picked by mistake.
const MAX_TEXT_BYTES: u64 = 256 * 1024;

/// Where the program keeps its files.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Site profile.
    pub config: PathBuf,
    /// Record and its key.
    pub data: PathBuf,
}

impl Folders {
    /// The user's own folders, as the system wants them (XDG, Known Folders, Library).
    ///
    /// # Errors
    /// `files.home` when the user has no home folder.
    pub fn of_user() -> Result<Self, Problem> {
        match ProjectDirs::from("", "", "coldbench") {
            Some(dirs) => Ok(Folders { config: dirs.config_dir().to_owned(), data: dirs.data_dir().to_owned() }),
            None => {
                Err(Problem::new("files.home", "This user has no home folder", "Name files with --site and --ledger"))
            }
        }
    }

    /// The site profile that is taken without `--site`.
    pub fn site_file(&self) -> PathBuf {
        self.config.join("site.toml")
    }

    /// The record that is taken without `--ledger`.
    pub fn ledger_file(&self) -> PathBuf {
        self.data.join("ledger.sqlite")
    }
}

/// Reads a small text file.
///
/// # Errors
/// `files.missing`, `files.permission`, `files.too-large`, `files.not-text`, `files.read`, each naming the file.
pub fn read_text(file: &Path) -> Result<String, Problem> {
    let name = file.display();
    let problem = |code, what: String, advice: &str| Problem::new(code, what, advice);
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => problem("files.missing", format!("There is no file {name}"), "Check the path"),
        ErrorKind::PermissionDenied => {
            problem("files.permission", format!("You may not read the file {name}"), "Check the file's permissions")
        }
        _ => problem("files.read", format!("The file {name} cannot be read: {error}"), "Check the path and the disk"),
    };
    let mut bytes = Vec::new();
    fs::File::open(file).and_then(|open| open.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Err(problem("files.too-large", format!("The file {name} is too large to be right"), "Check the path"));
    }
    String::from_utf8(bytes)
        .map_err(|_| problem("files.not-text", format!("The file {name} is not a text file"), "Save it as UTF-8 text"))
}

/// Writes a file whole or not at all: beside it first, then in its place. Its folder is made where it is missing.
///
/// # Errors
/// `files.permission`, `files.write`, each naming the file.
pub fn write(file: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let name = file.display();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| {
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        beside.write_all(bytes)?;
        beside.as_file().sync_all()?;
        beside.persist(file).map_err(|error| error.error)?;
        Ok(())
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Problem::new(
            "files.permission",
            format!("You may not write the file {name}"),
            "Choose another folder, or check its permissions",
        ),
        _ => Problem::new(
            "files.write",
            format!("The file {name} cannot be written: {error}"),
            "Check the path and the space on the disk",
        ),
    })
}

/// Reads a site profile. Relative paths in it are taken from the profile's own folder.
///
/// # Errors
/// Those of [`read_text`], and `site.invalid` with line, column and reason.
pub fn read_site(file: &Path) -> Result<Site, Problem> {
    let mut site = Site::parse(&read_text(file)?)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let files = [&mut site.ca_file, &mut site.policy_file, &mut site.firmware, &mut site.firmware_key];
    for path in files.into_iter().flatten() {
        *path = folder.join(&*path);
    }
    Ok(site)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_profile_start_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.toml");
        fs::write(&file, "ca_file = \"ca.pem\"\nfirmware = \"/opt/firmware\"\n").unwrap();
        let site = read_site(&file).unwrap();
        assert_eq!(site.ca_file, Some(folder.path().join("ca.pem")));
        assert_eq!(site.firmware, Some(PathBuf::from("/opt/firmware")));
    }

    #[test]
    fn a_file_is_written_over_an_older_one_and_into_a_new_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new").join("site.toml");
        for text in ["interval_secs = 5\n", "interval_secs = 10\n"] {
            write(&file, text.as_bytes()).unwrap();
            assert_eq!(read_text(&file).unwrap(), text);
        }
        assert_eq!(write(folder.path(), b"x").unwrap_err().code, "files.write");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_picked_by_mistake_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("image.bin");
        fs::write(&binary, [0xE9, 0xFF, 0xFE]).unwrap();
        assert_eq!(read_text(&binary).unwrap_err().code, "files.not-text");
        fs::write(&binary, vec![b'a'; MAX_TEXT_BYTES as usize + 1]).unwrap();
        assert_eq!(read_text(&binary).unwrap_err().code, "files.too-large");
        assert_eq!(read_text(&folder.path().join("none")).unwrap_err().code, "files.missing");
    }
}
