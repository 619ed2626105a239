//! Reading the files: bounded, as UTF-8, with a look at who else may read or change them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::json::{self, Data, Node};
use crate::report::{Code, Place, Severity};
use crate::site::{Problems, Site};

/// No configuration comes near this; a larger file is something else (a log, a device).
const MAX_BYTES: u64 = 1 << 20;

/// Users and groups other than the owner that may read (`chmod` digits).
const OTHERS_READ: u32 = 0o004;
const GROUP_READ: u32 = 0o040;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;

/// A parsed file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) root: Node,
    pub(crate) access: Access,
}

/// A file's text and who may touch it.
pub(crate) struct FileText {
    pub(crate) text: String,
    pub(crate) access: Access,
}

/// Who may touch a file besides its owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    mode: u32,
    group: u32,
}

/// Reads a text file of reasonable size. `Ok(None)` when it does not exist.
pub(crate) fn read_text(path: &Path) -> io::Result<Option<FileText>> {
    // Looked at before opening: opening a FIFO would wait for a writer for ever.
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::other(format!("it is not UTF-8 text (byte {at})"))
    })?;
    Ok(Some(FileText {
        text,
        access: Access {
            mode: metadata.mode() & 0o777,
            group: metadata.gid(),
        },
    }))
}

/// Reads and parses a JSON file whose top is an object, reporting what is wrong with `severity`.
/// `None` when it is absent or unusable.
pub(crate) fn read_document(
    path: &Path,
    severity: Severity,
    trusted_groups: &[u32],
    problems: &mut Problems,
) -> Option<Document> {
    let mut site = Site::file(path);
    let file = match read_text(path) {
        Ok(Some(file)) => file,
        Ok(None) => return None,
        Err(error) => {
            problems.add(
                severity,
                Code::FileUnreadable,
                &site,
                format!("the file cannot be read: {error}"),
                unreadable_remedy(&error),
            );
            return None;
        }
    };
    check_writers(path, file.access, trusted_groups, problems);
    let root = match json::read(&file.text) {
        Ok(root) => root,
        Err(error) => {
            if file.text.trim().is_empty() {
                problems.add(
                    severity,
                    Code::Syntax,
                    &site,
                    "the file is empty".to_owned(),
                    "write at least {}, or restore the file".to_owned(),
                );
                return None;
            }
            site.place = Place::File {
                path: path.to_owned(),
                line: Some(error.line),
                column: Some(error.column),
            };
            problems.add(
                severity,
                Code::Syntax,
                &site,
                format!("this is not valid JSON: {}", error.what),
                syntax_remedy(&error.what),
            );
            return None;
        }
    };
    if !matches!(root.data, Data::Object(_)) {
        problems.add(
            severity,
            Code::WrongType,
            &site,
            format!("the file must hold an object, found {}", root.data.found()),
            "enclose the keys in { and }".to_owned(),
        );
        return None;
    }
    report_repeated_keys(&root, path, "", severity, problems);
    Some(Document {
        path: path.to_owned(),
        root,
        access: file.access,
    })
}

fn unreadable_remedy(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "let the service read it: chown root:cloudflare-mt and chmod 640 it".to_owned()
    } else {
        "replace it by a readable JSON text file".to_owned()
    }
}

fn syntax_remedy(what: &str) -> String {
    let remedy = if what.contains("trailing comma") {
        "remove the comma before this place"
    } else if what.contains("expected `,`") {
        "a comma is missing before this place, or a quotation mark closed too early"
    } else if what.contains("key must be a string") {
        "write the key in double quotes; JSON has no comments"
    } else if what.contains("EOF") {
        "a closing brace, bracket or quotation mark is missing; the file may be cut off"
    } else {
        "mend the text at this place or just before it; JSON knows double quotes only and no comments"
    };
    remedy.to_owned()
}

fn report_repeated_keys(node: &Node, path: &Path, prefix: &str, severity: Severity, problems: &mut Problems) {
    match &node.data {
        Data::Object(members) => {
            for (position, (name, member)) in members.iter().enumerate() {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                let earlier = members.iter().take(position).find(|(other, _)| other == name);
                if let Some((_, earlier)) = earlier {
                    problems.add(
                        severity,
                        Code::DuplicateKey,
                        &Site::key(Place::line(path, member.line), &key),
                        format!("the key already stands at line {}", earlier.line),
                        "keep one of the two".to_owned(),
                    );
                }
                report_repeated_keys(member, path, &key, severity, problems);
            }
        }
        Data::List(items) => {
            for item in items {
                report_repeated_keys(item, path, prefix, severity, problems);
            }
        }
        _ => {}
    }
}

/// Warns when users that it is not meant for may change a file.
pub(crate) fn check_writers(path: &Path, access: Access, trusted_groups: &[u32], problems: &mut Problems) {
    let by_group = access.mode & GROUP_WRITE != 0 && !trusted_groups.contains(&access.group);
    if access.mode & OTHERS_WRITE != 0 || by_group {
        problems.warning(
            Code::WritableByOthers,
            &Site::file(path),
            format!("mode {:03o} lets other users change the file", access.mode),
            format!("chmod {:03o} it", access.mode & 0o750),
        );
    }
}

/// Warns when users that it is not meant for may read a file with secrets.
pub(crate) fn check_readers(path: &Path, access: Access, trusted_groups: &[u32], problems: &mut Problems) {
    let by_group = access.mode & GROUP_READ != 0 && !trusted_groups.contains(&access.group);
    let (who, keep) = match (access.mode & OTHERS_READ != 0, by_group) {
        (true, _) => ("every user of this host", "640"),
        (false, true) => ("the members of its group", "600"),
        (false, false) => return,
    };
    problems.warning(
        Code::ReadableByOthers,
        &Site::file(path),
        format!(
            "the file holds secrets, and mode {:03o} lets {who} read them",
            access.mode
        ),
        format!("chown root:cloudflare-mt and chmod {keep} it"),
    );
}
