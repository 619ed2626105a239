//! `prefix_mapping.json` in the three shapes that the predecessor read, shipped and documented.
//!
//! An object from network to entry, with or without a `prefixes` object around it; the parent's id
//! is called `prefix_id`, `parent_prefix_id` or `id`. All of them are read alike.

use domain::ids::{BgpPrefixId, PrefixId};
use domain::prefix::Prefix;

use crate::files::Document;
use crate::json::{Data, Node};
use crate::keys::Kind;
use crate::model::MappedPrefix;
use crate::nearest::nearest;
use crate::report::{Code, Place};
use crate::site::{Problems, Site, cut};
use crate::values::{identifier_is_clean, is_placeholder, read_prefix, report_overlaps};

/// Name of the file.
pub(crate) const MAPPING_FILE: &str = "prefix_mapping.json";

/// The names of the parent's id, the one we write first.
const PARENT_NAMES: [&str; 3] = ["prefix_id", "parent_prefix_id", "id"];

const MEMBERS: [&str; 7] = [
    "prefix_id",
    "parent_prefix_id",
    "id",
    "bgp_prefix_id",
    "description",
    "asn",
    "note",
];

/// The entries in file order; those with problems are left out (and the problems are errors).
pub(crate) fn read(document: &Document, problems: &mut Problems) -> Vec<MappedPrefix> {
    let wrapper = document.root.member("prefixes");
    if let Some(wrapper) = wrapper
        && !matches!(wrapper.data, Data::Object(_))
    {
        problems.error(
            Code::WrongType,
            &Site::key(Place::line(&document.path, wrapper.line), "prefixes"),
            format!(
                "an object from network to entry is expected, found {}",
                wrapper.data.found()
            ),
            "write { \"prefixes\": { \"203.0.113.0/24\": { … } } }",
        );
        return Vec::new();
    }
    if wrapper.is_some() {
        report_outside(document, problems);
    }
    let Data::Object(members) = &wrapper.unwrap_or(&document.root).data else {
        return Vec::new();
    };
    let mut entries: Vec<MappedPrefix> = Vec::new();
    let mut found: Vec<(Prefix, Site)> = Vec::new();
    let mut bgp_ids: Vec<(BgpPrefixId, Prefix)> = Vec::new();
    for (position, (name, node)) in members.iter().enumerate() {
        if is_comment(name) {
            continue;
        }
        let site = Site::key(Place::line(&document.path, node.line), name);
        let prefix = read_prefix(Kind::Prefixes, name, &site, problems);
        let entry = Entry { node, site: &site };
        let Some(prefix) = prefix else {
            continue;
        };
        // The very same key twice has been reported as such.
        if !members.iter().take(position).any(|(other, _)| other == name) {
            found.push((prefix, site.clone()));
        }
        let Some(mapped) = entry.read(prefix, problems) else {
            continue;
        };
        if let Some(id) = &mapped.bgp_prefix_id {
            match bgp_ids.iter().find(|(other, _)| same_id(other.as_str(), id.as_str())) {
                // Acting on one of them would act on the other.
                Some((_, other)) => problems.error(
                    Code::Contradiction,
                    &site,
                    format!("{other} has the same bgp_prefix_id: a withdrawal of one would withdraw the other"),
                    "correct the id, or remove it and let it be discovered",
                ),
                None => bgp_ids.push((id.clone(), prefix)),
            }
        }
        entries.push(mapped);
    }
    report_overlaps(&found, problems);
    entries
}

/// JSON has no comments: an underscore in front marks one.
fn is_comment(name: &str) -> bool {
    name.starts_with('_') || name == "$schema"
}

fn report_outside(document: &Document, problems: &mut Problems) {
    let Data::Object(members) = &document.root.data else {
        return;
    };
    for (name, node) in members {
        if name == "prefixes" || is_comment(name) {
            continue;
        }
        let site = Site::key(Place::line(&document.path, node.line), name);
        if name.contains('/') {
            problems.error(
                Code::Contradiction,
                &site,
                "this network stands beside \"prefixes\", so it would not be read",
                "move it into \"prefixes\"",
            );
        } else {
            problems.warning(
                Code::UnknownKey,
                &site,
                "nothing reads this key, so it has no effect",
                "remove it",
            );
        }
    }
}

struct Entry<'a> {
    node: &'a Node,
    site: &'a Site,
}

