//! The configuration as written: YAML text to a small tree of nodes with lines.
//!
//! Every scalar keeps its text exactly as YAML gives it (`007`, `true` and `"true"` alike are
//! text): what a text means is the business of `check`. A typed deserializer would stop at the
//! first mistake and lose repeated keys and leading zeros, so this reads the parser's events.
//! Accepted is what twemproxy's libyaml accepts, and flow style, `---` and `...` besides.

use granit_parser::{ErrorKind, Event, Parser, ScanError, Span, StructureStyle};

use super::mistake::{Place, Problem, Report};

/// Largest file that is read, in bytes: some 500,000 servers.
pub(super) const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Most nodes in a file. A byte or two can make a node of some 60 bytes, so the size of the file
/// alone does not bound the memory well.
const NODES_MAX: usize = 2_000_000;

/// Deepest nesting: three levels are meaningful, the rest is for better messages.
const DEPTH_MAX: usize = 8;

/// Most comments that stand right behind a closing quote (see `spaced`).
const TIGHT_COMMENTS_MAX: usize = 100;

/// A file's contents.
#[derive(Debug)]
pub(super) struct File {
    /// `None`: nothing but comments.
    pub root: Option<Node>,
    /// The text broke off at a syntax error, so what is missing may have been meant to follow.
    pub cut: bool,
    /// Lines and names of YAML features that twemproxy refuses.
    pub foreign: Vec<(usize, &'static str)>,
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub line: usize,
    pub kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    /// Never empty.
    Text(String),
    /// No value at all, or `""`.
    Empty,
    List(Vec<Node>),
    /// In file order; keys may repeat and may be any kind of node.
    Map(Vec<(Node, Node)>),
    /// Unsupported and reported, or the fragment that a syntax error left: not to be judged.
    Refused,
}

/// Reads `bytes`. What is wrong goes to `report`; the rest of the file is returned all the same.
pub(super) fn read(bytes: &[u8], report: &mut Report) -> File {
    let mut text = match decode(bytes) {
        Ok(text) => text,
        Err((line, problem)) => {
            report.add(line, &Place::File, None, || problem);
            return File {
                root: None,
                cut: true,
                foreign: Vec::new(),
            };
        }
    };
    let mut builder = Builder::default();
    let mut end = builder.read(&text);
    for _ in 0..TIGHT_COMMENTS_MAX {
        match &end {
            Err(Stop::Syntax(error)) if spaced(&mut text, error) => {
                builder = Builder::default();
                end = builder.read(&text);
            }
            _ => break,
        }
    }
    for &(line, what) in &builder.unsupported {
        report.add(line, &Place::File, None, || Problem::Unsupported(what));
    }
    match &end {
        Ok(()) => {}
        Err(Stop::Syntax(error)) => {
            let (line, reason) = syntax(error, &text);
            report.add(line, &Place::File, None, || Problem::Syntax(reason));
        }
        Err(Stop::TooManyNodes(line)) => {
            report.add(*line, &Place::File, None, || {
                Problem::TooManyValues(NODES_MAX)
            });
        }
    }
    let cut = end.is_err();
    // A key without its value shows that what stands before it was read whole.
    let whole = !cut || builder.holds_key();
    let foreign = std::mem::take(&mut builder.foreign);
    let mut root = builder.finish();
    if let (false, Some(root)) = (whole, &mut root) {
        blur(root);
    }
    File { root, cut, foreign }
}

/// Marks the last thing read before a syntax error as not to be judged: it may be a fragment.
fn blur(node: &mut Node) {
    match &mut node.kind {
        NodeKind::List(items) if !items.is_empty() => items.last_mut().map(blur),
        NodeKind::Map(pairs) if !pairs.is_empty() => pairs.last_mut().map(|pair| blur(&mut pair.1)),
        kind => {
            *kind = NodeKind::Refused;
            None
        }
    };
}

/// UTF-8, or UTF-16 if it opens with a byte order mark, as libyaml has it. An error carries its
/// line.
fn decode(bytes: &[u8]) -> Result<String, (usize, Problem)> {
    let text = match bytes {
        [0xff, 0xfe, units @ ..] => decode_utf16(units, u16::from_le_bytes)?,
        [0xfe, 0xff, units @ ..] => decode_utf16(units, u16::from_be_bytes)?,
        _ => std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|error| {
                let good = &bytes[..error.valid_up_to()];
                (
                    1 + memchr::memchr_iter(b'\n', good).count(),
                    Problem::NotText("UTF-8"),
                )
            })?,
    };
    // Compat: libyaml refuses control characters; the parser would take NUL for the end.
    // Test: control_characters_are_refused.
    if let Some((at, found)) = text.char_indices().find(|&(_, c)| !printable(c)) {
        let line = 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..at]).count();
        return Err((line, Problem::ControlCharacter(found.into())));
    }
    // Compat: in YAML 1.1 these three end a line too, and libyaml takes a byte order mark at the
    // start of a line, as concatenated files have it, for one column of white space.
    // Tests: all_line_breaks_of_yaml_1_1_count, a_byte_order_mark_may_open_a_line.
    Ok(text
        .replace(['\u{85}', '\u{2028}', '\u{2029}'], "\n")
        .replace("\n\u{feff}", "\n ")
        .replace("\r\u{feff}", "\r "))
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, (usize, Problem)> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for decoded in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        match decoded {
            Ok(character) => text.push(character),
            Err(_) => return Err((1 + text.matches('\n').count(), Problem::NotText("UTF-16"))),
        }
    }
    if rest.is_empty() {
        Ok(text)
    } else {
        Err((1 + text.matches('\n').count(), Problem::NotText("UTF-16")))
    }
}

