//! Manual pages and shell completions, made from the command line itself so that they cannot differ from it.

use std::{fs, io, path::Path};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Arguments, Exit, Stop};
use crate::domain::Problem;

/// Where each shell looks for completions, below `/usr/share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/coldbench"),
    (Shell::Zsh, "zsh/vendor-completions/_coldbench"),
    (Shell::Fish, "fish/vendor_completions.d/coldbench.fish"),
];

/// Writes everything into a folder laid out as `/usr/share`.
pub(super) fn write(folder: &Path) -> Result<Exit, Stop> {
    write_all(folder).map(|()| Exit::Passed).map_err(|error| {
        let what = format!("The manual could not be written into {}: {error}", folder.display());
        Stop::Failed(Problem::new("files.write", what, "Name a folder that you may write into"))
    })
}

fn write_all(folder: &Path) -> io::Result<()> {
    let pages = folder.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(Arguments::command(), &pages)?;
    for (shell, place) in COMPLETIONS {
        let file = folder.join(place);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "coldbench", &mut script);
        fs::write(file, script)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_shell_its_completions() {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path()).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join("man/man1").join(name)).unwrap();
        assert!(page("coldbench.1").contains("commission"));
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(page(&format!("coldbench-{}.1", command.get_name())).contains(".SH SYNOPSIS"));
        }
        assert!(!folder.path().join("man/man1/coldbench-manual.1").exists(), "a hidden command has no page");
        for (_, place) in COMPLETIONS {
            assert!(fs::read_to_string(folder.path().join(place)).unwrap().contains("commission"), "{place}");
        }
    }
}