impl Entry<'_> {
    fn read(&self, prefix: Prefix, problems: &mut Problems) -> Option<MappedPrefix> {
        let Data::Object(members) = &self.node.data else {
            problems.error(
                Code::WrongType,
                self.site,
                format!("an entry is an object, found {}", self.node.data.found()),
                "write { \"description\": \"…\" }; ids may be left out and are discovered",
            );
            return None;
        };
        for (name, member) in members {
            if !MEMBERS.contains(&name.as_str()) && !is_comment(name) {
                let meant = nearest(name, MEMBERS);
                problems.warning(
                    Code::UnknownKey,
                    &self.part(name, member),
                    "nothing reads this key, so it has no effect",
                    meant.map_or_else(
                        || format!("remove it; an entry has {}", MEMBERS.join(", ")),
                        |meant| format!("did you mean {meant}?"),
                    ),
                );
            }
        }
        let mut good = true;
        let mut id = |name: &str| match self.node.at(name) {
            None => None,
            Some(member) => {
                let id = read_id(member, &self.part(name, member), problems);
                good &= id.is_some();
                id
            }
        };
        let parents = PARENT_NAMES.map(&mut id);
        let bgp_prefix_id = id("bgp_prefix_id").map(|id| BgpPrefixId::new(&id));
        let mut parents = parents.iter().flatten();
        let parent = parents.next();
        if parents.any(|other| parent.is_some_and(|parent| !same_id(parent, other))) {
            problems.error(
                Code::Contradiction,
                self.site,
                "prefix_id, parent_prefix_id and id mean the same and are different here",
                "keep the right one as prefix_id",
            );
            good = false;
        }
        let description = self.text("description", problems, &mut good);
        let note = self.text("note", problems, &mut good);
        let asn = match self.node.at("asn") {
            None => None,
            Some(member) => {
                let asn = read_asn(member, &self.part("asn", member), problems);
                good &= asn.is_some();
                asn
            }
        };
        good.then_some(MappedPrefix {
            prefix,
            prefix_id: parent.map(|id| PrefixId::new(id)),
            bgp_prefix_id,
            description,
            asn,
            note,
        })
    }

    fn part(&self, name: &str, member: &Node) -> Site {
        self.site.part(&format!(".{name}"), member, cut(&member.compact()))
    }

    /// An optional text; an empty one counts as absent.
    fn text(&self, name: &str, problems: &mut Problems, good: &mut bool) -> Option<String> {
        let member = self.node.at(name)?;
        match &member.data {
            Data::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            other => {
                problems.error(
                    Code::WrongType,
                    &self.part(name, member),
                    format!("a text is expected, found {}", other.found()),
                    "write it in quotation marks",
                );
                *good = false;
                None
            }
        }
    }
}

/// Cloudflare writes an id with or without hyphens; case has no meaning.
fn same_id(one: &str, other: &str) -> bool {
    let plain = |id: &str| id.replace('-', "").to_lowercase();
    plain(one) == plain(other)
}

fn read_id(node: &Node, site: &Site, problems: &mut Problems) -> Option<String> {
    let Data::Text(text) = &node.data else {
        problems.error(
            Code::WrongType,
            site,
            format!("an identifier as text is expected, found {}", node.data.found()),
            "write it in quotation marks, or remove it: it is discovered from the API",
        );
        return None;
    };
    let text = text.trim();
    if text.is_empty() {
        problems.error(
            Code::EmptyValue,
            site,
            "the id is empty",
            "remove it: it is discovered from the API",
        );
        return None;
    }
    if is_placeholder(text) {
        problems.error(
            Code::Placeholder,
            site,
            "this is the placeholder of the example",
            "put the real id in its place, or remove it: it is discovered from the API",
        );
        return None;
    }
    identifier_is_clean(text, site, problems).then(|| text.to_owned())
}

/// An AS number, as number or as text with or without `AS`.
fn read_asn(node: &Node, site: &Site, problems: &mut Problems) -> Option<u32> {
    let number = match &node.data {
        Data::Number(number) => number.as_u64(),
        Data::Text(text) => {
            let text = text.trim();
            let digits = text
                .strip_prefix("AS")
                .or_else(|| text.strip_prefix("as"))
                .unwrap_or(text);
            digits.trim().parse().ok()
        }
        _ => None,
    };
    let asn = number
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number != 0);
    if asn.is_none() {
        problems.error(
            Code::InvalidValue,
            site,
            "this is not an AS number (1 to 4294967295)",
            "write 64500 or \"AS64500\"",
        );
    }
    asn
}
