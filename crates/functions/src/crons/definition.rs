//! The jobs that `crons.js` declares, checked against the functions of the same push.

use std::collections::BTreeMap;

use freshet_values::FunctionPath;
use serde::Deserialize;
use serde_json::Value as Json;

use super::schedule::Schedule;
use crate::deployment::{AnalyzedCron, AnalyzedModule, CronSpec};

/// A job that cannot be: the text that the developer reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CronError(pub(crate) String);

#[derive(Deserialize)]
struct ExportedCron {
    name: String,
    #[serde(default)]
    args: Option<Json>,
    schedule: Json,
}

/// Reads the text that `crons.export()` returned, in the order of the jobs' names.
pub(crate) fn parse(export: &str) -> Result<Vec<AnalyzedCron>, CronError> {
    let jobs: BTreeMap<String, ExportedCron> = serde_json::from_str(export)
        .map_err(|error| CronError(format!("Invalid JSON returned from crons.js: {error}")))?;
    jobs.into_iter().map(|(name, job)| job.analyze(name)).collect()
}

impl ExportedCron {
    fn analyze(self, identifier: String) -> Result<AnalyzedCron, CronError> {
        if identifier.is_empty() || !identifier.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            return Err(CronError(format!(
                "Invalid cron identifier {identifier:?}: it must be made of printable ASCII characters."
            )));
        }
        let path: FunctionPath = self.name.parse().map_err(|error| {
            CronError(format!("The cron job '{identifier}' names an invalid function: {error}"))
        })?;
        let schedule = Schedule::from_export(&self.schedule)
            .map_err(|error| CronError(format!("{error} in the schedule of the cron job '{identifier}'.")))?;
        let udf_args = self.args.unwrap_or_else(|| serde_json::json!([{}]));
        if !udf_args.as_array().is_some_and(|args| args.len() == 1 && args[0].is_object()) {
            return Err(CronError(format!(
                "The arguments of the cron job '{identifier}' must be one object."
            )));
        }
        let cron_schedule =
            serde_json::from_str(&schedule.to_stored().to_json_string()).expect("an encoded value is JSON");
        Ok(AnalyzedCron {
            identifier,
            spec: CronSpec { udf_path: path.to_string(), udf_args, cron_schedule },
        })
    }
}

/// Checks that every job runs a mutation or action of the push.
pub(crate) fn check_targets(
    crons: &[AnalyzedCron],
    modules: &BTreeMap<String, AnalyzedModule>,
) -> Result<(), CronError> {
    for cron in crons {
        let shown = || shown_path(&cron.spec.udf_path);
        let (module, name) = cron.spec.udf_path.rsplit_once(':').unwrap_or((&cron.spec.udf_path, "default"));
        let function = modules
            .get(module)
            .and_then(|module| module.functions.iter().find(|function| function.name == name));
        match function.map(|function| function.udf_type.as_str()) {
            None => {
                return Err(CronError(format!(
                    "The cron job '{}' schedules a function that does not exist: {}",
                    cron.identifier,
                    shown()
                )));
            }
            Some("Mutation" | "Action") => {}
            Some(kind) => {
                return Err(CronError(format!(
                    "The cron job '{}' schedules {}, which is a {}. Only mutations and actions can be scheduled.",
                    cron.identifier,
                    shown(),
                    kind.to_lowercase()
                )));
            }
        }
    }
    Ok(())
}

fn shown_path(path: &str) -> String {
    path.parse::<FunctionPath>().map_or_else(|_| path.to_owned(), |path| path.stripped())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deployment::AnalyzedFunction;

    fn modules(kind: &str) -> BTreeMap<String, AnalyzedModule> {
        let function = AnalyzedFunction {
            name: "tick".into(),
            pos: None,
            udf_type: kind.into(),
            visibility: None,
            args: None,
            returns: None,
        };
        BTreeMap::from([(
            "messages.js".into(),
            AnalyzedModule { functions: vec![function], ..AnalyzedModule::default() },
        )])
    }

    const EXPORT: &str =
        r#"{"tick":{"name":"messages:tick","args":[{}],"schedule":{"type":"interval","minutes":1}}}"#;

    #[test]
    fn a_job_has_the_form_that_clients_expect() {
        let crons = parse(EXPORT).unwrap();
        assert_eq!(
            serde_json::to_value(&crons).unwrap(),
            json!([{"identifier": "tick", "spec": {
                "udfPath": "messages.js:tick", "udfArgs": [{}],
                "cronSchedule": {"type": "interval", "seconds": {"$integer": "PAAAAAAAAAA="}}
            }}])
        );
        check_targets(&crons, &modules("Mutation")).unwrap();
    }

    #[test]
    fn a_job_must_run_a_mutation_or_an_action_that_exists() {
        let crons = parse(EXPORT).unwrap();
        assert_eq!(
            check_targets(&crons, &BTreeMap::new()).unwrap_err().0,
            "The cron job 'tick' schedules a function that does not exist: messages:tick"
        );
        assert!(check_targets(&crons, &modules("Query")).unwrap_err().0.contains("which is a query"));
    }

    #[test]
    fn names_outside_printable_ascii_are_refused() {
        for name in ["caf\u{e9}", "", "a\\n"] {
            let export =
                format!(r#"{{"{name}":{{"name":"a:b","args":[{{}}],"schedule":{{"type":"hourly"}}}}}}"#);
            assert!(parse(&export).is_err(), "{name}");
        }
    }

    #[test]
    fn a_bad_schedule_names_the_job() {
        let export = r#"{"n":{"name":"a:b","args":[{}],"schedule":{"type":"hourly","minuteUTC":99}}}"#;
        assert_eq!(
            parse(export).unwrap_err().0,
            "minuteUTC must be 0-59 in the schedule of the cron job 'n'."
        );
    }
}
