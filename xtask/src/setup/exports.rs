//! Takes exports out of the Worker's Wasm module that its JavaScript never calls, so that `wasm-opt` finds what only they keep.
//!
//! wasm-bindgen exports every class of every crate. Those of `wasm-streams` for streams into JavaScript by bytes, and for what JavaScript
//! writes, are made by functions that the module would import; without the import there never is one. Called by the edge's build.

use super::wasm::{self, Reader, SECTION_EXPORT, SECTION_IMPORT, push_number, push_text};

/// Classes as exports name them, and the part of an import's name by which one is made.
const CLASSES: &[(&str, &str)] = &[
    ("intounderlyingbytesource_", "into_underlying_byte_source"),
    ("intounderlyingsink_", "into_underlying_sink"),
];

/// The module without exports of classes of which there is never an object.
pub(super) fn without_unused_classes(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (header, sections) = wasm::sections(module)?;
    let mut unused: Vec<&str> = CLASSES.iter().map(|(class, _)| *class).collect();
    for section in sections.iter().filter(|section| section.id == SECTION_IMPORT) {
        for import in wasm::imports(section.content)? {
            let name = String::from_utf8_lossy(import.name);
            let made = CLASSES.iter().filter(|(_, maker)| name.contains(maker));
            made.for_each(|(class, _)| unused.retain(|unused| unused != class));
        }
    }
    let mut slim = header.to_vec();
    for section in &sections {
        if section.id == SECTION_EXPORT {
            slim.push(SECTION_EXPORT);
            push_text(&mut slim, &keep_exports(section.content, &unused)?);
        } else {
            slim.extend_from_slice(section.whole);
        }
    }
    Ok(slim)
}

fn keep_exports(content: &[u8], unused: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut reader = Reader(content);
    let mut kept = Vec::new();
    let mut count = 0;
    for _ in 0..reader.number()? {
        let name = reader.text()?;
        let kind = reader.byte()?;
        let index = reader.number()?;
        let class = name.strip_prefix(b"__wbg_").unwrap_or(name);
        if !unused.iter().any(|unused| class.starts_with(unused.as_bytes())) {
            count += 1;
            push_text(&mut kept, name);
            kept.push(kind);
            push_number(&mut kept, index);
        }
    }
    let mut content = Vec::new();
    push_number(&mut content, count);
    content.extend_from_slice(&kept);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(imported: &str, exported: &[&str]) -> Vec<u8> {
        let mut imports = vec![1];
        push_text(&mut imports, b"./index_bg.js");
        push_text(&mut imports, imported.as_bytes());
        imports.extend_from_slice(&[0, 0]);
        let mut exports = Vec::new();
        push_number(&mut exports, exported.len());
        for (index, name) in exported.iter().enumerate() {
            push_text(&mut exports, name.as_bytes());
            exports.push(0);
            push_number(&mut exports, index + 200);
        }
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for (id, content) in [(SECTION_IMPORT, imports), (SECTION_EXPORT, exports), (3, vec![0])] {
            module.push(id);
            push_text(&mut module, &content);
        }
        module
    }

    #[test]
    fn classes_that_nobody_makes_are_not_exported() {
        let exports = ["fetch", "intounderlyingsink_write", "__wbg_intounderlyingsink_free"];
        let slim = without_unused_classes(&module("__wbg_now_1", &exports)).unwrap();
        assert_eq!(slim, module("__wbg_now_1", &["fetch"]));
    }

    #[test]
    fn a_class_that_can_be_made_stays() {
        let made = module("__wbg_new_with_into_underlying_sink_1", &["intounderlyingsink_write", "fetch"]);
        assert_eq!(without_unused_classes(&made).unwrap(), made);
    }
}
