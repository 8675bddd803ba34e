//! Which macOS this is.

/// Where the system says so.
#[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "read on macOS only"))]
pub(super) const FILE: &str = "/System/Library/CoreServices/SystemVersion.plist";

/// A release of macOS.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Release {
    /// As `15.2`.
    pub version: String,
    /// As `24C101`; empty where the file does not say.
    pub build: String,
}

impl Release {
    /// Reads the property list that the system keeps of itself, in its XML form. `None` where it does not name a version.
    pub fn parse(text: &str) -> Option<Release> {
        Some(Release { version: string(text, "ProductVersion")?, build: string(text, "ProductBuildVersion").unwrap_or_default() })
    }
}

/// The string behind a key.
fn string(text: &str, key: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<key>{key}</key>"))?;
    let (value, _) = rest.trim_start().strip_prefix("<string>")?.split_once("</string>")?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0">
<dict>
	<key>ProductBuildVersion</key>
	<string>24C101</string>
	<key>ProductName</key>
	<string>macOS</string>
	<key>ProductVersion</key>
	<string>15.2</string>
</dict>
</plist>
"#;

    #[test]
    fn version_and_build_are_read_wherever_they_stand() {
        assert_eq!(Release::parse(LIST), Some(Release { version: "15.2".to_owned(), build: "24C101".to_owned() }));
        assert_eq!(Release::parse(&LIST.replace("ProductVersion", "Other")), None);
        assert_eq!(Release::parse(""), None);
    }
}
