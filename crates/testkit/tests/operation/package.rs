//! What is sent to small machines stays small: no program of a release has more than 15,000 KiB, and the package is not made
//! from one that has.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most that a program may have, as scripts/package counts.
const LIMIT: u64 = 15_000 * 1_024;

fn top() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("the repository").to_owned()
}

/// Makes the package from one program of so many bytes. Says whether that worked, and what was said.
fn packaged(bytes: u64) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("release");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("cloudflare-webhook");
    File::create(&program).unwrap().set_len(bytes).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(top().join("scripts/package"))
        .arg("--bin")
        .arg(&programs)
        .arg("--out")
        .arg(folder.path().join("out"))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

#[test]
fn a_program_that_is_too_large_is_not_packaged() {
    let (made, said) = packaged(LIMIT + 1);
    assert!(!made && said.contains("larger than 15 MB"), "{said}");
    // At the limit it is refused for another reason: it is no program, and the others are missing.
    let (_, said) = packaged(LIMIT);
    assert!(!said.contains("larger than 15 MB"), "{said}");
}

#[test]
fn programs_of_a_release_are_small() {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from);
    let Ok(found) = fs::read_dir(target.join("release")) else {
        println!("SKIPPED: no release build is here to be weighed");
        return;
    };
    let mut large = Vec::new();
    for path in found.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let metadata = fs::metadata(&path).unwrap();
        let is_program =
            name.starts_with("cloudflare-") && metadata.is_file() && metadata.permissions().mode() & 0o100 != 0;
        if is_program && metadata.len() > LIMIT {
            large.push(format!("{name}: {} bytes", metadata.len()));
        }
    }
    assert_eq!(large, Vec::<String>::new());
}
