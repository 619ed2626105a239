//! For tests only: temporary databases, simulator, real binaries, and the check that nothing is left undone.
