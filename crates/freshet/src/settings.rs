//! From flags and environment variables to settings that hold: the flag wins, then the variable, then the default.
//!
//! An empty variable counts as unset, because compose files pass unset variables on as empty ones.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use axum::http::HeaderName;
use freshet_engine::launch::{ContextPolicy, Location, OperatorLimits};
use freshet_instance::ConfiguredCredentials;

use crate::cli::{InstanceArgs, ListenArgs};
use crate::failure::misconfigured;
use crate::ports::{self, Ports};
use crate::recipe;

/// Port of the API unless another is asked for.
pub(crate) const PORT_DEFAULT: u16 = 3210;
/// More lanes than this would only wait for each other's commits.
const LANES_MAX: usize = 256;

/// Memory for pages of the database file, unless asked for otherwise.
const CACHE_MB_DEFAULT: usize = 64;
/// Memory for vector indexes, unless asked for otherwise: about 280,000 vectors of 768 numbers.
const VECTOR_MEMORY_MB_DEFAULT: usize = 256;
/// SQLite counts in 32 bits, and nobody has a terabyte to spare.
const MB_MAX: usize = 1 << 20;
/// Memory of functions where nothing else is said, and what may be said: less holds no app, and more is beyond what V8
/// collects well.
const FUNCTION_MEMORY_MB_DEFAULT: usize = 256;
const HEAP_MB_MIN: usize = 64;
const HEAP_MB_MAX: usize = 16 * 1024;

/// Without need for a smaller one: the server's side takes no memory that depends on it.
const WINDOW_BITS_DEFAULT: u8 = 15;

/// Longer than reading a file takes most of the time.
const DELETED_FILES_KEPT_S_DEFAULT: u64 = 600;

/// Two days: long enough for a server that was down over night to go on from the log.
const LOG_RETENTION_S_DEFAULT: u64 = 2 * 24 * 3600;

/// Where an environment variable is looked up; a seam for tests.
pub(crate) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's own environment.
pub(crate) fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// How the server listens and runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenSettings {
    pub(crate) host: String,
    pub(crate) ports: Ports,
    /// Whether HTTP actions are served on the API's port only.
    pub(crate) single_port: bool,
    pub(crate) client_ip_header: Option<String>,
    pub(crate) rate_limit: Option<NonZeroU32>,
    pub(crate) api_origin: String,
    pub(crate) site_origin: String,
    pub(crate) lanes: usize,
    pub(crate) cache_mb: usize,
    pub(crate) log_retention_s: u64,
    pub(crate) storage: Option<String>,
    pub(crate) deleted_files_kept_s: u64,
    pub(crate) function_memory_mb: usize,
    pub(crate) vector_memory_mb: usize,
    pub(crate) contexts: ContextPolicy,
    /// Base-2 logarithm of the window; `None` to send everything as it is.
    pub(crate) websocket_window_bits: Option<u8>,
    pub(crate) audit_determinism: bool,
    pub(crate) log_filter: String,
    pub(crate) redact_logs_to_client: bool,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) metrics_endpoint: bool,
    pub(crate) log_json: bool,
    pub(crate) limits: OperatorLimits,
}

