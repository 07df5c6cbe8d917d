//! Processor times, as Linux counts them in `/proc`. Elsewhere nothing is known, and the results say so.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The kernel shows times in units of 1/100 s to programs on every architecture that anybody runs this on.
const TICK: Duration = Duration::from_millis(10);

/// Times used up to one moment.
#[derive(Debug)]
pub(crate) struct Usage {
    own: Duration,
    server: Option<Duration>,
    machine: Option<Machine>,
}

#[derive(Clone, Copy, Debug)]
struct Machine {
    busy: Duration,
    /// Busy or not, of all processors together.
    all: Duration,
}

impl Usage {
    /// Now, for this process, the server's processes and the machine. Without the server's, nobody can tell how much
    /// of the machine's is somebody else's.
    pub(crate) fn now(server_pid: Option<u32>) -> Self {
        let server = server_pid.and_then(used_by_tree);
        let alone = Self::of_this_process();
        Self { server, machine: alone.machine.filter(|_| server.is_some()), ..alone }
    }

    /// Now, where this process does all the work.
    pub(crate) fn of_this_process() -> Self {
        Self {
            own: Process::read("self").map_or(Duration::ZERO, |process| process.used),
            server: None,
            machine: fs::read_to_string("/proc/stat").ok().and_then(|text| machine(&text)),
        }
    }

    pub(crate) fn own_since(&self, before: &Usage) -> Duration {
        self.own.saturating_sub(before.own)
    }

    pub(crate) fn server_since(&self, before: &Usage) -> Option<Duration> {
        Some(self.server?.saturating_sub(before.server?))
    }

    /// Share of the machine that was neither ours, nor the server's, nor idle.
    pub(crate) fn elsewhere_since(&self, before: &Usage) -> Option<f64> {
        let (now, then) = (self.machine?, before.machine?);
        let known = self.own_since(before) + self.server_since(before).unwrap_or_default();
        let busy = now.busy.saturating_sub(then.busy).saturating_sub(known);
        Some(busy.as_secs_f64() / now.all.saturating_sub(then.all).as_secs_f64().max(0.01))
    }
}

/// Resident memory of a process and all its living descendants; none if there is no such process.
pub(crate) fn resident_bytes(root: u32) -> Option<u64> {
    let resident = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some(tree(root)?.into_keys().filter_map(resident).sum::<u64>() * 1024)
}

struct Process {
    parent: u32,
    /// User and system time of all its threads, those that ended included.
    used: Duration,
}

impl Process {
    fn read(pid: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name is in parentheses and may hold anything, parentheses too.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let user: u32 = fields.nth(9)?.parse().ok()?;
        let system: u32 = fields.next()?.parse().ok()?;
        Some(Self { parent, used: TICK * user + TICK * system })
    }
}

/// The time of a process and all its living descendants; none if there is no such process.
fn used_by_tree(root: u32) -> Option<Duration> {
    Some(tree(root)?.into_values().map(|process| process.used).sum())
}

/// A process and all its living descendants; none if there is no such process.
fn tree(root: u32) -> Option<HashMap<u32, Process>> {
    let mut processes: HashMap<u32, Process> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some((name.parse().ok()?, Process::read(&name)?))
        })
        .collect();
    processes.get(&root)?;
    let belongs = |mut pid: u32| {
        while pid != root {
            match processes.get(&pid) {
                Some(process) if process.parent != 0 => pid = process.parent,
                _ => return false,
            }
        }
        true
    };
    let others: Vec<u32> = processes.keys().copied().filter(|pid| !belongs(*pid)).collect();
    for pid in others {
        processes.remove(&pid);
    }
    Some(processes)
}

/// From the first line of `/proc/stat`.
fn machine(text: &str) -> Option<Machine> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    // Guests' times, from the ninth on, are part of the first two.
    let ticks: Vec<u64> =
        line.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = ticks[..] else { return None };
    let all: u64 = ticks.iter().sum();
    let time = |ticks: u64| Duration::from_millis(10 * ticks);
    Some(Machine { busy: time(all - idle - waiting), all: time(all) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 1 0";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.parent, process.used), (7, Duration::from_secs(2)));
    }

    #[test]
    fn waiting_for_the_disk_is_idleness() {
        let machine = machine("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3\n").unwrap();
        assert_eq!((machine.busy, machine.all), (Duration::from_secs(2), Duration::from_secs(10)));
    }

    #[test]
    fn this_process_is_part_of_its_own_tree_and_not_of_a_process_that_does_not_exist() {
        assert!(used_by_tree(std::process::id()).is_some());
        assert!(used_by_tree(u32::MAX).is_none());
    }
}
