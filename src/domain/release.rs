//! Versions of this program.

use serde::Serialize;

/// This program's version.
pub const THIS_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The newest version of the program that is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// This program's version.
    pub this_version: String,
    /// The published one.
    pub version: String,
    /// Whether the published one is newer.
    pub is_newer: bool,
    /// The page that offers it.
    pub url: String,
}

impl Release {
    /// The newest release by its tag, such as `v0.2.0`. `None` for a tag that is no version.
    pub fn from_tag(tag: &str, url: impl Into<String>) -> Option<Self> {
        let version = tag.strip_prefix('v').unwrap_or(tag);
        let is_newer = numbers(version)? > numbers(THIS_VERSION)?;
        Some(Release { this_version: THIS_VERSION.to_owned(), version: version.to_owned(), is_newer, url: url.into() })
    }
}

/// Major, minor and patch; what follows a hyphen or a plus does not count.
fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let core = version.split(['-', '+']).next()?;
    let mut parts = core.split('.').map(str::parse);
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        (Ok(major), Ok(minor), Ok(patch), None) => Some((major, minor, patch)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_other_tags_are_none() {
        assert!(Release::from_tag("v999.0.0", "").unwrap().is_newer);
        assert!(!Release::from_tag(THIS_VERSION, "").unwrap().is_newer);
        assert!(!Release::from_tag("v0.0.10", "").unwrap().is_newer);
        assert!(numbers("0.10.0").unwrap() > numbers("0.9.12-beta.1").unwrap());
        assert_eq!(Release::from_tag("nightly", ""), None);
        assert_eq!(Release::from_tag("v1.2", ""), None);
    }
}
