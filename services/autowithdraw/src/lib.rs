//! Gathers evidence, decides, and withdraws when calm is proven.
