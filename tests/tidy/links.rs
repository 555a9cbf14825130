//! Links of Markdown pages that lead nowhere.

use std::collections::BTreeSet;
use std::path::Path;

use crate::code::is_name;

/// The targets of the Markdown links `[text](target)` in a page, code left out.
pub fn links(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose_of(page) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            targets.push(rest[..end].to_owned());
        }
    }
    targets
}

/// The lines of a page outside code blocks, with `code` in a line removed.
fn prose_of(page: &str) -> Vec<String> {
    let mut in_block = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join(""));
        }
    }
    lines
}

/// The anchors a page's headings get: lower case, blanks to hyphens, other punctuation dropped.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let mut anchors = BTreeSet::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if let Some(title) = line.strip_prefix('#').filter(|_| !in_block) {
            let kept = title.trim_start_matches('#').trim().to_lowercase();
            let kept = kept.chars().filter(|&c| is_name(c) || c == '-' || c == ' ');
            anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

/// Every relative link of a page that leads nowhere. `read` gives the text of a file, if it exists.
pub fn link_offences(
    path: &Path,
    page: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Vec<String> {
    let mut offences = Vec::new();
    for link in links(page) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = if file.is_empty() {
            Some(page.to_owned())
        } else {
            read(&path.parent().unwrap_or(Path::new("")).join(file))
        };
        let found = target.is_some_and(|text| anchor.is_empty() || anchors(&text).contains(anchor));
        if !found {
            offences.push(format!("{}: link to {link} leads nowhere", path.display()));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One\n\n## Two words, `three`\n\n```\n# not a heading\n```\n";

    fn offences(page: &str) -> usize {
        let read = |path: &Path| (path == Path::new("docs/page.md")).then(|| PAGE.to_owned());
        link_offences(Path::new("docs/here.md"), page, read).len()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        for page in [
            "[a](page.md), [b](page.md#one) and [c](page.md#two-words-three)",
            "[a](https://example.com/x)",
            "# Here\n[a](#here)",
            "`[a](missing.md)`\n```\n[b](missing.md)\n```\n",
        ] {
            assert_eq!(offences(page), 0, "{page}");
        }
    }

    #[test]
    fn planted_dead_links_are_caught() {
        for page in [
            "[a](missing.md)",
            "[a](page.md#four)",
            "[a](page.md#not-a-heading)",
            "[a](#here)",
            "[a](page.md) [b](../page.md)",
        ] {
            assert_eq!(offences(page), 1, "{page}");
        }
    }
}
