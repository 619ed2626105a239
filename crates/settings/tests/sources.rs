//! Where values come from, which source wins, who may read the files, and what is needed by whom.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{Folder, repository};
use secrecy::ExposeSecret;
use settings::{
    Code, ConfigReport, EXIT_BAD_CONFIG, Environment, Keep, LoadOptions, Mode, Need, Origin, Place, Severity, load,
    print_config, print_provenance,
};

const MINIMAL: &str = r#"{"cloudflare": {
    "account_id": "0123456789abcdef0123456789abcdef",
    "api_token": "example-token-of-the-file"
}}"#;

fn codes(report: &ConfigReport, severity: Severity) -> Vec<Code> {
    report
        .problems
        .iter()
        .filter(|problem| problem.severity == severity)
        .map(|problem| problem.code)
        .collect()
}

#[test]
fn the_folder_is_the_given_one_then_the_variables_then_the_default() {
    let mut options = LoadOptions::default();
    assert_eq!(options.directory(), Path::new("/etc/cloudflare-mt"));
    let variables = &mut options.environment.variables;
    variables.insert("CLOUDFLARE_MT_CONFIG_DIR".to_owned(), "/srv/mt".to_owned());
    assert_eq!(options.directory(), Path::new("/srv/mt"));
    options.config_dir = Some(PathBuf::from("/tmp/mt"));
    assert_eq!(options.directory(), Path::new("/tmp/mt"));
}

#[test]
fn a_secret_comes_from_the_first_source_that_has_it() {
    let mut folder = Folder::with(
        r#"{"cloudflare": {
            "account_id": "0123456789abcdef0123456789abcdef",
            "api_token_file": "token"
        }}"#,
    );
    folder.write("token", "from-the-key\n");
    let token = |folder: &Folder| {
        let loaded = load(&folder.options(&[])).unwrap();
        let token = loaded.settings.cloudflare.api_token.clone().unwrap();
        let origin = loaded.provenance.of("cloudflare.api_token").unwrap();
        (token.expose_secret().to_owned(), origin.clone())
    };
    let path = folder.path().join("token");
    assert_eq!(token(&folder), ("from-the-key".to_owned(), Origin::SecretFile { path }));

    folder.write("credentials/cloudflare.api_token", "from-the-credential\n");
    let credentials = folder.path().join("credentials").display().to_string();
    folder.variables.insert("CREDENTIALS_DIRECTORY".to_owned(), credentials);
    let name = "cloudflare.api_token";
    assert_eq!(
        token(&folder),
        ("from-the-credential".to_owned(), Origin::Credential { name })
    );

    folder.write("other", "from-the-file-variable");
    let name = "CLOUDFLARE_MT_CLOUDFLARE_API_TOKEN_FILE".to_owned();
    folder.variables.insert(name, "other".to_owned());
    let path = folder.path().join("other");
    assert_eq!(
        token(&folder),
        ("from-the-file-variable".to_owned(), Origin::SecretFile { path })
    );

    let name = "CLOUDFLARE_MT_CLOUDFLARE_API_TOKEN".to_owned();
    folder.variables.insert(name.clone(), "from-the-variable".to_owned());
    assert_eq!(
        token(&folder),
        ("from-the-variable".to_owned(), Origin::Variable { name })
    );
}

#[test]
fn every_value_knows_its_origin() {
    let mut folder = Folder::with(
        "{\n\"cloudflare\": {\n\"account_id\": \"0123456789abcdef0123456789abcdef\",\n\"api_token\": \"example-token\"\n},\n\"autowithdraw\": {\n\"mode\": \"act\",\n\"settle\": \"4m\"\n}\n}\n",
    );
    folder
        .variables
        .insert("CLOUDFLARE_MT_AUTOWITHDRAW_MODE".to_owned(), "paused".to_owned());
    let loaded = load(&folder.options(&[])).unwrap();
    assert_eq!(loaded.settings.autowithdraw.mode, Mode::Paused);
    let table = print_provenance(&loaded);
    let line = |key: &str| {
        let line = table.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("autowithdraw.mode"),
        "autowithdraw.mode environment CLOUDFLARE_MT_AUTOWITHDRAW_MODE \"paused\""
    );
    assert_eq!(
        line("autowithdraw.settle"),
        "autowithdraw.settle settings.json:8 \"4m\""
    );
    assert_eq!(
        line("autowithdraw.calm_period"),
        "autowithdraw.calm_period default \"15m\""
    );
    assert_eq!(
        line("organisation.server"),
        "organisation.server host name \"mt1.example\""
    );
    assert_eq!(line("geoip.city_db"), "geoip.city_db not set null");
    assert_eq!(
        line("cloudflare.api_token"),
        "cloudflare.api_token settings.json:4 \"********\""
    );
}

