//! Command line for prefixes: status, list, advertise, withdraw, hold, release, history.
