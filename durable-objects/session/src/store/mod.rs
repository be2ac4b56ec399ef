//! The SQL of a session.
