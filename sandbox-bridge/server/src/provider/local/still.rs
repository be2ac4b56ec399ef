//! Holds the processes of a sandbox where they are, for as long as its files are copied. Called by the saving of a sandbox.

use super::cgroup::Group;
use super::process::Membership;
use std::io;

/// A way to hold all processes of one sandbox.
pub(crate) trait Freezer {
    /// Returns once none of them runs, or with the reason why some may.
    fn freeze(&self) -> io::Result<()>;
    /// Lets them go on; harmless when they were not held.
    fn thaw(&self) -> io::Result<()>;
}

impl Freezer for Group {
    fn freeze(&self) -> io::Result<()> {
        let refused = || io::Error::new(io::ErrorKind::Unsupported, "its control group cannot be frozen");
        Group::freeze(self).then_some(()).ok_or_else(refused)
    }

    fn thaw(&self) -> io::Result<()> {
        Group::thaw(self);
        Ok(())
    }
}

impl Freezer for Membership {
    fn freeze(&self) -> io::Result<()> {
        self.stop()
    }

    fn thaw(&self) -> io::Result<()> {
        self.resume()
    }
}

/// While this lives, no process of the sandbox runs.
pub(crate) struct Stillness<'a>(&'a dyn Freezer);

impl<'a> Stillness<'a> {
    /// Takes the first way that works. What a way that failed has held goes on before the next is tried.
    pub(crate) fn begin(ways: &[&'a dyn Freezer]) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::Unsupported, "there is no way to hold it");
        for way in ways {
            let still = Self(*way);
            match way.freeze() {
                Ok(()) => return Ok(still),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Drop for Stillness<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.thaw() {
            tracing::error!(%error, "could not let a sandbox go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    struct Way<'a> {
        name: &'static str,
        works: bool,
        said: &'a RefCell<Vec<String>>,
    }

    impl Freezer for Way<'_> {
        fn freeze(&self) -> io::Result<()> {
            self.said.borrow_mut().push(format!("{} freezes", self.name));
            if self.works { Ok(()) } else { Err(io::Error::other(self.name)) }
        }

        fn thaw(&self) -> io::Result<()> {
            self.said.borrow_mut().push(format!("{} thaws", self.name));
            Ok(())
        }
    }

    #[test]
    fn a_way_that_fails_lets_go_before_the_next_one_holds() {
        let said = RefCell::default();
        let (first, second) =
            (Way { name: "a", works: false, said: &said }, Way { name: "b", works: true, said: &said });
        drop(Stillness::begin(&[&first, &second]).unwrap());
        assert_eq!(said.take(), ["a freezes", "a thaws", "b freezes", "b thaws"]);
        let failure = Stillness::begin(&[&first]).err().unwrap();
        assert_eq!((failure.to_string().as_str(), said.take().len()), ("a", 2));
        assert!(Stillness::begin(&[]).is_err());
    }

    #[test]
    fn a_panic_while_copying_lets_the_sandbox_go_on() {
        let said = RefCell::default();
        let way = Way { name: "a", works: true, said: &said };
        let copy = std::panic::AssertUnwindSafe(|| {
            let _still = Stillness::begin(&[&way]).unwrap();
            panic!("in the middle of the copy");
        });
        assert!(std::panic::catch_unwind(copy).is_err());
        assert_eq!(said.take(), ["a freezes", "a thaws"]);
    }
}