impl ListenSettings {
    /// Settings from flags and variables. Ports given as 0 are replaced by free ones here, because the origins,
    /// which functions see, are made of them.
    pub(crate) fn resolve(args: &ListenArgs, default_host: &str, variable: Variable<'_>) -> Result<Self> {
        let set = |key: &str| variable(key).filter(|value| !value.is_empty());
        let host = match args.host.as_deref().unwrap_or(default_host) {
            // Said here, so that everybody means the same of its two addresses: the look for a free port, too.
            "localhost" => "127.0.0.1".to_owned(),
            host => host.to_owned(),
        };
        let number = |key: &str| -> Result<Option<u16>> {
            set(key)
                .map(|text| {
                    text.parse().map_err(|_| misconfigured(format!("{key}: {text:?} is not a port number")))
                })
                .transpose()
        };
        let api = match args.port {
            Some(port) => port,
            None => number("PORT")?.unwrap_or(PORT_DEFAULT),
        };
        let site = match args.site_port {
            Some(port) => Some(port),
            None => number("SITE_PROXY_PORT")?,
        };
        let ports = ports::resolve(&host, api, site)?;

        let origin = |flag: &Option<String>, name: &str, key: &str, default: String| -> Result<String> {
            match flag.clone().or_else(|| set(key)) {
                Some(text) => parse_origin(&text).with_context(|| format!("{name} (or {key})")),
                None => Ok(default),
            }
        };
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        let api_origin = origin(&args.origin, "--origin", "CONVEX_CLOUD_ORIGIN", local(ports.api))?;
        let site_default = if args.single_port { format!("{api_origin}/http") } else { local(ports.site) };
        let site_origin = origin(&args.site_origin, "--site-origin", "CONVEX_SITE_ORIGIN", site_default)?;
        let rate_limit = match (args.rate_limit, set("FRESHET_RATE_LIMIT")) {
            (Some(limit), _) => Some(limit),
            (None, Some(text)) => Some(text.parse().map_err(|_| {
                misconfigured(format!("FRESHET_RATE_LIMIT: {text:?} is not a number of requests per second"))
            })?),
            (None, None) => None,
        };
        let client_ip_header = args.client_ip_header.clone().or_else(|| set("FRESHET_CLIENT_IP_HEADER"));
        if let Some(name) = &client_ip_header {
            name.parse::<HeaderName>().map_err(|_| {
                misconfigured(format!("--client-ip-header: {name:?} is not the name of an HTTP header"))
            })?;
        }
        let lanes = match (args.lanes, set("FRESHET_LANES")) {
            (Some(lanes), _) => lanes,
            (None, Some(text)) => text
                .parse()
                .map_err(|_| misconfigured(format!("FRESHET_LANES: {text:?} is not a number of threads")))?,
            (None, None) => std::thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX),
        };
        if lanes == 0 || lanes > LANES_MAX {
            return Err(misconfigured(format!(
                "the number of lanes must be from 1 to {LANES_MAX}, not {lanes}"
            )));
        }
        let megabytes =
            |flag: Option<usize>, name: &str, key: &str, default, range: RangeInclusive<usize>| {
                let megabytes = match (flag, set(key)) {
                    (Some(megabytes), _) => megabytes,
                    (None, Some(text)) => text
                        .parse()
                        .map_err(|_| misconfigured(format!("{key}: {text:?} is not a number of MB")))?,
                    (None, None) => default,
                };
                let (min, max) = (range.start(), range.end());
                if !range.contains(&megabytes) {
                    let text = format!("{name} (or {key}) must be from {min} to {max} MB, not {megabytes}");
                    return Err(misconfigured(text));
                }
                Ok(megabytes)
            };
        let cache_mb =
            megabytes(args.cache_mb, "--cache-mb", "FRESHET_CACHE_MB", CACHE_MB_DEFAULT, 1..=MB_MAX)?;
        let vector_memory_mb = megabytes(
            args.vector_memory_mb,
            "--vector-memory-mb",
            "FRESHET_VECTOR_MEMORY_MB",
            VECTOR_MEMORY_MB_DEFAULT,
            1..=MB_MAX,
        )?;
        let function_memory_mb = megabytes(
            args.function_memory_mb,
            "--function-memory-mb",
            "FRESHET_FUNCTION_MEMORY_MB",
            FUNCTION_MEMORY_MB_DEFAULT,
            HEAP_MB_MIN..=HEAP_MB_MAX,
        )?;
        let storage = args.storage.clone().or_else(|| set("FRESHET_STORAGE"));
        let storage =
            storage.or_else(|| recipe::files_place(variable)).map(|text| place(&text)).transpose()?;
        let seconds = |flag: Option<u64>, key: &str, default: u64| match (flag, set(key)) {
            (Some(seconds), _) => Ok(seconds),
            (None, Some(text)) => {
                text.parse().map_err(|_| misconfigured(format!("{key}: {text:?} is not a number of seconds")))
            }
            (None, None) => Ok(default),
        };
        let deleted_files_kept_s =
            seconds(args.deleted_files_kept, "FRESHET_DELETED_FILES_KEPT", DELETED_FILES_KEPT_S_DEFAULT)?;
        let log_retention_s =
            seconds(args.log_retention, "DOCUMENT_RETENTION_DELAY", LOG_RETENTION_S_DEFAULT)?;
        let switched_on = |key: &str| set(key).is_some_and(|text| text != "false" && text != "0");
        let contexts = match args.contexts.clone().or_else(|| set("FRESHET_CONTEXTS")) {
            Some(text) => text
                .parse()
                .map_err(|error| misconfigured(format!("--contexts (or FRESHET_CONTEXTS): {error}")))?,
            None => ContextPolicy::default(),
        };
        let compression = args.websocket_compression.clone().or_else(|| set("FRESHET_WEBSOCKET_COMPRESSION"));
        let metrics_listen = match args.metrics_listen.clone().or_else(|| set("FRESHET_METRICS_LISTEN")) {
            Some(text) => Some(text.parse().map_err(|_| {
                misconfigured(format!(
                    "--metrics-listen (or FRESHET_METRICS_LISTEN): {text:?} is not an address with a port, like \
                     127.0.0.1:9310"
                ))
            })?),
            None => None,
        };
        let log_json = match args.log_format.clone().or_else(|| set("FRESHET_LOG_FORMAT")).as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                return Err(misconfigured(format!(
                    "--log-format (or FRESHET_LOG_FORMAT) is `text` or `json`, not {other:?}"
                )));
            }
        };
        Ok(Self {
            metrics_listen,
            metrics_endpoint: !(args.disable_metrics_endpoint || switched_on("DISABLE_METRICS_ENDPOINT")),
            log_json,
            limits: args.limits.resolve(variable)?,
            contexts,
            websocket_window_bits: window_bits(compression.as_deref())?,
            audit_determinism: args.audit_determinism || switched_on("FRESHET_AUDIT_DETERMINISM"),
            api_origin,
            site_origin,
            single_port: args.single_port,
            client_ip_header,
            rate_limit,
            host,
            ports,
            lanes,
            cache_mb,
            log_retention_s,
            storage,
            deleted_files_kept_s,
            function_memory_mb,
            vector_memory_mb,
            log_filter: set("RUST_LOG").unwrap_or_else(|| "info".to_owned()),
            redact_logs_to_client: args.redact_logs_to_client || switched_on("REDACT_LOGS_TO_CLIENT"),
        })
    }
}

