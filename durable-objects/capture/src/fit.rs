//! Leaving out what matters least until a capture is small enough: looks, then places, then the deepest elements. As the extension's
//! `fitBytes`; called by `read`.

use crate::{Capture, Counts, Node, limit, write};

/// What an element needs to say that something is left out of it, in bytes.
const OMITTED_BYTES: usize = 20;

impl Capture {
    pub(crate) fn fit(&mut self) {
        if self.json_bytes() <= limit::BYTES {
            return;
        }
        each_node(&mut self.nodes, &mut |node| node.style.clear());
        if self.json_bytes() <= limit::BYTES {
            return;
        }
        each_node(&mut self.nodes, &mut |node| node.frame = None);
        let mut over = self.json_bytes().saturating_sub(limit::BYTES);
        for depth in (1..depth_of(&self.nodes)).rev() {
            if over == 0 {
                break;
            }
            over = cut_below(&mut self.nodes, depth, over, &mut self.counts);
        }
        while over > 0 && self.nodes.len() > 1 {
            let Some(last) = self.nodes.pop() else { break };
            over = over.saturating_sub(write::node(&last).json_bytes());
            leave_out(&mut self.counts, 1);
        }
    }

    fn json_bytes(&self) -> usize {
        self.to_tree().json_bytes()
    }
}

fn each_node(nodes: &mut [Node], visit: &mut dyn FnMut(&mut Node)) {
    for node in nodes {
        visit(node);
        each_node(&mut node.children, visit);
    }
}

fn depth_of(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| 1 + depth_of(&node.children)).max().unwrap_or(0)
}

fn count(nodes: &[Node]) -> u32 {
    nodes.iter().map(|node| 1 + count(&node.children)).sum()
}

fn leave_out(counts: &mut Counts, elements: u32) {
    counts.truncated = counts.truncated.saturating_add(elements);
    counts.kept = counts.kept.saturating_sub(elements);
}

/// Takes away what lies deeper than so many levels, the last of it first, until no more bytes are over. Answers how many still are.
fn cut_below(nodes: &mut [Node], depth: usize, over: usize, counts: &mut Counts) -> usize {
    let mut left = over;
    for node in nodes.iter_mut().rev() {
        if left == 0 {
            break;
        }
        if node.children.is_empty() {
            continue;
        }
        if depth > 1 {
            left = cut_below(&mut node.children, depth - 1, left, counts);
            continue;
        }
        let cut = count(&node.children);
        let bytes = write::nodes(&node.children).json_bytes();
        left = left.saturating_sub(bytes.saturating_sub(OMITTED_BYTES));
        node.children.clear();
        node.omitted = node.omitted.saturating_add(cut);
        leave_out(counts, cut);
    }
    left
}
