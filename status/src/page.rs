//! The status in a browser: one file that fetches `/status` again and again, and nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The page. All that it shows is put in as text, never as markup.
pub const HTML: &str = include_str!("page/status.html");

/// What the browser may do with it, for the header `Content-Security-Policy`: run its own script, use its own style,
/// fetch from where it came from.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            digest("<script>", "</script>"),
            digest("<style>", "</style>"),
        )
    });
    &POLICY
}

/// By which the browser knows a part of the page.
fn digest(from: &str, to: &str) -> String {
    let part = HTML.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    let (part, _) = part.expect("the page has a script and a style");
    format!("sha256-{}", STANDARD.encode(Sha256::digest(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_needs_nothing_from_elsewhere_and_writes_no_markup() {
        for word in [
            "http://",
            "https://",
            "src=",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            let is_used = HTML.replace("http://www.w3.org/2000/svg", "").contains(word);
            assert!(!is_used, "{word}");
        }
        assert_eq!(HTML.matches("<script").count(), 1);
        assert_eq!(HTML.matches("<style").count(), 1);
        // Attributes with style or script would need what the policy does not allow.
        for attribute in [" style=", " onclick=", " onload=", " onerror="] {
            assert!(!HTML.contains(attribute), "{attribute}");
        }
    }

    #[test]
    fn policy_names_script_and_style_by_their_digests() {
        assert_eq!(policy().matches("'sha256-").count(), 2);
        assert!(policy().starts_with("default-src 'none';") && !policy().contains("unsafe"));
    }
}
