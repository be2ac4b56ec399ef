//! Cutting text to limits without breaking characters. Pure; used by the other modules of `output`.

/// Text of one event, as JSON: leaves room for the rest of [`protocol::limit::EVENT_BYTES_MAX`]. All that is kept of an output fits,
/// because an item that is done does not grow any more.
pub(super) const PIECE_BYTES_MAX: usize = 1600 * 1024;

/// At most `bytes` bytes of `text`, with a mark where something was cut.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub('…'.len_utf8()));
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// The first piece of `text` that fits into one event, and the rest.
pub(super) fn split_piece(text: &str) -> (&str, &str) {
    let mut total = 0;
    let end = text.char_indices().find(|(_, character)| {
        total += json_bytes(*character);
        total > PIECE_BYTES_MAX
    });
    end.and_then(|(end, _)| text.split_at_checked(end)).unwrap_or((text, ""))
}

/// All pieces of `text`, each fit for one event.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = split_piece(text);
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// JavaScript's `length`.
pub(super) fn utf16_length(text: &str) -> u64 {
    text.chars().map(|character| character.len_utf16() as u64).sum()
}

fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        character if character < ' ' => 6,
        character => character.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_is_marked_and_whole() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        assert_eq!(cut("ääää", 6), "ä…");
    }

    proptest! {
        #[test]
        fn pieces_add_up_and_fit(text in "[a\u{1b}\"\u{e4}\u{1f600}\n]{0,200}", repeat in 1..400_usize) {
            let text = text.repeat(repeat);
            prop_assert_eq!(pieces(&text).collect::<String>(), text.clone());
            for piece in pieces(&text) {
                prop_assert!(serde_json::to_string(piece).unwrap().len() <= PIECE_BYTES_MAX + 2);
            }
            prop_assert_eq!(utf16_length(&text), text.encode_utf16().count() as u64);
        }
    }
}
