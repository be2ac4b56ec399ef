//! Reads how many tests passed and failed from what the test runners print.

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// A section whose program failed has a failure, even when it counted none; one that ran nothing has shown nothing.
    pub(crate) fn settle(mut self, succeeded: bool) -> Self {
        if self.failed == 0 && (!succeeded || self.passed == 0) {
            self.failed = 1;
        }
        self
    }
}

/// Which program printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// Passes or fails as a whole.
    Single,
    CargoTest,
    Nextest,
    Node,
    Vitest,
    Playwright,
}

/// Counts the tests in a runner's output.
pub(crate) fn count(runner: Runner, output: &str) -> Count {
    let plain = strip_colours(output);
    let mut count = Count::default();
    for line in plain.lines().map(str::trim) {
        let found = match runner {
            Runner::Single => None,
            Runner::CargoTest => line.strip_prefix("test result:").map(named),
            Runner::Nextest => line.strip_prefix("Summary [").map(named),
            Runner::Vitest => line.strip_prefix("Tests ").map(named),
            Runner::Node => node(line),
            Runner::Playwright => playwright(line),
        };
        if let Some(found) = found {
            count.add(found);
        }
    }
    count
}

/// Numbers before `passed` and `failed`, in any order.
fn named(text: &str) -> Count {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let before = |name: &str| {
        words
            .windows(2)
            .filter(|pair| pair.get(1) == Some(&name))
            .filter_map(|pair| pair.first()?.parse::<u64>().ok())
            .sum()
    };
    let late: u64 = before("timed");
    Count { passed: before("passed"), failed: before("failed") + late }
}

/// `ℹ pass 3`, `# fail 1`, `ℹ cancelled 1`.
fn node(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# "))?;
    let (name, number) = rest.split_once(' ')?;
    let number: u64 = number.trim().parse().ok()?;
    match name {
        "pass" => Some(Count { passed: number, failed: 0 }),
        "fail" | "cancelled" => Some(Count { passed: 0, failed: number }),
        _ => None,
    }
}

/// `12 passed (3.4s)`, `1 failed`, `1 flaky`: a test that passes on retry has failed.
fn playwright(line: &str) -> Option<Count> {
    let mut words = line.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let is_summary = words.next().is_none_or(|word| word.starts_with('(')) && words.next().is_none();
    match name {
        "passed" if is_summary => Some(Count { passed: number, failed: 0 }),
        "failed" | "flaky" | "interrupted" if is_summary => Some(Count { passed: 0, failed: number }),
        _ => None,
    }
}

fn strip_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, beyond)| beyond);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_as_the_runners_print_them() {
        let of = |passed, failed| Count { passed, failed };
        for (runner, output, expected) in [
            (
                Runner::CargoTest,
                "test a ... ok\ntest result: ok. 3 passed; 0 failed; 0 ignored\n\ntest result: FAILED. 1 passed; 2 failed; 0 ignored",
                of(4, 2),
            ),
            (
                Runner::Nextest,
                "     Summary [   0.123s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped",
                of(11, 1),
            ),
            (
                Runner::Nextest,
                "     Summary [   9s] 3 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped",
                of(1, 2),
            ),
            (Runner::Node, "# tests 5\n# pass 4\n# fail 1\n# cancelled 0\n# skipped 0", of(4, 1)),
            (Runner::Node, "ℹ tests 5\nℹ pass 5\nℹ fail 0", of(5, 0)),
            (
                Runner::Vitest,
                " Test Files  2 passed (2)\n\u{1b}[2m      Tests \u{1b}[22m 1 failed | 40 passed (41)",
                of(40, 1),
            ),
            (
                Runner::Playwright,
                "  ✓  1 a.spec.ts:3:1 › 3 passed things (1s)\n  1 failed\n    a.spec.ts:1\n  1 flaky\n  12 passed (3.4s)",
                of(12, 2),
            ),
            (Runner::Single, "anything 3 passed", of(0, 0)),
        ] {
            assert_eq!(count(runner, output), expected, "{output}");
        }
    }

    #[test]
    fn a_runner_that_fails_or_runs_nothing_is_a_failure() {
        assert_eq!(Count { passed: 3, failed: 0 }.settle(false), Count { passed: 3, failed: 1 });
        assert_eq!(Count::default().settle(true), Count { passed: 0, failed: 1 });
        assert_eq!(Count { passed: 3, failed: 0 }.settle(true), Count { passed: 3, failed: 0 });
        assert_eq!(Count { passed: 3, failed: 2 }.settle(false), Count { passed: 3, failed: 2 });
    }
}
