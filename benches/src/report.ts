/** Statistics and tables for measurements. */

export function percentile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** One line of a table: what was measured, in which unit, and all samples. */
export interface Row {
  name: string;
  unit: string;
  samples: number[];
}

/** Prints minimum, median, p99 and maximum of each row, and each median's ratio to the first row's. */
export function printTable(title: string, rows: Row[]): void {
  console.log(`\n${title}`);
  const base = percentile(rows[0]?.samples ?? [], 0.5);
  const line = (...cells: string[]): void => {
    console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(52) : cell.padStart(11))).join(" "));
  };
  line("", "min", "p50", "p99", "max", "p50 ratio", "samples");
  for (const { name, unit, samples } of rows) {
    const show = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
    line(
      name,
      show(percentile(samples, 0)),
      show(percentile(samples, 0.5)),
      show(percentile(samples, 0.99)),
      show(percentile(samples, 1)),
      `${(percentile(samples, 0.5) / base).toFixed(2)}x`,
      String(samples.length),
    );
  }
}
