//! Whether we speak Modal as Modal does; everything is in `tests`. `cargo xtask test --only modal` installs Modal's own Python package
//! and runs them; `FARHAND_MODAL_PYTHON` names the interpreter that has it.
