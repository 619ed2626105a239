//! Build script: what the dashboard serves as it is (style, scripts, icons, the description of the API) goes compressed
//! into the program, once. Linking is that of all services.

#![allow(clippy::print_stdout)] // that is how a build script speaks to cargo

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

#[path = "../link.rs"]
mod link;

const ASSETS: &str = "assets";
const DESCRIPTION: &str = "openapi.json";

fn main() -> io::Result<()> {
    link::main();
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={ASSETS}");
    println!("cargo:rerun-if-changed={DESCRIPTION}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    let mut names = Vec::new();
    files(Path::new(ASSETS), "", &mut names)?;
    names.sort();
    let (mut hash, mut table) = (Sha256::new(), String::new());
    for name in &names {
        let content = fs::read(Path::new(ASSETS).join(name))?;
        hash.update(name.as_bytes());
        hash.update(Sha256::digest(&content));
        let small = format!("{}.gz", name.replace('/', "-"));
        fs::write(out.join(&small), compressed(&content)?)?;
        let _ = write!(table, "({name:?}, include_bytes!({small:?})), ");
    }
    let mut version = String::new();
    for byte in &hash.finalize()[..8] {
        let _ = write!(version, "{byte:02x}");
    }
    let source = format!(
        "/// Style, scripts and icons by name, compressed.\nstatic FILES: &[(&str, &[u8])] = &[{table}];\n\
         /// Changes with any of them.\nconst VERSION: &str = {version:?};\n"
    );
    fs::write(out.join("assets.rs"), source)?;
    fs::write(out.join("openapi.json.gz"), compressed(&fs::read(DESCRIPTION)?)?)
}

/// Names of all files below a folder, with `/` between their parts.
fn files(folder: &Path, before: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// The same bytes give the same bytes, whenever that is: the header has no time.
fn compressed(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
