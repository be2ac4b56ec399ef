//! Promises about this repository, kept as tests in `tests/`. There is nothing to call here.
