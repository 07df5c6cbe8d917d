/** Where `cargo xtask test` puts what only the tests need: Python packages, the tests of the crates.io client. */

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";

const FOLDER = process.env.FRESHET_TEST_TOOLS ?? resolve(import.meta.dirname, "../../target/xtask");

/** Where one of these is, if it is there; says aloud what is not tested otherwise. */
export function installed(path: string, purpose: string): string | undefined {
  const place = join(FOLDER, path);
  if (existsSync(place)) {
    return place;
  }
  console.warn(`!!! ${place} is missing (cargo xtask test installs it): ${purpose} NOT TESTED.`);
  return undefined;
}
