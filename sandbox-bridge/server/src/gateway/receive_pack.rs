//! What a push asks for: reads the commands in front of a pack, decides whether they are allowed, and writes git's own refusal.
//!
//! Pure. The rule: create or move the session's branch, nothing else. The git gateway calls it before a byte goes to the code host.

/// Commands and shallow lines in front of a pack.
pub(super) const PRELUDE_BYTES_MAX: usize = 64 * 1024;
/// Refs that one push may name.
const COMMANDS_MAX: usize = 8;

/// A push that is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this push is not understood: {0}")]
pub(super) struct Malformed(&'static str);

/// One change of a ref.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) reference: String,
    pub(super) deletes: bool,
}

/// What stands in front of the pack.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Prelude {
    pub(super) commands: Vec<Command>,
    pub(super) capabilities: Vec<String>,
    /// Where the pack begins.
    pub(super) len: usize,
}

/// Why a push was refused, in git's own words, or as text for a client that wants no report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Report(Vec<u8>),
    Text(String),
}

impl Prelude {
    /// Reads the prelude at the start of a request; `None` when it is not complete yet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut prelude = Self::default();
        loop {
            let rest = bytes.get(prelude.len..).unwrap_or_default();
            let Some(head) = rest.get(..4) else { return Ok(None) };
            let digits =
                std::str::from_utf8(head).ok().filter(|head| head.bytes().all(|b| b.is_ascii_hexdigit()));
            let len = digits
                .and_then(|head| usize::from_str_radix(head, 16).ok())
                .ok_or(Malformed("no packet length"))?;
            match len {
                0 => {
                    prelude.len += 4;
                    return Ok(Some(prelude));
                }
                1..=4 => return Err(Malformed("a packet of impossible length")),
                5.. => {}
            }
            let Some(line) = rest.get(4..len) else { return Ok(None) };
            prelude.take_line(line)?;
            prelude.len += len;
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = std::str::from_utf8(line).map_err(|_| Malformed("a line that is not text"))?;
        let (line, capabilities) = match line.split_once('\0') {
            Some((line, capabilities)) => (line, Some(capabilities)),
            None => (line, None),
        };
        let line = line.strip_suffix('\n').unwrap_or(line);
        if let Some(capabilities) = capabilities {
            if !self.commands.is_empty() {
                return Err(Malformed("capabilities behind the first command"));
            }
            self.capabilities = capabilities.split_ascii_whitespace().map(str::to_owned).collect();
        }
        if line.strip_prefix("shallow ").is_some_and(is_object_id) {
            return Ok(());
        }
        let mut parts = line.splitn(3, ' ');
        let (Some(old), Some(new), Some(reference)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed("a line that is no command"));
        };
        if !is_object_id(old)
            || !is_object_id(new)
            || old.len() != new.len()
            || reference.chars().any(char::is_control)
        {
            return Err(Malformed("a command without object ids"));
        }
        if self.commands.len() >= COMMANDS_MAX {
            return Err(Malformed("too many refs at once"));
        }
        self.commands
            .push(Command { reference: reference.to_owned(), deletes: new.bytes().all(|b| b == b'0') });
        Ok(())
    }

    /// Whether all of it may go to the code host.
    pub(super) fn evaluate(&self, branch: &str, default_branch: &str) -> Result<(), Refusal> {
        let allowed = format!("refs/heads/{branch}");
        let options = self.has("push-options").then(|| "push options are not passed on".to_owned());
        let reason = |command: &Command| {
            if command.reference != allowed || branch == default_branch {
                Some(format!("only {branch} can be pushed from this session"))
            } else if command.deletes {
                Some("the session's branch cannot be deleted".to_owned())
            } else {
                options.clone()
            }
        };
        let reasons: Vec<_> = self.commands.iter().map(reason).collect();
        if reasons.iter().all(Option::is_none) {
            return Ok(());
        }
        // Refused together, so that no half of a push happens.
        let reasons = reasons
            .into_iter()
            .map(|reason| reason.unwrap_or_else(|| "another ref of this push is refused".to_owned()));
        let reasons: Vec<_> = self.commands.iter().zip(reasons).collect();
        if !self.has("report-status") && !self.has("report-status-v2") {
            let lines = reasons.iter().map(|(command, reason)| format!("{}: {reason}\n", command.reference));
            return Err(Refusal::Text(lines.collect()));
        }
        Err(Refusal::Report(self.report(&reasons)))
    }

    fn report(&self, reasons: &[(&Command, String)]) -> Vec<u8> {
        let mut report = packet(b"unpack ok\n");
        for (command, reason) in reasons {
            report.extend(packet(format!("ng {} {reason}\n", command.reference).as_bytes()));
        }
        report.extend(b"0000");
        if !self.has("side-band-64k") && !self.has("side-band") {
            return report;
        }
        let mut banded = Vec::new();
        // A packet of the narrower band holds 1000 bytes, its head and band number included.
        for chunk in report.chunks(995) {
            banded.extend(packet(&[&[1], chunk].concat()));
        }
        banded.extend(b"0000");
        banded
    }

    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|has| has == capability)
    }
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", payload.len() + 4).into_bytes();
    packet.extend(payload);
    packet
}

fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn push(lines: &[String]) -> Vec<u8> {
        let mut bytes: Vec<u8> = lines.iter().flat_map(|line| packet(line.as_bytes())).collect();
        bytes.extend(b"0000PACK");
        bytes
    }

    fn evaluate(lines: &[String]) -> Result<(), Refusal> {
        Prelude::parse(&push(lines)).unwrap().unwrap().evaluate("farhand/1", "main")
    }

    fn command(old: &str, new: &str, reference: &str) -> String {
        format!("{old} {new} {reference}\0 agent=git/2 object-format=sha1")
    }

    #[test]
    fn the_session_branch_can_be_created_and_moved() {
        assert_eq!(evaluate(&[command(NONE, NEW, "refs/heads/farhand/1")]), Ok(()));
        assert_eq!(evaluate(&[command(OLD, NEW, "refs/heads/farhand/1")]), Ok(()));
        assert_eq!(
            evaluate(&[format!("shallow {OLD}"), command(OLD, NEW, "refs/heads/farhand/1\n")]),
            Ok(())
        );
        assert_eq!(Prelude::parse(b"0000").unwrap().unwrap().evaluate("farhand/1", "main"), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        for (old, new, reference) in [
            (OLD, NEW, "refs/heads/main"),
            (OLD, NONE, "refs/heads/farhand/1"),
            (OLD, NEW, "refs/heads/farhand/2"),
            (OLD, NEW, "refs/heads/farhand/1/../main"),
            (OLD, NEW, "refs/heads/FARHAND/1"),
            (NONE, NEW, "refs/tags/v1"),
            (NONE, NEW, "refs/heads/farhand/1 "),
            (OLD, NEW, "HEAD"),
        ] {
            assert!(
                matches!(evaluate(&[command(old, new, reference)]), Err(Refusal::Text(_))),
                "{reference}"
            );
        }
        let both = [command(OLD, NEW, "refs/heads/farhand/1"), format!("{OLD} {NEW} refs/heads/main")];
        assert!(evaluate(&both).is_err());
        let options = format!("{OLD} {NEW} refs/heads/farhand/1\0report-status push-options");
        assert!(evaluate(&[options]).is_err());
        let push = push(&[command(OLD, NEW, "refs/heads/main")]);
        assert!(Prelude::parse(&push).unwrap().unwrap().evaluate("main", "main").is_err());
    }

    #[test]
    fn a_refusal_is_a_report_that_git_reads() {
        let line = format!("{OLD} {NEW} refs/heads/main\0report-status side-band-64k");
        let Err(Refusal::Report(report)) = evaluate(&[line]) else { panic!("no report") };
        let expected = "005d\u{1}000eunpack ok\n0046ng refs/heads/main only farhand/1 can be pushed from this session\n00000000";
        assert_eq!(String::from_utf8(report).unwrap(), expected);
    }

    #[test]
    fn every_cut_asks_for_more_and_the_length_is_exact() {
        let bytes = push(&[command(OLD, NEW, "refs/heads/farhand/1")]);
        let end = bytes.len() - "PACK".len();
        for cut in 0..end {
            assert_eq!(Prelude::parse(&bytes[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(Prelude::parse(&bytes).unwrap().unwrap().len, end);
    }

    #[test]
    fn foreign_text_is_malformed() {
        for bytes in [&b"PACK"[..], b"0001", b"0004", b"+00a", b"\x1f\x8b\x08\0"] {
            assert!(Prelude::parse(bytes).is_err(), "{bytes:?}");
        }
        for line in ["x", "push-cert\0report-status", &format!("{OLD} {NEW}"), &format!("{OLD} {NEW} a\nb")] {
            assert!(Prelude::parse(&push(&[line.to_owned()])).is_err(), "{line:?}");
        }
        let many: Vec<_> = (0..9).map(|n| format!("{OLD} {NEW} refs/heads/{n}")).collect();
        assert!(Prelude::parse(&push(&many)).is_err());
    }
}
