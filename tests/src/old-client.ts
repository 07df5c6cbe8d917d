/** Older versions of the npm client, under which the same things have to work. */

import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";

const FROM = resolve(import.meta.dirname, "../old-clients/package.json");
const require = createRequire(FROM);

export interface OldClient {
  version: string;
  /** Where the package is. */
  folder: string;
  browser: typeof import("convex/browser");
  server: typeof import("convex/server");
  values: typeof import("convex/values");
}

/** Loads one of the packages in `old-clients`. */
export function oldClient(name: string): OldClient {
  const manifest = require.resolve(`${name}/package.json`);
  return {
    version: (require(manifest) as { version: string }).version,
    folder: dirname(manifest),
    browser: require(`${name}/browser`) as OldClient["browser"],
    server: require(`${name}/server`) as OldClient["server"],
    values: require(`${name}/values`) as OldClient["values"],
  };
}

/** All that are tested, the oldest first. */
export const OLD_CLIENTS = ["convex-1-28", "convex-1-34", "convex-1-40"];