/// The data directory asked for, or `default`.
pub(crate) fn data_path(args: &InstanceArgs, default: &Path, variable: Variable<'_>) -> PathBuf {
    args.data
        .clone()
        .or_else(|| variable("DATA_DIR").filter(|value| !value.is_empty()).map(PathBuf::from))
        .unwrap_or_else(|| default.to_owned())
}

/// Name and secret that the operator has set, by flag or variable.
pub(crate) fn credentials(args: &InstanceArgs, variable: Variable<'_>) -> Result<ConfiguredCredentials> {
    ConfiguredCredentials::from_variables(|key| {
        let flag = match key {
            "INSTANCE_NAME" => &args.instance_name,
            "INSTANCE_SECRET" => &args.instance_secret,
            _ => &None,
        };
        flag.clone().or_else(|| variable(key))
    })
    .map_err(|error| misconfigured(error.to_string()))
}

/// A window that zlib can work with.
fn window_bits(text: Option<&str>) -> Result<Option<u8>> {
    match text {
        None => Ok(Some(WINDOW_BITS_DEFAULT)),
        Some("off") => Ok(None),
        Some(text) => match text.parse() {
            Ok(bits @ 9..=15) => Ok(Some(bits)),
            _ => Err(misconfigured(format!(
                "--websocket-compression (or FRESHET_WEBSOCKET_COMPRESSION) must be `off` or from 9 to 15, not {text:?}"
            ))),
        },
    }
}

