//! Why a sandbox ended, in words for people, from what Modal says about it. Pure.

use super::error::printable;
use modal_api::{GenericResult, GenericStatus};

/// For humans: what happened, and Modal's own words where it has some.
#[must_use]
pub(super) fn describe(result: &GenericResult) -> String {
    let what = match GenericStatus::try_from(result.status) {
        Ok(GenericStatus::Unspecified) => "it runs".to_owned(),
        Ok(GenericStatus::Success) => "its runner ended".to_owned(),
        Ok(GenericStatus::Failure) => format!("its runner ended with exit code {}", result.exitcode),
        Ok(GenericStatus::Terminated) => {
            "Modal ended it: its machine was taken away (preempted), or it was stopped from outside"
                .to_owned()
        }
        Ok(GenericStatus::Timeout) => "it reached the end of its life".to_owned(),
        Ok(GenericStatus::InitFailure) => "it could not be started".to_owned(),
        Ok(GenericStatus::InternalFailure) => "Modal had a failure of its own".to_owned(),
        Ok(GenericStatus::IdleTimeout) => "it was idle for too long".to_owned(),
        Ok(GenericStatus::MemoryManagerEviction | GenericStatus::MemoryThrashingEviction) => {
            "it was evicted, because its machine had no memory left".to_owned()
        }
        Ok(GenericStatus::KernelOomKill) => "it used more memory than it may".to_owned(),
        Err(_) => format!("it ended for a reason that this bridge does not know ({})", result.status),
    };
    if result.exception.is_empty() { what } else { format!("{what}: {}", printable(&result.exception)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_way_to_end_has_its_words() {
        let said: Vec<String> = (0..=11)
            .map(|status| describe(&GenericResult { status, exitcode: 3, ..GenericResult::default() }))
            .collect();
        expect![[r#"
            it runs
            its runner ended
            its runner ended with exit code 3
            Modal ended it: its machine was taken away (preempted), or it was stopped from outside
            it reached the end of its life
            it could not be started
            Modal had a failure of its own
            it was idle for too long
            it was evicted, because its machine had no memory left
            it was evicted, because its machine had no memory left
            it used more memory than it may
            it ended for a reason that this bridge does not know (11)"#]]
        .assert_eq(&said.join("\n"));
    }

    #[test]
    fn modals_own_words_are_kept() {
        let result =
            GenericResult { status: 5, exception: "no\u{7} image".to_owned(), ..GenericResult::default() };
        assert_eq!(describe(&result), "it could not be started: no image");
    }
}
