//! The files that pages load: style sheets, scripts and pictures, embedded in the binary.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// One file.
#[derive(Debug)]
pub struct Asset {
    pub name: &'static str,
    pub content_type: &'static str,
    pub content: &'static [u8],
    /// Whether the content is compressed with gzip.
    pub is_gzip: bool,
}

macro_rules! assets {
    ($($name:literal $content_type:literal $($gz:literal)?,)+) => {
        [$(Asset {
            name: $name,
            content_type: $content_type,
            content: include_bytes!(concat!("assets/", $name $(, $gz)?)),
            is_gzip: <[&str]>::len(&[$($gz)?]) > 0,
        }),+]
    };
}

/// Every file. Scripts are ES modules without a build step; those of others have their version and licence in the file.
static ASSETS: &[Asset] = &assets! {
    "admin.css" "text/css; charset=utf-8",
    "app.css" "text/css; charset=utf-8",
    "app.js" "text/javascript; charset=utf-8",
    "api.js" "text/javascript; charset=utf-8",
    "session.js" "text/javascript; charset=utf-8",
    "actions.js" "text/javascript; charset=utf-8",
    "enter.js" "text/javascript; charset=utf-8",
    "forwards.js" "text/javascript; charset=utf-8",
    "ledger.js" "text/javascript; charset=utf-8",
    "listen.js" "text/javascript; charset=utf-8",
    "people.js" "text/javascript; charset=utf-8",
    "rates.js" "text/javascript; charset=utf-8",
    "start.js" "text/javascript; charset=utf-8",
    "times.js" "text/javascript; charset=utf-8",
    "calls.js" "text/javascript; charset=utf-8",
    "htmx.min.js" "text/javascript; charset=utf-8",
    "icon.svg" "image/svg+xml",
    "reference.css" "text/css; charset=utf-8",
    "reference.js" "text/javascript; charset=utf-8",
    "swagger-ui.css" "text/css; charset=utf-8" ".gz",
    "swagger-ui.js" "text/javascript; charset=utf-8" ".gz",
    "swagger-ui.LICENSE.txt" "text/plain; charset=utf-8",
};

/// One digest over all files: modules import each other by relative paths, so that they share their folder.
pub static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.name);
        hash.update((asset.content.len() as u64).to_be_bytes());
        hash.update(asset.content);
    }
    hex::encode(&hash.finalize()[..8])
});

/// The file of this name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The path of a file, which changes with its content.
///
/// # Panics
/// There is no such file; a test renders every page.
pub fn path(name: &str) -> String {
    let asset = find(name).unwrap_or_else(|| panic!("no asset is named {name}"));
    format!("/assets/{}/{}", *DIGEST, asset.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_import_only_files_that_exist_and_name_no_other_host() {
        let is_of_others = |name: &str| name == "htmx.min.js" || name.starts_with("swagger-ui.");
        let own = ASSETS.iter().filter(|asset| !is_of_others(asset.name));
        for asset in own {
            let text = std::str::from_utf8(asset.content).unwrap();
            for part in text.split("from \"./").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(find(name).is_some(), "{} imports {name}", asset.name);
            }
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://"), "{}", asset.name);
        }
    }
}
