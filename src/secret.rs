//! A wrapper for values that must not be printed.

use std::fmt;

/// A value that cannot be printed: its `Debug` hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value so that no log shows it.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Use it only for signing, comparing and connecting.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "[secret]");
        assert_eq!(format!("{:?}", Some(Secret::new(42))), "Some([secret])");
    }
}
