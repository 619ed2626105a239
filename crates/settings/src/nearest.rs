//! The known name that somebody most probably meant.

/// The best of `candidates` for `given` (both dotted paths), if one is near enough to be meant.
///
/// Names are compared without case, hyphens and underscores (`calmPeriod`, `calm-period`). A right
/// name in a wrong section is found too; a name of the same section wins over it.
pub(crate) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (section, name) = split(given);
    let wanted = plain(name);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let (other_section, other) = split(candidate);
            let distance = strsim::osa_distance(&wanted, &plain(other));
            let foreign = section != other_section;
            // A third of the letters wrong is another word; elsewhere only the exact word counts.
            let limit = if foreign { 0 } else { (wanted.len() / 3).clamp(1, 3) };
            (distance <= limit).then_some((distance, foreign, candidate))
        })
        .min_by_key(|(distance, foreign, _)| (*foreign, *distance))
        .map(|(.., candidate)| candidate)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let names = [
            "autowithdraw.calm_period",
            "autowithdraw.settle",
            "analytics.settle",
            "telegram.bot_token",
            "telegram",
        ];
        let meant = |given| nearest(given, names);
        assert_eq!(meant("autowithdraw.calmperiod"), Some("autowithdraw.calm_period"));
        assert_eq!(meant("autowithdraw.calm_peroid"), Some("autowithdraw.calm_period"));
        assert_eq!(meant("analytics.setle"), Some("analytics.settle"));
        assert_eq!(meant("cloudflare.bot_token"), Some("telegram.bot_token"));
        assert_eq!(meant("telegramm"), Some("telegram"));
        assert_eq!(meant("autowithdraw.colour"), None);
        assert_eq!(meant("a"), None);
    }
}
