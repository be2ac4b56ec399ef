//! Sections of a Wasm module, as far as the edge's build looks into them. It knows no instruction. Called by `order` and `exports`.
//!
//! Format: WebAssembly 3.0 core specification, "Binary Format".

use anyhow::Context as _;

pub(super) const SECTION_CUSTOM: u8 = 0;
pub(super) const SECTION_IMPORT: u8 = 2;
pub(super) const SECTION_EXPORT: u8 = 7;
pub(super) const SECTION_CODE: u8 = 10;

/// One section.
pub(super) struct Section<'a> {
    pub(super) id: u8,
    pub(super) content: &'a [u8],
    /// The content behind id and length.
    pub(super) whole: &'a [u8],
}

/// Something that a module imports.
pub(super) struct Import<'a> {
    pub(super) name: &'a [u8],
    pub(super) is_function: bool,
}

/// The header, and what is behind it.
pub(super) fn sections(module: &[u8]) -> anyhow::Result<(&[u8], Vec<Section<'_>>)> {
    let mut reader = Reader(module);
    let header = reader.bytes(8).context("no Wasm module")?;
    let mut sections = Vec::new();
    while !reader.0.is_empty() {
        let start = reader.0;
        let id = reader.byte()?;
        let content = reader.text()?;
        let whole = start.get(..start.len() - reader.0.len()).unwrap_or_default();
        sections.push(Section { id, content, whole });
    }
    Ok((header, sections))
}

/// The content of the section of imports.
pub(super) fn imports(content: &[u8]) -> anyhow::Result<Vec<Import<'_>>> {
    let mut reader = Reader(content);
    let mut imports = Vec::new();
    for _ in 0..reader.number()? {
        reader.text()?;
        let name = reader.text()?;
        let kind = reader.byte()?;
        match kind {
            0 => {
                reader.number()?;
            }
            1 => {
                reader.byte()?;
                reader.limits()?;
            }
            2 => reader.limits()?,
            3 => {
                reader.bytes(2)?;
            }
            4 => {
                reader.byte()?;
                reader.number()?;
            }
            _ => anyhow::bail!("the module imports something of the unknown kind {kind}"),
        }
        imports.push(Import { name, is_function: kind == 0 });
    }
    Ok(imports)
}

/// What is left of a module or a section.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).context("the module is cut")?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> anyhow::Result<u8> {
        self.bytes(1)?.first().copied().context("the module is cut")
    }

    /// LEB128 without sign, of 32 bits.
    pub(super) fn number(&mut self) -> anyhow::Result<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        anyhow::bail!("a number of the module is too long")
    }

    /// Bytes behind their number.
    pub(super) fn text(&mut self) -> anyhow::Result<&'a [u8]> {
        let length = self.number()?;
        self.bytes(length)
    }

    fn limits(&mut self) -> anyhow::Result<()> {
        let has_maximum = self.byte()? & 1 == 1;
        self.number()?;
        if has_maximum {
            self.number()?;
        }
        Ok(())
    }
}

pub(super) fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

pub(super) fn push_text(bytes: &mut Vec<u8>, text: &[u8]) {
    push_number(bytes, text.len());
    bytes.extend_from_slice(text);
}