#[test]
fn defaults_are_those_of_the_product() {
    let loaded = load(&Folder::with(MINIMAL).options(&[])).unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.autowithdraw.mode, Mode::Act);
    assert_eq!(settings.autowithdraw.calm_period.as_secs(), 900);
    assert_eq!(settings.autowithdraw.min_dropped_packets.0, 5_000);
    assert_eq!(settings.autowithdraw.min_dropped_bits.0, 10_000_000);
    assert_eq!(settings.autowithdraw.min_samples, 2);
    assert_eq!(settings.webhook.max_body, 1 << 20);
    assert!(!settings.webhook.allow_without_secret);
    assert_eq!(settings.database.retention.of("audit"), Keep::Forever);
    assert_eq!(settings.database.retention.of("no such table"), Keep::Forever);
    assert!(settings.telegram.is_none());
    assert!(settings.managed_prefixes().is_empty());
    assert_eq!(
        settings.geoip.city_candidates()[0],
        Path::new("/usr/share/GeoIP/GeoIP2-City.mmdb")
    );
}

#[test]
fn managed_prefixes_default_to_the_mapping() {
    let mut folder = Folder::with(MINIMAL);
    folder.write(
        "prefix_mapping.json",
        r#"{"2001:db8::/48": {}, "203.0.113.0/24": {"asn": "AS64500"}}"#,
    );
    let settings = load(&folder.options(&[])).unwrap().settings;
    let shown: Vec<String> = settings.managed_prefixes().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["203.0.113.0/24", "2001:db8::/48"]);
    assert_eq!(settings.my_prefixes(), settings.managed_prefixes());
    let prefix = settings.managed_prefixes()[0];
    assert_eq!(settings.mapped(prefix).unwrap().asn, Some(64_500));
    assert_eq!(settings.autowithdraw.direct_route(prefix), None);
}

#[test]
fn what_one_program_needs_does_not_stop_another() {
    let folder = Folder::with(MINIMAL);
    let loaded = load(&folder.options(&[Need::CloudflareApi])).unwrap();
    let codes_seen = codes(&loaded.report(), Severity::Warning);
    assert!(codes_seen.contains(&Code::NotConfigured));
    loaded.check().unwrap();
    let report = load(&folder.options(&[Need::WebhookSecret])).unwrap_err();
    assert_eq!(codes(&report, Severity::Error), [Code::MissingKey]);
    assert_eq!(report.exit_code(), EXIT_BAD_CONFIG);
}

#[test]
fn unknown_keys_warn_at_a_start_and_fail_a_check() {
    let settings = MINIMAL.replace("\"api_token\"", "\"api_tokn\": 1, \"api_token\"");
    let loaded = load(&Folder::with(&settings).options(&[])).unwrap();
    assert!(codes(&loaded.report(), Severity::Warning).contains(&Code::UnknownKey));
    let report = loaded.check().unwrap_err();
    assert_eq!(codes(&report, Severity::Error), [Code::UnknownKey]);
}

#[test]
fn files_that_others_may_read_or_change_are_named() {
    let folder = Folder::with(MINIMAL);
    let about_access = |folder: &Folder, trusted: &[u32]| -> Vec<Code> {
        let mut options = folder.options(&[]);
        options.environment.trusted_groups = trusted.to_vec();
        let loaded = load(&options).unwrap();
        codes(&loaded.report(), Severity::Warning)
            .into_iter()
            .filter(|code| matches!(code, Code::ReadableByOthers | Code::WritableByOthers))
            .collect()
    };
    let group = {
        use std::os::unix::fs::MetadataExt;
        let path = folder.path().join("settings.json");
        std::fs::metadata(path).unwrap().gid()
    };
    assert_eq!(about_access(&folder, &[]), []);
    folder.chmod("settings.json", 0o640);
    assert_eq!(about_access(&folder, &[]), [Code::ReadableByOthers]);
    assert_eq!(about_access(&folder, &[group]), []);
    folder.chmod("settings.json", 0o644);
    assert_eq!(about_access(&folder, &[group]), [Code::ReadableByOthers]);
    folder.chmod("settings.json", 0o602);
    assert_eq!(about_access(&folder, &[]), [Code::WritableByOthers]);
    folder.chmod("settings.json", 0o620);
    assert_eq!(about_access(&folder, &[]), [Code::WritableByOthers]);
    assert_eq!(about_access(&folder, &[group]), []);

    let mut without_secrets = Folder::with(
        r#"{"cloudflare": {
            "account_id": "0123456789abcdef0123456789abcdef", "api_token_file": "token"
        }}"#,
    );
    without_secrets.write("token", "example-token");
    without_secrets.chmod("settings.json", 0o644);
    assert_eq!(about_access(&without_secrets, &[]), []);
    without_secrets.chmod("token", 0o644);
    assert_eq!(about_access(&without_secrets, &[]), [Code::ReadableByOthers]);
}

