//! The engine's process and the processes that it started, as the system sees them. Only Linux tells; elsewhere these
//! families are left out, and a monitoring agent has to help.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use freshet_functions::host::{Environment, HostProcessStatistics};

use super::families::Families;

/// Writes the families.
pub(super) fn write(families: &mut Families<'_>, hosts: &[HostProcessStatistics]) -> fmt::Result {
    families.gauges(
        "freshet_build_info",
        "1; the label is the server's version.",
        [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)],
    )?;
    let own = std::process::id();
    if let Some(usage) = Usage::of(own) {
        families.gauge(
            "process_resident_memory_bytes",
            "Memory of the engine, all lanes included.",
            usage.resident_bytes,
        )?;
        families.gauge(
            "process_virtual_memory_bytes",
            "Address space of the engine.",
            usage.virtual_bytes,
        )?;
        families.seconds("process_cpu_seconds", "Processor time of the engine.", [([], usage.cpu_us)])?;
        families.gauge("process_threads", "Threads of the engine.", usage.threads)?;
        families.gauge(
            "process_start_time_seconds",
            "When the engine started, in seconds since the Unix epoch.",
            usage.started_s,
        )?;
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        families.gauge("process_open_fds", "Files and sockets that the engine holds open.", files.count())?;
    }
    families.gauges(
        "freshet_action_hosts",
        "Processes that actions run in.",
        [Environment::Isolate, Environment::Node].map(|environment| {
            let count = hosts.iter().filter(|host| host.environment == environment).count();
            ([("environment", name(environment))], count)
        }),
    )?;
    families.gauges(
        "freshet_action_hosts_resident_bytes",
        "Memory of these processes.",
        [Environment::Isolate, Environment::Node].map(|environment| {
            let of_environment = hosts.iter().filter(|host| host.environment == environment);
            let bytes: u64 = of_environment
                .filter_map(|host| Usage::of(host.pid?))
                .map(|usage| usage.resident_bytes)
                .sum();
            ([("environment", name(environment))], bytes)
        }),
    )
}

fn name(environment: Environment) -> &'static str {
    match environment {
        Environment::Isolate => "isolate",
        Environment::Node => "node",
    }
}

/// One process.
struct Usage {
    resident_bytes: u64,
    virtual_bytes: u64,
    cpu_us: u64,
    threads: u64,
    started_s: f64,
}

/// The kernel shows times in hundredths of a second on every common architecture.
const TICK_US: u64 = 10_000;
/// The unit of memory in what the kernel shows.
const KIB: u64 = 1024;

impl Usage {
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program is in brackets and may hold anything; fields are counted from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let up_s: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Some(Self {
            resident_bytes: resident.trim().trim_end_matches(" kB").parse::<u64>().ok()? * KIB,
            virtual_bytes: number(20)?,
            cpu_us: (number(11)? + number(12)?) * TICK_US,
            threads: number(17)?,
            started_s: now_s - up_s + (number(19)? * TICK_US) as f64 / 1e6,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_memory_threads_and_a_past() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 1 << 20 && usage.virtual_bytes > usage.resident_bytes);
        assert!(usage.threads >= 1);
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now_s - 86_400.0..=now_s + 1.0).contains(&usage.started_s), "{}", usage.started_s);
    }
}
