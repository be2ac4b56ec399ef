//! Trace context as the header `traceparent` has it (W3C Trace Context, <https://www.w3.org/TR/trace-context/>): which trace something
//! belongs to, and which span of it was its cause.
//!
//! A turn is one trace, from the click to the pull request. Whoever hands work on keeps the trace and names a span of its own. What is
//! malformed is dropped, because a trace is never worth an error. Random bytes come from the caller.

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// Name of the header.
pub const TRACE_HEADER: &str = "traceparent";
/// Length of the header in version 00; later versions may add to it (section 3.2 there).
const LENGTH: usize = 55;
/// Bit of the flags: whoever began the trace wants it recorded.
const SAMPLED: u8 = 1;

/// A trace and a span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: NonZeroU128,
    span_id: NonZeroU64,
    flags: u8,
}

/// As it is written. What is malformed is passed over, so that every text is taken.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for TraceParent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TraceParent".into()
    }

    fn json_schema(schemas: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(schemas)
    }
}

impl TraceParent {
    /// A new trace with its first span. All zeros are no ids; they become ones.
    #[must_use]
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8]) -> Self {
        Self {
            trace_id: NonZeroU128::new(u128::from_be_bytes(trace_id)).unwrap_or(NonZeroU128::MIN),
            span_id: nonzero(span_id),
            flags: SAMPLED,
        }
    }

    /// A span that this one causes.
    #[must_use]
    pub fn child(self, span_id: [u8; 8]) -> Self {
        Self { span_id: nonzero(span_id), ..self }
    }

    /// Reads the header; `None` for what is malformed.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let bytes = header.as_bytes();
        let parts = [(0, 2), (3, 35), (36, 52), (53, LENGTH)];
        let mut numbers = [0u128; 4];
        for (number, (from, to)) in numbers.iter_mut().zip(parts) {
            *number = hexadecimal(bytes.get(from..to)?)?;
        }
        let is_parted = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        let [version, trace_id, span_id, flags] = numbers;
        let is_whole = match (version, bytes.get(LENGTH)) {
            (0xff, _) => false,
            (_, None) => true,
            (version, Some(next)) => version > 0 && *next == b'-',
        };
        if !is_parted || !is_whole {
            return None;
        }
        Some(Self {
            trace_id: NonZeroU128::new(trace_id)?,
            span_id: NonZeroU64::new(u64::try_from(span_id).ok()?)?,
            // Those that version 00 does not know are not passed on (section 3.2.2.5 there).
            flags: u8::try_from(flags).ok()? & SAMPLED,
        })
    }

    /// What all spans of the trace have in common: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Of this span: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The trace's id as bytes.
    #[must_use]
    pub fn trace_bytes(self) -> [u8; 16] {
        self.trace_id.get().to_be_bytes()
    }

    /// The span's id as bytes.
    #[must_use]
    pub fn span_bytes(self) -> [u8; 8] {
        self.span_id.get().to_be_bytes()
    }

    /// Whether the trace is to be recorded.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

fn nonzero(span_id: [u8; 8]) -> NonZeroU64 {
    NonZeroU64::new(u64::from_be_bytes(span_id)).unwrap_or(NonZeroU64::MIN)
}

/// A number in lower case; capitals are malformed (section 3.2.2 there).
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads an optional member of a message: what is malformed is as if it were not there.
pub fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TraceParent>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| TraceParent::parse(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the specification.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let parent = TraceParent::parse(EXAMPLE).unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        assert!(parent.is_sampled());
        assert_eq!(parent.to_string(), EXAMPLE);
        let child = parent.child([0xab; 8]).to_string();
        assert_eq!(child, "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01");
    }

    #[test]
    fn what_is_malformed_is_dropped() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(header), None, "{header:?}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for header in [EXAMPLE.replacen("00", "cc", 1), format!("{}-more", EXAMPLE.replacen("00", "cc", 1))] {
            assert_eq!(
                TraceParent::parse(&header).map(|parent| parent.to_string()).as_deref(),
                Some(EXAMPLE)
            );
        }
    }

    #[test]
    fn flags_that_are_not_known_are_not_passed_on() {
        let flagged = |flags: &str| format!("{}{flags}", &EXAMPLE[..EXAMPLE.len() - 2]);
        let read = |flags: &str| TraceParent::parse(&flagged(flags)).unwrap();
        assert_eq!((read("ff").to_string(), read("fe").to_string()), (flagged("01"), flagged("00")));
        assert!(!read("00").is_sampled());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(trace: [u8; 16], span: [u8; 8], next: [u8; 8]) {
            let parent = TraceParent::new(trace, span);
            prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
            let child = parent.child(next);
            prop_assert_eq!(child.trace_id(), parent.trace_id());
            prop_assert_eq!(TraceParent::parse(&child.to_string()), Some(child));
        }

        #[test]
        fn no_text_is_an_error(text: String, near in "[0-9a-f]{2}-[0-9a-fA-F]{30,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}.?") {
            for text in [text, near] {
                if let Some(parent) = TraceParent::parse(&text) {
                    // Version and unknown flags aside, it says what was read.
                    prop_assert_eq!(&parent.to_string()[3..52], &text[3..52]);
                }
                let member = lenient(&serde_json::Value::from(text.as_str()));
                prop_assert_eq!(member.unwrap(), TraceParent::parse(&text));
            }
        }

        #[test]
        fn one_character_elsewhere_is_another_trace_or_none(at in 0..LENGTH, with in any::<char>()) {
            let mut header: Vec<char> = EXAMPLE.chars().collect();
            header[at] = with;
            let header: String = header.into_iter().collect();
            let read = TraceParent::parse(&header);
            if !(3..=52).contains(&at) || header == EXAMPLE {
                return Ok(());
            }
            prop_assert_ne!(read, TraceParent::parse(EXAMPLE));
        }
    }
}
