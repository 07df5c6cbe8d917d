//! Variables that compose files and platform templates for the original backend set, and that mean something else here or
//! nothing at all. Those that are simply other names of a setting stand beside it, in `settings` and `limits`.
//!
//! None is ignored silently: where data would lie elsewhere than the operator believes, the server does not start, and
//! otherwise it says what a variable does not do.

use anyhow::Result;

use crate::failure::misconfigured;
use crate::settings::Variable;

/// Databases that the original backend would use. The deprecated `DATABASE_URL` is not among them: many programs on one
/// machine share it.
const DATABASES: [&str; 2] = ["POSTGRES_URL", "MYSQL_URL"];

/// Variables without effect, and why. Left out is `DISABLE_BEACON`: nothing is ever sent, so that it has what it wants.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("DATABASE_URL", "data is kept in SQLite, in the data directory"),
    (
        "APPLICATION_MAX_CONCURRENT_QUERIES",
        "queries share the threads of --lanes with mutations, and wait for them in a queue (--queue-length)",
    ),
    (
        "APPLICATION_MAX_CONCURRENT_MUTATIONS",
        "mutations share the threads of --lanes with queries, and wait for them in a queue (--queue-length)",
    ),
    ("DASHBOARD_PORT", "there is no dashboard yet"),
];

/// Buckets that have to be named together; only the last one is used.
const BUCKETS: [&str; 5] = [
    "S3_STORAGE_EXPORTS_BUCKET",
    "S3_STORAGE_SNAPSHOT_IMPORTS_BUCKET",
    "S3_STORAGE_MODULES_BUCKET",
    "S3_STORAGE_SEARCH_BUCKET",
    "S3_STORAGE_FILES_BUCKET",
];
const REGION: &str = "AWS_REGION";

/// Refuses what would put data elsewhere than the operator believes.
///
/// # Errors
/// Names the variable.
pub(crate) fn check(variable: Variable<'_>) -> Result<()> {
    match DATABASES.iter().find(|key| is_set(variable, key)) {
        None => Ok(()),
        Some(key) => Err(misconfigured(format!(
            "{key} is set, but this server keeps its data in SQLite, in the data directory: unset {key}, and name the \
             directory with --data or DATA_DIR"
        ))),
    }
}

/// What to tell the operator of variables that do not do what their names promise, a line each.
pub(crate) fn notices(variable: Variable<'_>) -> Vec<String> {
    let mut notices: Vec<String> = WITHOUT_EFFECT
        .iter()
        .filter(|(key, _)| is_set(variable, key))
        .map(|(key, reason)| format!("{key} has no effect: {reason}"))
        .collect();
    let missing = missing_for_buckets(variable);
    if !missing.is_empty() && any_bucket(variable) {
        notices.push(format!(
            "files are kept in the data directory and not in S3, because {} {} not set; --storage s3://BUCKET/PREFIX \
             needs none of the buckets' variables",
            missing.join(", "),
            if missing.len() == 1 { "is" } else { "are" }
        ));
    }
    notices
}

/// The place for files, when all buckets and the region are named. Everything else that the original backend keeps in
/// buckets is in the data directory here.
pub(crate) fn files_place(variable: Variable<'_>) -> Option<String> {
    if !missing_for_buckets(variable).is_empty() {
        return None;
    }
    let [.., files] = BUCKETS;
    variable(files).map(|bucket| format!("s3://{bucket}"))
}

fn any_bucket(variable: Variable<'_>) -> bool {
    BUCKETS.iter().any(|key| is_set(variable, key))
}

fn missing_for_buckets(variable: Variable<'_>) -> Vec<&'static str> {
    BUCKETS.into_iter().chain([REGION]).filter(|key| !is_set(variable, key)).collect()
}

fn is_set(variable: Variable<'_>, key: &str) -> bool {
    variable(key).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |key| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn another_database_is_refused_and_an_empty_variable_is_none() {
        for key in ["POSTGRES_URL", "MYSQL_URL"] {
            let error = check(&of(&[(key, "postgres://db")])).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("--data"), "{error}");
            check(&of(&[(key, "")])).unwrap();
        }
        check(&of(&[("DATABASE_URL", "postgres://db")])).unwrap();
    }

    #[test]
    fn what_has_no_effect_is_said() {
        assert!(notices(&of(&[("DISABLE_BEACON", "true"), ("DATABASE_URL", "")])).is_empty());
        let told = notices(&of(&[("DATABASE_URL", "x"), ("APPLICATION_MAX_CONCURRENT_QUERIES", "16")]));
        assert_eq!(told.len(), 2);
        assert!(
            told[0].starts_with("DATABASE_URL has no effect: ") && told[1].contains("--lanes"),
            "{told:?}"
        );
    }

    #[test]
    fn files_go_to_a_bucket_when_all_are_named() {
        let mut all: Vec<(&str, &str)> = BUCKETS.iter().map(|key| (*key, "other")).collect();
        all[4].1 = "files";
        all.push((REGION, "eu-central-1"));
        assert_eq!(files_place(&of(&all)).as_deref(), Some("s3://files"));
        assert!(notices(&of(&all)).is_empty());
        for missing in 0..all.len() {
            let mut some = all.clone();
            let (key, _) = some.remove(missing);
            assert_eq!(files_place(&of(&some)), None);
            let told = notices(&of(&some));
            assert!(told.len() == 1 && told[0].contains(&format!("because {key} is not set")), "{told:?}");
        }
        assert!(notices(&of(&[(REGION, "eu-central-1")])).is_empty());
    }
}
