/** A table of runs that are compared with each other, printed line by line as they end. */

import type { Outcome } from "./loadgen.ts";

const COLUMNS = ["per second", "ratio", "p50 ms", "p99 ms", "retries", "CPU us", "ratio", "client us", "others"];

export class OutcomeTable {
  #base: Outcome | undefined;

  constructor(title: string) {
    console.log(`\n${title}`);
    line("", COLUMNS);
  }

  /** Adds a run. The one called base is what ratios are to. Fails when the run did not go as it should. */
  add(name: string, outcome: Outcome, role: "base" | "compared" = "compared"): void {
    if (role === "base") {
      this.#base = outcome;
    }
    const retries = outcome.retries === null ? NaN : (outcome.retries.retries / outcome.retries.calls) * 100;
    line(name, [
      number(outcome.per_second),
      times(outcome.per_second / (this.#base?.per_second ?? NaN)),
      number(outcome.p50_ms),
      number(outcome.p99_ms),
      Number.isNaN(retries) ? "-" : `${retries.toFixed(1)} %`,
      number(outcome.server_cpu_us ?? NaN),
      times((outcome.server_cpu_us ?? NaN) / (this.#base?.server_cpu_us ?? NaN)),
      number(outcome.generator_cpu_us),
      outcome.elsewhere === null ? "-" : `${(outcome.elsewhere * 100).toFixed(0)} %`,
    ]);
    if (outcome.failed > 0) {
      throw new Error(`${outcome.failed} calls failed; the first: ${outcome.first_error}`);
    }
    if (outcome.balanced === false) {
      throw new Error("the balances do not add up");
    }
    if (outcome.refused > 0) {
      console.log(`${outcome.refused} transfers were turned down for want of funds`);
    }
  }
}

function line(name: string, cells: string[]): void {
  console.log(`${name.padEnd(46)} ${cells.map((cell) => cell.padStart(10)).join(" ")}`);
}

/** Three digits, or all of a large number. */
export function number(value: number): string {
  if (!Number.isFinite(value)) {
    return "-";
  }
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

export function times(ratio: number): string {
  return Number.isFinite(ratio) ? `${number(ratio)}x` : "-";
}
