//! The beginning and the end of a bench with random faults.

use std::fmt::Display;
use std::process::ExitCode;

/// Raises the limit of open files, and prints and returns the seed: the given one, or a random one.
pub(crate) fn begin(seed: Option<u64>) -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
    let seed = seed.unwrap_or_else(rand::random);
    println!("seed                   {seed}");
    seed
}

/// Prints the figures, or why there are none. The exit code is 0 if there are figures and `is_whole` holds for them.
pub(crate) fn finish<F: Display>(
    outcome: Result<F, impl Display>,
    is_whole: impl FnOnce(&F) -> bool,
) -> ExitCode {
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::from(u8::from(!is_whole(&figures)))
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