/// A place for files. Folders become absolute, because the engine may run elsewhere.
fn place(text: &str) -> Result<String> {
    let location: Location =
        text.parse().map_err(|error| misconfigured(format!("--storage (or FRESHET_STORAGE): {error}")))?;
    match location {
        Location::Folder(folder) => {
            let folder = std::path::absolute(&folder)
                .with_context(|| format!("--storage (or FRESHET_STORAGE): {}", folder.display()))?;
            let text = folder.into_os_string().into_string();
            text.map_err(|_| {
                misconfigured("--storage (or FRESHET_STORAGE): the path is not Unicode text".to_owned())
            })
        }
        Location::Bucket { .. } => Ok(text.to_owned()),
    }
}

/// An origin: scheme and host, perhaps a path, without the slash at the end that people paste along.
fn parse_origin(text: &str) -> Result<String> {
    let origin = text.trim_end_matches('/');
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(origin.to_owned()),
        _ => Err(misconfigured(format!("{text:?} is not a URL that starts with http:// or https://"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &ListenArgs, variables: &[(&str, &str)]) -> Result<ListenSettings> {
        let variable =
            |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        ListenSettings::resolve(args, "127.0.0.1", &variable)
    }

    #[test]
    fn ports_and_origins_follow_from_the_api_port() {
        let settings = resolve(&ListenArgs { port: Some(4000), ..ListenArgs::default() }, &[]).unwrap();
        assert_eq!(settings.ports, Ports { api: 4000, site: 4001 });
        assert_eq!(settings.api_origin, "http://127.0.0.1:4000");
        assert_eq!(settings.site_origin, "http://127.0.0.1:4001");
    }

    #[test]
    fn flags_win_over_variables_and_empty_variables_count_as_unset() {
        let args = ListenArgs { port: Some(4000), ..ListenArgs::default() };
        assert_eq!(resolve(&args, &[("PORT", "5000")]).unwrap().ports.api, 4000);
        assert_eq!(resolve(&ListenArgs::default(), &[("PORT", "5000")]).unwrap().ports.api, 5000);
        let unset = [("PORT", ""), ("CONVEX_CLOUD_ORIGIN", ""), ("RUST_LOG", ""), ("FRESHET_LANES", "")];
        assert_eq!(resolve(&ListenArgs::default(), &unset).unwrap().ports.api, PORT_DEFAULT);
    }

    #[test]
    fn an_origin_loses_its_trailing_slash_and_must_be_a_web_address() {
        let origin = |text: &str| {
            resolve(&ListenArgs::default(), &[("CONVEX_CLOUD_ORIGIN", text)])
                .map(|settings| settings.api_origin)
        };
        assert_eq!(origin("https://api.example/").unwrap(), "https://api.example");
        for text in ["api.example", "ftp://api.example", "https://", "http://a b"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn with_a_single_port_http_actions_are_below_the_api() {
        let origin = Some("https://a.example/base".to_owned());
        let settings =
            resolve(&ListenArgs { single_port: true, origin, ..ListenArgs::default() }, &[]).unwrap();
        assert_eq!(settings.site_origin, "https://a.example/base/http");
    }

    #[test]
    fn what_a_proxy_says_is_believed_in_one_well_named_header() {
        let named =
            |name: &str| ListenArgs { client_ip_header: Some(name.to_owned()), ..ListenArgs::default() };
        assert!(resolve(&named("X-Forwarded-For"), &[]).is_ok());
        assert!(resolve(&named("not a header"), &[]).is_err());
        assert!(resolve(&ListenArgs::default(), &[("FRESHET_RATE_LIMIT", "0")]).is_err());
    }

    #[test]
    fn compression_is_on_unless_turned_off_and_has_a_window_that_exists() {
        let bits = |text: Option<&str>| {
            let args = ListenArgs { websocket_compression: text.map(str::to_owned), ..ListenArgs::default() };
            resolve(&args, &[]).map(|settings| settings.websocket_window_bits)
        };
        assert_eq!(bits(None).unwrap(), Some(15));
        assert_eq!(bits(Some("off")).unwrap(), None);
        assert_eq!(bits(Some("9")).unwrap(), Some(9));
        for text in ["8", "16", "on", ""] {
            assert!(bits(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn localhost_means_one_address() {
        let args = ListenArgs { host: Some("localhost".to_owned()), ..ListenArgs::default() };
        assert_eq!(resolve(&args, &[]).unwrap().host, "127.0.0.1");
    }

    #[test]
    fn unusable_numbers_name_the_variable() {
        let error = resolve(&ListenArgs::default(), &[("PORT", "http")]).unwrap_err();
        assert_eq!(error.to_string(), "PORT: \"http\" is not a port number");
        assert!(resolve(&ListenArgs::default(), &[("FRESHET_LANES", "0")]).is_err());
        let error = resolve(&ListenArgs::default(), &[("FRESHET_CACHE_MB", "much")]).unwrap_err();
        assert_eq!(error.to_string(), "FRESHET_CACHE_MB: \"much\" is not a number of MB");
        assert!(resolve(&ListenArgs { cache_mb: Some(0), ..ListenArgs::default() }, &[]).is_err());
    }

    #[test]
    fn the_cache_is_the_flags_or_the_variables_or_a_default() {
        let cache = |flag, variables: &[(&str, &str)]| {
            resolve(&ListenArgs { cache_mb: flag, ..ListenArgs::default() }, variables).unwrap().cache_mb
        };
        assert_eq!(cache(Some(7), &[("FRESHET_CACHE_MB", "8")]), 7);
        assert_eq!(cache(None, &[("FRESHET_CACHE_MB", "8")]), 8);
        assert_eq!(cache(None, &[("FRESHET_CACHE_MB", "")]), CACHE_MB_DEFAULT);
        let vectors = |variables: &[(&str, &str)]| resolve(&ListenArgs::default(), variables);
        assert_eq!(vectors(&[]).unwrap().vector_memory_mb, VECTOR_MEMORY_MB_DEFAULT);
        assert_eq!(vectors(&[("FRESHET_VECTOR_MEMORY_MB", "9")]).unwrap().vector_memory_mb, 9);
        let error = vectors(&[("FRESHET_VECTOR_MEMORY_MB", "0")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--vector-memory-mb (or FRESHET_VECTOR_MEMORY_MB) must be from 1 to 1048576 MB, not 0"
        );
    }

    #[test]
    fn the_log_is_kept_for_two_days_unless_told_otherwise() {
        let kept = |flag, variables: &[(&str, &str)]| {
            resolve(&ListenArgs { log_retention: flag, ..ListenArgs::default() }, variables)
                .map(|settings| settings.log_retention_s)
        };
        assert_eq!(kept(None, &[]).unwrap(), 172_800);
        assert_eq!(kept(None, &[("DOCUMENT_RETENTION_DELAY", "60")]).unwrap(), 60);
        assert_eq!(kept(Some(7), &[("DOCUMENT_RETENTION_DELAY", "60")]).unwrap(), 7);
        let error = kept(None, &[("DOCUMENT_RETENTION_DELAY", "2 days")]).unwrap_err();
        assert_eq!(error.to_string(), "DOCUMENT_RETENTION_DELAY: \"2 days\" is not a number of seconds");
    }

    #[test]
    fn memory_of_functions_is_the_operators_to_choose_within_bounds() {
        let args = ListenArgs { function_memory_mb: Some(100), ..ListenArgs::default() };
        let settings = resolve(&args, &[]).unwrap();
        assert_eq!(settings.function_memory_mb, 100);
        let error = resolve(&ListenArgs::default(), &[("FRESHET_FUNCTION_MEMORY_MB", "1")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--function-memory-mb (or FRESHET_FUNCTION_MEMORY_MB) must be from 64 to 16384 MB, not 1"
        );
    }
}
