/**
 * SQLite in this process: better-sqlite3, with the binary that its npm package carries, or else Node's own `node:sqlite`.
 * Both have the same `prepare`, `get`, `all`, `run` and `exec`.
 *
 * The parent decides by trying, because a binary that does not fit may end the process instead of throwing.
 */

import process from "node:process";

/** Opens a file; with the same care for durability as Freshet. */
export async function open(driver, path) {
  const database = await connect(driver, path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  return database;
}

async function connect(driver, path) {
  switch (driver) {
    case "better-sqlite3": {
      const { default: Database } = await import("better-sqlite3");
      return new Database(path);
    }
    case "node:sqlite": {
      const { DatabaseSync } = await import("node:sqlite");
      return new DatabaseSync(path);
    }
    default:
      throw new Error(`there is no driver "${driver}"`);
  }
}

// `node database.mjs DRIVER` tells whether it works here.
if (process.argv[1] === import.meta.filename) {
  const database = await connect(process.argv[2], ":memory:");
  console.log(database.prepare("SELECT sqlite_version() AS version").get().version);
}
