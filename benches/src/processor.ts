/** Processor time and memory of processes, from Linux's `/proc`; elsewhere nothing is known. */

import { readdirSync, readFileSync } from "node:fs";

/** The kernel shows times in hundredths of a second on every common architecture. */
const TICK_US = 10_000;

/** User and system time of a process and its living descendants, all threads, in microseconds. */
export function processorTimeUs(root: number): number {
  const processes = new Map<number, { parent: number; us: number }>();
  for (const name of list()) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      processes.set(Number(name), { parent: Number(fields[1]), us: (Number(fields[11]) + Number(fields[12])) * TICK_US });
    } catch {
      // It has ended meanwhile.
    }
  }
  let sum = 0;
  for (const [pid, { us }] of processes) {
    for (let at: number | undefined = pid; at !== undefined && at !== 0; at = processes.get(at)?.parent) {
      if (at === root) {
        sum += us;
        break;
      }
    }
  }
  return processes.has(root) ? sum : NaN;
}

function list(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}
