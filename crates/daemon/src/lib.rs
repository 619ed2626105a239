//! The frame of every process: logging, readiness, watchdog, signals, health and metrics, exit codes.
