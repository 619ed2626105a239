//! Command line for network monitoring rules.
