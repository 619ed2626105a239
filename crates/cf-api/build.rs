//! The schema is read by a derive macro, which Cargo does not see: say so.

fn main() {
    println!("cargo::rerun-if-changed=graphql");
}
