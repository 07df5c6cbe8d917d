//! How long an answer stays fresh, within bounds: a provider neither makes us ask for every token nor keep keys for ever.

use std::time::Duration;

use crate::fetch::Fetched;

/// Also for answers that are not to be cached: tokens come in bursts.
pub(crate) const FRESH_MIN: Duration = Duration::from_secs(60);
/// For answers that say nothing.
pub(crate) const FRESH_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Whatever the answer says.
pub(crate) const FRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long `answer` may be used without asking again, from its arrival on.
pub(crate) fn fresh_for(answer: &Fetched) -> Duration {
    let Some(header) = &answer.cache_control else { return FRESH_DEFAULT };
    let mut fresh = FRESH_DEFAULT;
    for directive in header.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return FRESH_MIN;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=")
            && let Ok(seconds) = seconds.trim_matches('"').parse::<u64>()
        {
            fresh = Duration::from_secs(seconds).saturating_sub(answer.age);
        }
    }
    fresh.clamp(FRESH_MIN, FRESH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(cache_control: &str, age_s: u64) -> u64 {
        let answer = Fetched {
            cache_control: Some(cache_control.to_owned()),
            age: Duration::from_secs(age_s),
            ..Fetched::default()
        };
        fresh_for(&answer).as_secs()
    }

    #[test]
    fn the_provider_decides_within_bounds() {
        assert_eq!(seconds("public, max-age=3600, must-revalidate", 0), 3600);
        assert_eq!(seconds("Max-Age=\"3600\"", 600), 3000);
        assert_eq!(seconds("max-age=0", 0), 60);
        assert_eq!(seconds("max-age=999999999", 0), 86_400);
        assert_eq!(seconds("no-store", 0), 60);
        assert_eq!(seconds("max-age=3600, no-cache", 0), 60);
        assert_eq!(seconds("max-age=soon", 0), 900);
        assert_eq!(fresh_for(&Fetched::default()), FRESH_DEFAULT);
    }
}
