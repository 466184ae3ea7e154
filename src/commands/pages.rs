//! `homeroom pages FOLDER`: the man pages and the shells' completions, from the command line itself. For whoever makes a package of it.

use super::{CommandLine, Failure};
use clap_complete::{Shell, generate_to};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where to.
#[derive(clap::Args, Debug)]
pub struct PagesArguments {
    /// What becomes /usr/share: pages and completions go below it, where Debian has them.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// The shells, and where each looks.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/vendor-completions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// Writes them.
pub fn run(arguments: &PagesArguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    write(folder).map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))
}

fn write(share: &Path) -> io::Result<()> {
    let command = || CommandLine::shown().disable_help_subcommand(true);
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command(), &pages)?;
    for (shell, place) in SHELLS {
        let place = share.join(place);
        fs::create_dir_all(&place)?;
        let written = generate_to(shell, &mut command(), "homeroom", &place)?;
        if shell == Shell::Bash {
            // Bash looks for the command's own name.
            fs::rename(written, place.join("homeroom"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_is_completed() {
        let share = tempfile::tempdir().unwrap();
        write(share.path()).unwrap();
        let read = |path: &str| fs::read_to_string(share.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let bash = read("bash-completion/completions/homeroom");
        let others = [read("zsh/vendor-completions/_homeroom"), read("fish/vendor_completions.d/homeroom.fish")];
        for command in CommandLine::shown().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(read(&format!("man/man1/homeroom-{name}.1")).contains(".TH"), "{name}");
            assert!(bash.contains(name) && others.iter().all(|other| other.contains(name)), "{name} is not completed");
        }
        let serve = read("man/man1/homeroom-serve.1");
        assert!(serve.contains(r"presence.auth\-timeout"), "every setting is in the page of serve");
        assert!(read("man/man1/homeroom-token-quiz.1").contains("issuer"), "commands of commands have theirs");
        assert!(!share.path().join("man/man1/homeroom-pages.1").exists(), "who makes packages knows");
    }
}
