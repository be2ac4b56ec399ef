//! Puts functions of a Wasm module that look alike beside each other, for what compresses it: gzip looks back 32 KiB only, and of a
//! generic function there are a hundred nearly equal copies.
//!
//! It only gives each function its place as its name; `wasm-opt --reorder-functions-by-name` does the moving. Called by the edge's build.
//! Names: WebAssembly 3.0 core specification, appendix "Name Section".

use super::wasm::{self, Reader, SECTION_CODE, SECTION_CUSTOM, SECTION_IMPORT, push_number, push_text};
use std::collections::HashMap;

/// Bytes that are compared at a time.
const SHINGLE_BYTES: usize = 5;
/// What is in more functions than this says nothing of their likeness.
const COMMON_MIN: usize = 60;
/// Functions to which the next one is compared.
const WINDOW: usize = 8;
/// Shingles that a function counts as having beside its own: a short one must not win by being all alike.
const SHORT: usize = 30;

const NAMES_OF_FUNCTIONS: u8 = 1;

/// The module with names that sort its functions by likeness; other names are dropped.
pub(super) fn name_by_likeness(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (header, sections) = wasm::sections(module)?;
    let mut named = header.to_vec();
    let mut imported = 0;
    let mut bodies = Vec::new();
    for section in &sections {
        match section.id {
            SECTION_IMPORT => {
                let imports = wasm::imports(section.content)?;
                imported = imports.iter().filter(|import| import.is_function).count();
            }
            SECTION_CODE => bodies = read_bodies(section.content)?,
            SECTION_CUSTOM if Reader(section.content).text()? == b"name" => continue,
            _ => {}
        }
        named.extend_from_slice(section.whole);
    }
    let mut places = vec![0; bodies.len()];
    for (place, function) in order(&bodies).into_iter().enumerate() {
        if let Some(known) = places.get_mut(function) {
            *known = place;
        }
    }
    write_names(&mut named, imported, &places);
    Ok(named)
}

/// A name for each place; of one length, so that they sort as numbers do.
fn write_names(module: &mut Vec<u8>, imported: usize, places: &[usize]) {
    let mut names = Vec::new();
    push_number(&mut names, places.len());
    for (function, place) in places.iter().enumerate() {
        push_number(&mut names, imported + function);
        push_text(&mut names, format!("{place:07}").as_bytes());
    }
    let mut section = Vec::new();
    push_text(&mut section, b"name");
    section.push(NAMES_OF_FUNCTIONS);
    push_text(&mut section, &names);
    module.push(SECTION_CUSTOM);
    push_text(module, &section);
}

/// Beginning with the longest, always the one next that is most like the last few; the longest that is left where none is like them.
fn order(bodies: &[&[u8]]) -> Vec<usize> {
    let (shingles, holders) = index(bodies);
    let mut by_length: Vec<usize> = (0..bodies.len()).collect();
    by_length.sort_by_key(|&function| std::cmp::Reverse(bodies.get(function).map_or(0, |body| body.len())));
    let mut order: Vec<usize> = Vec::with_capacity(bodies.len());
    let mut is_placed = vec![false; bodies.len()];
    let mut rest = by_length.into_iter();
    loop {
        let window = order.get(order.len().saturating_sub(WINDOW)..).unwrap_or_default();
        let alike = most_alike(window, &shingles, &holders, &is_placed);
        let next = alike.or_else(|| rest.find(|&function| is_placed.get(function) == Some(&false)));
        let Some(next) = next else { return order };
        order.push(next);
        if let Some(placed) = is_placed.get_mut(next) {
            *placed = true;
        }
    }
}

/// The shingles of each function that others have too, and the functions that have each shingle.
fn index(bodies: &[&[u8]]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut numbers: HashMap<&[u8], usize> = HashMap::new();
    let mut holders: Vec<Vec<usize>> = Vec::new();
    for (function, body) in bodies.iter().enumerate() {
        for shingle in body.windows(SHINGLE_BYTES) {
            let number = *numbers.entry(shingle).or_insert_with(|| {
                holders.push(Vec::new());
                holders.len() - 1
            });
            if let Some(holders) = holders.get_mut(number).filter(|holders| holders.last() != Some(&function))
            {
                holders.push(function);
            }
        }
    }
    let mut shingles = vec![Vec::new(); bodies.len()];
    for (number, holders) in holders.iter().enumerate() {
        if (2..=COMMON_MIN).contains(&holders.len()) {
            for &function in holders {
                if let Some(shingles) = shingles.get_mut(function) {
                    shingles.push(number);
                }
            }
        }
    }
    (shingles, holders)
}

fn most_alike(
    window: &[usize],
    shingles: &[Vec<usize>],
    holders: &[Vec<usize>],
    is_placed: &[bool],
) -> Option<usize> {
    let mut wanted: Vec<usize> =
        window.iter().filter_map(|&function| shingles.get(function)).flatten().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut common: HashMap<usize, usize> = HashMap::new();
    for &function in wanted.iter().filter_map(|&shingle| holders.get(shingle)).flatten() {
        if is_placed.get(function) == Some(&false) {
            *common.entry(function).or_default() += 1;
        }
    }
    let weight = |function: usize| shingles.get(function).map_or(0, Vec::len) + SHORT;
    let alike = common.into_iter().max_by(|&(a, in_a), &(b, in_b)| {
        // As fractions; of equal ones the first function wins, so that the same module has the same order.
        (in_a * weight(b)).cmp(&(in_b * weight(a))).then(b.cmp(&a))
    });
    alike.map(|(function, _)| function)
}

fn read_bodies(code: &[u8]) -> anyhow::Result<Vec<&[u8]>> {
    let mut reader = Reader(code);
    let count = reader.number()?;
    (0..count).map(|_| reader.text()).collect()
}

#[cfg(test)]
mod tests;
