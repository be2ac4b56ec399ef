//! The order of functions, and the module that tells it.

use super::{SECTION_CODE, SECTION_CUSTOM, SECTION_IMPORT, name_by_likeness, order, push_number, push_text};

fn body(seed: u8, length: u8) -> Vec<u8> {
    (0..length).map(|at| at.wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn functions_that_are_alike_stand_beside_each_other() {
    let mut bodies = Vec::new();
    for length in [40, 44, 48] {
        for seed in [1, 100, 200] {
            bodies.push(body(seed, length));
        }
    }
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let order = order(&bodies);
    assert_eq!(order.iter().map(|function| function % 3).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    let mut all = order;
    all.sort_unstable();
    assert_eq!(all, (0..9).collect::<Vec<_>>());
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    push_text(&mut section, content);
    section
}

#[test]
fn names_are_places_and_everything_else_stays() {
    let header = b"\0asm\x01\0\0\0".to_vec();
    // One function, one memory with a maximum and one global are imported.
    let imports = [&[3][..], b"\x01m\x01f\x00\x00", b"\x01m\x01n\x02\x01\x01\x02", b"\x01m\x01g\x03\x7f\x00"];
    let imports = section(SECTION_IMPORT, &imports.concat());
    let mut code = Vec::new();
    push_number(&mut code, 3);
    for body in [body(1, 20), body(9, 60), body(1, 24)] {
        push_text(&mut code, &body);
    }
    let code = section(SECTION_CODE, &code);
    let other = section(SECTION_CUSTOM, b"\x05other!");
    let old = section(SECTION_CUSTOM, b"\x04name\x01\x04\x01\x01\x01x");
    let module = [header, imports, code, other].concat();
    let named = name_by_likeness(&[module.clone(), old].concat()).unwrap();
    let names = section(SECTION_CUSTOM, b"\x04name\x01\x1c\x03\x01\x070000002\x02\x070000000\x03\x070000001");
    assert_eq!(named, [module.clone(), names].concat());
    let cut = name_by_likeness(module.split_last().unwrap().1).unwrap_err();
    assert_eq!(cut.to_string(), "the module is cut");
}
