//! Receives notifications: accept, authenticate, store durably, answer.
