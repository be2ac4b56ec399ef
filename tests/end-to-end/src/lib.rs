//! The whole product on real parts, as people use it, in `tests/`. There is nothing to call here.
