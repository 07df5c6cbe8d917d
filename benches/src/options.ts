/** Options of one benchmark, after its name on the command line. */

import process from "node:process";
import { parseArgs } from "node:util";

/** What of each option is taken: a list of numbers or words, separated by commas, or a switch. */
export type Defaults = Record<string, string | boolean>;

export class Options {
  readonly #values: Record<string, string | boolean | undefined>;

  /** Parses what follows the benchmark's name. Prints the options and ends when they are asked for or wrong. */
  constructor(usage: string, defaults: Defaults) {
    const options = Object.fromEntries(
      Object.entries({ ...defaults, help: false }).map(([name, value]) => [
        name,
        typeof value === "string" ? { type: "string" as const, default: value } : { type: "boolean" as const, default: value },
      ]),
    );
    try {
      this.#values = parseArgs({ args: process.argv.slice(3), options }).values;
    } catch (error) {
      console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
      process.exit(2);
    }
    if (this.#values.help === true) {
      console.log(usage);
      process.exit(0);
    }
  }

  switch(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string {
    return String(this.#values[name] ?? "");
  }

  words(name: string): string[] {
    return this.text(name)
      .split(/[\s,]+/)
      .filter((word) => word !== "");
  }

  numbers(name: string): number[] {
    return this.words(name).map((word) => {
      const number = Number(word);
      if (!Number.isFinite(number)) {
        console.error(`--${name}: ${word} is not a number`);
        process.exit(2);
      }
      return number;
    });
  }

  number(name: string): number {
    return this.numbers(name)[0] ?? NaN;
  }
}
