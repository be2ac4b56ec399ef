//! Reading a capture that a client sent: everything is checked, cut and redacted again, as the extension's `parseCapture` does with what
//! comes from a page. What is not understood is left out; only what is no capture at all is refused.

use crate::address::clean_url;
use crate::redact::clean_text;
use crate::{Capture, Counts, Facts, Frame, Kind, Node, Page, limit};
use protocol::limit::CAPTURE_VERSION;
use protocol::tree::Tree;

const FRAMEWORKS: [&str; 5] = ["react-dev", "react-prod", "vue-dev", "vue-prod", "svelte-dev"];
const COORDINATE_MAX: f64 = 10_000_000.0;
const COUNT_MAX: f64 = 1_000_000_000.0;

impl Capture {
    /// Reads a capture; the error says why it is none, with the remedy.
    pub fn read(tree: &Tree) -> Result<Self, &'static str> {
        if tree.get("version").and_then(Tree::number) != Some(f64::from(CAPTURE_VERSION)) {
            return Err("the capture is not of version 1; update the extension");
        }
        let page = tree.get("page").filter(|page| page.is_object()).ok_or("the capture has no page")?;
        let url = page.get("url").and_then(Tree::text).and_then(|url| clean_url(url, limit::URL_UNITS));
        let url = url.ok_or("the capture's page has no address")?;
        let selection = read_frame(tree.get("selection"));
        let selection = selection.ok_or("the capture's selection is not four numbers")?;
        let mut left = limit::NODES;
        let nodes = read_nodes(tree.get("nodes"), 0, &mut left);
        if nodes.is_empty() {
            return Err("the capture has no elements");
        }
        let number = |name: &str| read_number(page.get(name));
        let framework = tree.get("framework").and_then(Tree::text);
        let mut capture = Self {
            page: Page {
                url,
                title: read_text(page.get("title"), limit::TITLE_UNITS).unwrap_or_default(),
                width: number("width").unwrap_or(0.0),
                height: number("height").unwrap_or(0.0),
                pixel_ratio: number("pixelRatio").unwrap_or(1.0),
            },
            kind: match tree.get("kind").and_then(Tree::text) {
                Some("element") => Kind::Element,
                Some(_) | None => Kind::Area,
            },
            selection,
            framework: FRAMEWORKS.into_iter().find(|known| Some(*known) == framework),
            components: read_components(tree.get("components")),
            nodes,
            counts: read_counts(tree.get("counts")),
        };
        capture.fit();
        Ok(capture)
    }
}

fn read_nodes(tree: Option<&Tree>, depth: usize, left: &mut usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    for value in tree.and_then(Tree::list).unwrap_or_default() {
        if *left == 0 {
            break;
        }
        let tag = value.get("tag").and_then(Tree::text).unwrap_or_default().to_ascii_lowercase();
        if !is_tag(&tag) {
            continue;
        }
        *left -= 1;
        let mut node = read_node(tag, value);
        if depth + 1 < limit::DEPTH {
            node.children = read_nodes(value.get("children"), depth + 1, left);
        }
        nodes.push(node);
    }
    nodes
}

fn is_tag(tag: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=64).contains(&tag.len())
        && tag.starts_with(|first: char| first.is_ascii_lowercase())
        && tag.bytes().all(rest)
}

fn read_node(tag: String, value: &Tree) -> Node {
    let text = |name: &str, max: usize| read_text(value.get(name), max);
    Node {
        tag,
        facts: Facts {
            selector: text("selector", limit::SELECTOR_UNITS),
            id: text("id", limit::CLASS_UNITS),
            role: text("role", limit::ROLE_UNITS),
            name: text("name", limit::TEXT_UNITS),
            text: text("text", limit::TEXT_UNITS),
            source: text("source", limit::SOURCE_UNITS),
        },
        classes: read_texts(value.get("classes"), limit::CLASS_UNITS).take(limit::CLASSES).collect(),
        components: read_components(value.get("components")),
        attributes: read_record(value.get("attributes"), limit::ATTRIBUTES),
        frame: read_frame(value.get("box")),
        style: read_record(value.get("style"), limit::STYLES),
        children: Vec::new(),
        similar: read_count(value.get("similar")),
        omitted: read_count(value.get("omitted")),
    }
}

fn read_text(tree: Option<&Tree>, max: usize) -> Option<String> {
    let text = clean_text(tree?.text()?, max);
    (!text.is_empty()).then_some(text)
}

fn read_texts(tree: Option<&Tree>, max: usize) -> impl Iterator<Item = String> {
    let list = tree.and_then(Tree::list).unwrap_or_default();
    list.iter().filter_map(move |text| read_text(Some(text), max))
}

/// The innermost ones.
fn read_components(tree: Option<&Tree>) -> Vec<String> {
    let mut names: Vec<String> = read_texts(tree, limit::COMPONENT_UNITS).collect();
    names.drain(..names.len().saturating_sub(limit::COMPONENTS));
    names
}

fn read_record(tree: Option<&Tree>, max: usize) -> Vec<(String, String)> {
    let mut record: Vec<(String, String)> = Vec::new();
    for (name, value) in tree.map(Tree::members).unwrap_or_default() {
        let Some(value) = value.text().filter(|_| is_record_name(name)) else { continue };
        if record.len() < max && record.iter().all(|(known, _)| known != name) {
            record.push((name.clone(), clean_text(value, limit::ATTRIBUTE_UNITS)));
        }
    }
    record
}

fn is_record_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=41).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(rest)
}

fn read_frame(tree: Option<&Tree>) -> Option<Frame> {
    let [left, top, width, height] = tree?.list()? else { return None };
    let number = |tree: &Tree| read_number(Some(tree));
    Some([number(left)?, number(top)?, number(width)?, number(height)?])
}

/// To hundredths, halves upwards.
fn read_number(tree: Option<&Tree>) -> Option<f64> {
    let number = tree?.number().filter(|number| number.abs() <= COORDINATE_MAX)?;
    // The sum has no negative zero.
    Some((number * 100.0 + 0.5).floor() / 100.0 + 0.0)
}

fn read_count(tree: Option<&Tree>) -> u32 {
    let number = tree.and_then(Tree::number).unwrap_or(0.0);
    if number.fract() == 0.0 && number > 0.0 && number < COUNT_MAX { number as u32 } else { 0 }
}

fn read_counts(tree: Option<&Tree>) -> Counts {
    let count = |name: &str| read_count(tree.and_then(|counts| counts.get(name)));
    Counts {
        seen: count("seen"),
        kept: count("kept"),
        collapsed: count("collapsed"),
        repeated: count("repeated"),
        redacted: count("redacted"),
        truncated: count("truncated"),
        frames: count("frames"),
    }
}
