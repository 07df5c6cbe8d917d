/** Says of a goal whether it was reached, by its worst case. */

import { number } from "./outcome-table.ts";

export interface Case {
  name: string;
  value: number;
}

/** Prints one line. Cases that were not measured do not count. */
export function judge(what: string, cases: Case[], rule: "at least" | "at most" | "as it is", limit = NaN): void {
  const known = cases.filter(({ value }) => Number.isFinite(value)).sort((a, b) => a.value - b.value);
  const [low, high] = [known.at(0), known.at(-1)];
  if (low === undefined || high === undefined) {
    return;
  }
  const [worst, best] = rule === "at most" ? [high, low] : [low, high];
  const passed = rule === "at most" ? worst.value <= limit : worst.value >= limit;
  const verdict = rule === "as it is" ? "      " : passed ? "PASS  " : "SHORT ";
  const goal = rule === "as it is" ? "" : ` (goal: ${rule} ${number(limit)})`;
  console.log(`${verdict} ${what}: ${number(worst.value)} at worst (${worst.name}), ${number(best.value)} at best${goal}`);
}