#[test]
fn things_that_are_no_text_file_are_refused() {
    let refused = |folder: &Folder, what: &str| {
        let report = load(&folder.options(&[])).unwrap_err();
        assert_eq!(report.problems.len(), 1, "{report}");
        assert!(report.problems[0].what.contains(what), "{report}");
        report.problems[0].code
    };
    let folder = Folder::new();
    assert_eq!(refused(&folder, "no settings.json"), Code::FileMissing);
    std::fs::create_dir(folder.path().join("settings.json")).unwrap();
    assert_eq!(refused(&folder, "not a regular file"), Code::FileUnreadable);
    let folder = Folder::with(&" ".repeat((1 << 20) + 1));
    assert_eq!(refused(&folder, "larger than 1 MiB"), Code::FileUnreadable);
    std::fs::write(folder.path().join("settings.json"), b"{\"a\": \"\xff\"}").unwrap();
    assert_eq!(refused(&folder, "not UTF-8"), Code::FileUnreadable);

    let nowhere = LoadOptions {
        config_dir: Some(PathBuf::from("/nonexistent/mt")),
        ..LoadOptions::default()
    };
    let report = load(&nowhere).unwrap_err();
    assert_eq!(codes(&report, Severity::Error), [Code::FileMissing]);
    assert!(report.problems[0].what.contains("folder does not exist"));
}

#[test]
fn the_shipped_examples_name_their_placeholders_and_nothing_else() {
    let example = |name: &str| std::fs::read_to_string(repository().join("config").join(name));
    let settings = example("settings.json.example").unwrap();
    let mapping = example("prefix_mapping.json.example").unwrap();
    let needs = [Need::CloudflareApi, Need::WebhookSecret];

    let mut folder = Folder::with(&settings);
    folder.write("prefix_mapping.json", &mapping);
    let report = load(&folder.options(&needs)).unwrap_err();
    assert_eq!(codes(&report, Severity::Error), [Code::Placeholder; 7], "{report}");
    assert_eq!(codes(&report, Severity::Warning), [], "{report}");

    let id = "0123456789abcdef0123456789abcdef";
    let settings = settings
        .replace("REPLACE_ME_ACCOUNT_ID", id)
        .replace("REPLACE_ME_API_TOKEN", "example-token-0123456789")
        .replace("REPLACE_ME_WEBHOOK_SECRET", "example-secret-0123456789")
        .replace("REPLACE_ME_BOT_TOKEN", "123456789:example-bot-token-not-a-real-one-01")
        .replace("REPLACE_ME_CHAT_ID", "-1001234567890");
    let mapping = mapping
        .replace("REPLACE_ME_PREFIX_ID", id)
        .replace("REPLACE_ME_BGP_PREFIX_ID", id);
    folder.write("settings.json", &settings);
    folder.write("prefix_mapping.json", &mapping);
    let loaded = load(&folder.options(&needs)).unwrap();
    assert_eq!(loaded.warnings, [], "{}", loaded.report());
    assert_eq!(loaded.settings.autowithdraw.mode, Mode::DryRun);
    loaded.check().unwrap();
}

#[test]
fn a_printed_configuration_is_refused_where_secrets_are_masked() {
    let folder = Folder::with(MINIMAL);
    let settings = load(&folder.options(&[])).unwrap().settings;
    let printed = Folder::with(&print_config(&settings));
    let report = load(&printed.options(&[])).unwrap_err();
    assert_eq!(codes(&report, Severity::Error), [Code::MaskedSecret]);
    assert!(matches!(report.problems[0].place, Place::File { line: Some(4), .. }));
}

#[test]
fn the_report_is_json_with_the_same_words() {
    let report = load(&Folder::with("{}").options(&[])).unwrap_err();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["problems"][0]["code"], "config.missing_key");
    assert_eq!(json["problems"][0]["severity"], "error");
    assert_eq!(json["problems"][0]["key"], "cloudflare.account_id");
}

#[test]
fn the_process_environment_holds_ours_only() {
    let environment = Environment::of_process();
    assert!(
        environment
            .variables
            .keys()
            .all(|name| name.starts_with("CLOUDFLARE_MT_") || name == "CREDENTIALS_DIRECTORY")
    );
    assert!(environment.trusted_groups.contains(&0));
}
