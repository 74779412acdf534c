//! `rtmsd man`: the manual pages, which packages install.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Command};
use clap_mangen::Man;

use super::{print_error, print_page};

/// The exit code for a command that does not exist, which is that of a wrong command line.
const EXIT_USAGE: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command, such as `sessions list`; without one, rtmsd itself
    command: Vec<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Prints the page of one command, or writes those of all. `rtmsd` is the whole command line.
pub(super) fn run(args: &ManArgs, rtmsd: Command) -> ExitCode {
    // The pages of `help` would repeat those of every command.
    let mut rtmsd = rtmsd.disable_help_subcommand(true);
    // Built, a command knows its full name.
    rtmsd.build();
    if let Some(folder) = &args.dir {
        return match fs::create_dir_all(folder).and_then(|()| write_pages(&rtmsd, folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => print_error(1, &format!("cannot write to {}: {error}", folder.display())),
        };
    }
    let named = args.command.iter().try_fold(&rtmsd, |above, name| above.find_subcommand(name));
    let Some(command) = named else {
        return print_error(EXIT_USAGE, "no such command: rtmsd help lists them");
    };
    let mut text = Vec::new();
    page(command).render(&mut text).expect("writing to memory cannot fail");
    print_page(&text)
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    page(command).generate_to(folder)?;
    let mut below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.try_for_each(|command| write_pages(command, folder))
}

fn page(command: &Command) -> Man {
    Man::new(command.clone()).source(concat!("rtmsd ", env!("CARGO_PKG_VERSION")))
}
