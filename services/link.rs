//! Build script of the four services: addresses that the loader adjusts at each start are listed in the packed form. Every
//! process reads the list and so keeps it resident; packed it is a hundredth of the size (0.8 MB less for each service).
//!
//! The loader knows that form since glibc 2.36, so it is used only where the building machine has that and builds for
//! itself: a package that is built on an older system runs there as before.

#![allow(clippy::print_stdout)] // that is how a build script speaks to cargo

use std::env;
use std::process::Command;

/// glibc with the packed form.
const SINCE: (u32, u32) = (2, 36);

pub(crate) fn main() {
    println!("cargo:rerun-if-changed=../link.rs");
    let for_itself = env::var("TARGET").is_ok_and(|target| env::var("HOST").is_ok_and(|host| host == target));
    let optimised = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if for_itself && optimised && glibc().is_some_and(|version| version >= SINCE) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// `glibc 2.36` as `(2, 36)`.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