/// The characters libyaml allows in a file.
fn printable(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..)
        && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// Puts a space before the `#` that `error` complains about, if it complains about one.
///
/// Compat: libyaml accepts `"quoted"#comment`, the parser does not. No line number changes.
/// Test: a_comment_may_touch_a_closing_quote.
fn spaced(text: &mut String, error: &ScanError) -> bool {
    let Some(at) = error.marker().byte_offset() else {
        return false;
    };
    let found = matches!(error.kind(), ErrorKind::CommentNotSeparated)
        && text.get(at..).is_some_and(|rest| rest.starts_with('#'));
    if found {
        text.insert(at, ' ');
    }
    found
}

/// Where and why the parser stopped, in words.
fn syntax(error: &ScanError, text: &str) -> (usize, String) {
    let line = error.marker().line();
    // The parser notices a tab in the indentation only by what the next line then looks like.
    let first = line.saturating_sub(1).max(1);
    for (number, text) in (1..)
        .zip(text.lines())
        .skip(first - 1)
        .take(line + 1 - first)
    {
        let indentation = &text[..text.len() - text.trim_start().len()];
        if indentation.contains('\t') {
            return (
                number,
                "a tab in the indentation; only spaces may indent".to_owned(),
            );
        }
    }
    let reason = match error.kind() {
        ErrorKind::RecursionLimitExceeded => format!("nested more than {DEPTH_MAX} levels deep"),
        kind @ (ErrorKind::MappingValueNotAllowed
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::SimpleKeyExpected) => {
            format!("{kind}; the cause may stand in the line above")
        }
        kind => kind.to_string(),
    };
    (line, reason)
}

/// Why the text was not read to its end.
enum Stop {
    Syntax(ScanError),
    /// In this line.
    TooManyNodes(usize),
}

/// Builds the tree from events, without recursion.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// Lists and mappings begun and not ended, outermost first.
    open: Vec<Open>,
    nodes: usize,
    /// Lines and names of YAML features that are refused.
    unsupported: Vec<(usize, &'static str)>,
    /// The same of those that are accepted here and refused by twemproxy.
    foreign: Vec<(usize, &'static str)>,
}

struct Open {
    line: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// A key is held until its value is whole.
    Map(Vec<(Node, Node)>, Option<Node>),
}

impl Builder {
    fn read(&mut self, text: &str) -> Result<(), Stop> {
        let options = granit_parser::options! {
            bom_inside_document_as_content: true,
            block_scalar_eof_without_line_feed: true,
            disallow_directives: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(Stop::Syntax)?;
            if let Event::DocumentStart(is_marked, _) = event {
                if is_marked {
                    self.foreign
                        .push((span.start.line(), "a document marker (\"---\")"));
                }
                documents += 1;
                if documents == 2 {
                    self.refuse(&span, "several documents (\"---\")");
                }
            }
            if documents < 2 {
                self.take(event, &span)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let line = span.start.line();
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if anchor != 0 {
            self.refuse(span, "anchors (\"&\") and aliases (\"*\")");
        }
        if tag {
            self.refuse(span, "tags (\"!\")");
        }
        if event.is_node() {
            self.nodes += 1;
            if self.nodes > NODES_MAX {
                return Err(Stop::TooManyNodes(line));
            }
        }
        match event {
            // The parser gives "~" for a value that is not there; its span is empty.
            Event::Scalar(text, ..) if text.is_empty() || span.is_empty() => {
                self.put(Node {
                    line,
                    kind: NodeKind::Empty,
                });
            }
            Event::Scalar(text, ..) => {
                self.put(Node {
                    line,
                    kind: NodeKind::Text(text.into_owned()),
                });
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse(span, "anchors (\"&\") and aliases (\"*\")");
                self.put(Node {
                    line,
                    kind: NodeKind::Refused,
                });
            }
            Event::SequenceStart(style, ..) => {
                self.note(style, line);
                self.open.push(Open {
                    line,
                    content: Content::List(Vec::new()),
                });
            }
            Event::MappingStart(style, ..) => {
                self.note(style, line);
                self.open.push(Open {
                    line,
                    content: Content::Map(Vec::new(), None),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, style: StructureStyle, line: usize) {
        if style == StructureStyle::Flow {
            self.foreign.push((line, "flow style (\"{}\", \"[]\")"));
        }
    }

    fn refuse(&mut self, span: &Span, what: &'static str) {
        self.unsupported.push((span.start.line(), what));
    }

    /// Adds a whole node to what is open.
    fn put(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(pairs, held)) => match held.take() {
                None => *held = Some(node),
                Some(key) => pairs.push((key, node)),
            },
        }
    }

    /// Ends the innermost list or mapping.
    fn close(&mut self) {
        if let Some(Open { line, content }) = self.open.pop() {
            let kind = match content {
                Content::List(items) => NodeKind::List(items),
                Content::Map(pairs, _) => NodeKind::Map(pairs),
            };
            self.put(Node { line, kind });
        }
    }

    fn holds_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Map(_, Some(_)),
                ..
            })
        )
    }

    /// The tree; what the text left open ends here, and a key that got no value is dropped.
    fn finish(mut self) -> Option<Node> {
        while !self.open.is_empty() {
            self.close();
        }
        self.root
    }
}
