//! A capture as JSON, the members in the extension's order. The counterpart of `read`: what is written reads back as it was.

use crate::{Capture, Counts, Frame, Kind, Node, Page};
use protocol::limit::CAPTURE_VERSION;
use protocol::tree::Tree;

impl Capture {
    /// As JSON.
    #[must_use]
    pub fn to_tree(&self) -> Tree {
        let mut object = Object::default();
        object.put("version", Tree::Number(CAPTURE_VERSION.into()));
        object.put("page", page(&self.page));
        object.put(
            "kind",
            match self.kind {
                Kind::Area => "area".into(),
                Kind::Element => "element".into(),
            },
        );
        object.put("selection", frame(&self.selection));
        object.put_some("framework", self.framework.map(Into::into));
        object.put("components", texts(&self.components));
        object.put("nodes", nodes(&self.nodes));
        object.put("counts", counts(&self.counts));
        object.close()
    }
}

/// JSON of elements.
pub(crate) fn nodes(nodes: &[Node]) -> Tree {
    Tree::List(nodes.iter().map(node).collect())
}

/// JSON of an element.
pub(crate) fn node(node: &Node) -> Tree {
    let mut object = Object::default();
    let facts = &node.facts;
    object.put("tag", node.tag.as_str().into());
    object.put_text("selector", facts.selector.as_deref());
    object.put_text("id", facts.id.as_deref());
    object.put_some("classes", (!node.classes.is_empty()).then(|| texts(&node.classes)));
    object.put_text("role", facts.role.as_deref());
    object.put_text("name", facts.name.as_deref());
    object.put_text("text", facts.text.as_deref());
    object.put_some("components", (!node.components.is_empty()).then(|| texts(&node.components)));
    object.put_text("source", facts.source.as_deref());
    object.put_some("attributes", record(&node.attributes));
    object.put_some("box", node.frame.as_ref().map(frame));
    object.put_some("style", record(&node.style));
    object.put_some("children", (!node.children.is_empty()).then(|| nodes(&node.children)));
    object.put_some("similar", (node.similar > 0).then(|| Tree::Number(node.similar.into())));
    object.put_some("omitted", (node.omitted > 0).then(|| Tree::Number(node.omitted.into())));
    object.close()
}

#[derive(Default)]
struct Object(Vec<(String, Tree)>);

impl Object {
    fn put(&mut self, name: &str, value: Tree) {
        self.0.push((name.to_owned(), value));
    }

    fn put_some(&mut self, name: &str, value: Option<Tree>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn put_text(&mut self, name: &str, text: Option<&str>) {
        self.put_some(name, text.map(Into::into));
    }

    fn close(self) -> Tree {
        Tree::Object(self.0)
    }
}

fn page(page: &Page) -> Tree {
    let mut object = Object::default();
    object.put("url", page.url.as_str().into());
    object.put("title", page.title.as_str().into());
    object.put("width", Tree::Number(page.width));
    object.put("height", Tree::Number(page.height));
    object.put("pixelRatio", Tree::Number(page.pixel_ratio));
    object.close()
}

fn frame(frame: &Frame) -> Tree {
    Tree::List(frame.iter().map(|number| Tree::Number(*number)).collect())
}

fn texts(texts: &[String]) -> Tree {
    Tree::List(texts.iter().map(|text| text.as_str().into()).collect())
}

fn record(record: &[(String, String)]) -> Option<Tree> {
    let member = |(name, value): &(String, String)| (name.clone(), value.as_str().into());
    (!record.is_empty()).then(|| Tree::Object(record.iter().map(member).collect()))
}

fn counts(counts: &Counts) -> Tree {
    let mut object = Object::default();
    for (name, count) in [
        ("seen", counts.seen),
        ("kept", counts.kept),
        ("collapsed", counts.collapsed),
        ("repeated", counts.repeated),
        ("redacted", counts.redacted),
        ("truncated", counts.truncated),
        ("frames", counts.frames),
    ] {
        object.put(name, Tree::Number(count.into()));
    }
    object.close()
}
