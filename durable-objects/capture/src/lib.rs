//! Captures: pieces of web pages that somebody selected in the extension. What a client sends is checked, cut and redacted here before
//! anybody believes it; the model gets an outline of it, in which places in source code are those of the repository, between marks that
//! the page cannot close.
//!
//! Pure: no IO, no clock. The extension (`extension/src/capture`) has the same types, limits and rules, because it does the same before
//! anything leaves the browser; the two are held together by vectors. Used by `session::core` and by the runner.

mod address;
mod fit;
mod outline;
mod pattern;
mod read;
mod redact;
mod source;
mod write;

pub use address::clean_url;
pub use outline::fence;
pub use redact::{clean_name, clean_text, redact_secrets};
pub use source::{Ambiguous, SourceMatches};

/// Limits of a capture, as in the extension's `LIMIT`; lengths of texts in UTF-16 code units.
pub mod limit {
    /// Elements.
    pub const NODES: usize = 250;
    /// Levels of elements.
    pub const DEPTH: usize = 24;
    /// An element's own text, and its accessible name.
    pub const TEXT_UNITS: usize = 100;
    /// The value of an attribute or of a style.
    pub const ATTRIBUTE_UNITS: usize = 120;
    /// Classes of an element …
    pub const CLASSES: usize = 5;
    /// … and one of them, or an id.
    pub const CLASS_UNITS: usize = 64;
    /// Attributes of an element.
    pub const ATTRIBUTES: usize = 16;
    /// Computed values of an element.
    pub const STYLES: usize = 24;
    /// Components between an element and the one above it …
    pub const COMPONENTS: usize = 6;
    /// … and the name of one.
    pub const COMPONENT_UNITS: usize = 80;
    /// A selector.
    pub const SELECTOR_UNITS: usize = 300;
    /// A place in source code.
    pub const SOURCE_UNITS: usize = 200;
    /// A role.
    pub const ROLE_UNITS: usize = 40;
    /// The page's title.
    pub const TITLE_UNITS: usize = 160;
    /// The page's address.
    pub const URL_UNITS: usize = 400;
    /// The whole capture as JSON.
    pub const BYTES: usize = 24 * 1024;
}

/// A piece of a web page, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Where.
    pub page: Page,
    /// How the person chose.
    pub kind: Kind,
    /// Left, top, width, height in CSS pixels of the top viewport.
    pub selection: Frame,
    /// What the page is built with, where that could be seen.
    pub framework: Option<&'static str>,
    /// Components around everything that was selected, outermost first.
    pub components: Vec<String>,
    /// The elements.
    pub nodes: Vec<Node>,
    /// What was found, kept and left out.
    pub counts: Counts,
}

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Without what may be private.
    pub url: String,
    /// May be empty.
    pub title: String,
    /// Of the viewport.
    pub width: f64,
    /// Of the viewport.
    pub height: f64,
    /// Device pixels for each CSS pixel.
    pub pixel_ratio: f64,
}

/// How the person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rectangle.
    Area,
    /// One element with what is in it.
    Element,
}

/// Left, top, width, height.
pub type Frame = [f64; 4];

/// An element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name, in small letters.
    pub tag: String,
    /// Its texts, each absent where there is none.
    pub facts: Facts,
    /// Without generated ones.
    pub classes: Vec<String>,
    /// Components that begin between the element above and this one, outermost first.
    pub components: Vec<String>,
    /// In the order of the page.
    pub attributes: Vec<(String, String)>,
    /// Where it is.
    pub frame: Option<Frame>,
    /// Computed values that differ from the usual, or from the element above.
    pub style: Vec<(String, String)>,
    /// The elements inside.
    pub children: Vec<Self>,
    /// That many siblings of the same shape follow and are left out.
    pub similar: u32,
    /// That many elements inside are left out because the capture would be too large.
    pub omitted: u32,
}

/// What an element says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A CSS selector; see the extension's `CaptureNode`.
    pub selector: Option<String>,
    /// Not a generated one.
    pub id: Option<String>,
    /// For assistive technology.
    pub role: Option<String>,
    /// Accessible name.
    pub name: Option<String>,
    /// Its own text, without that of elements inside it.
    pub text: Option<String>,
    /// `path:line:column`, as far as the build tells.
    pub source: Option<String>,
}

/// What was found, kept and left out, as the client counted it and corrected by what is left out here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Elements in the selection.
    pub seen: u32,
    /// Elements of the capture.
    pub kept: u32,
    /// Wrappers that say nothing.
    pub collapsed: u32,
    /// Left out as siblings of the same shape.
    pub repeated: u32,
    /// Places where something was withheld.
    pub redacted: u32,
    /// Left out because the capture would be too large.
    pub truncated: u32,
    /// Frames of other sites, which cannot be read.
    pub frames: u32,
}

impl Capture {
    /// How many elements there are.
    #[must_use]
    pub fn elements(&self) -> usize {
        fn count(nodes: &[Node]) -> usize {
            nodes.iter().map(|node| 1 + count(&node.children)).sum()
        }
        count(&self.nodes)
    }
}
