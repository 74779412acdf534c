//! Standard output and standard error of a command. `println!` and `eprintln!` panic when nobody reads them; nothing here does.

use std::io::{self, ErrorKind, Write};

/// Writes to standard output at once.
///
/// # Errors
/// Those of the system. The kind is `BrokenPipe` when the reader has gone, as `head` does when it has enough.
pub(crate) fn write(output: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(output.as_ref()).and_then(|()| stdout.flush());
    written.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
    })
}

/// The same for a command that works on without a reader: what it prints from then on goes nowhere.
///
/// # Errors
/// Those of the system, such as a full disk, but for a reader that has gone.
pub(crate) fn print(output: impl AsRef<[u8]>) -> io::Result<()> {
    match write(output) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes a line to standard error. There is no place to report that this failed.
pub(crate) fn print_stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
