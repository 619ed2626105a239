//! Cloudflare on the wire: REST client, GraphQL client, webhook payloads, error classes, rate budget.
pub mod transport;
