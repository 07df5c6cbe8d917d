/** The crates.io client, current and older: its tests are a crate of their own, and what it is shown is watched. */

import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { run } from "../src/program.ts";
import { FreshetServer } from "../src/server.ts";
import { installed } from "../src/tools.ts";
import { WatchingProxy } from "../src/watching-proxy.ts";

const MANIFEST = resolve(import.meta.dirname, "../rust/Cargo.toml");
const TARGET = installed("rust-client", "the crates.io client is");

describe.runIf(TARGET !== undefined)("the Rust client", () => {
  let server: FreshetServer;
  let app: TestApp;

  beforeAll(async () => {
    server = await FreshetServer.start();
    app = new TestApp(server, "basic");
    await app.push();
  });

  afterAll(async () => {
    app.delete();
    await server.stop();
  });

  it("passes its tests, and is shown only what was", { timeout: 300_000 }, async () => {
    const proxy = await WatchingProxy.before(server);
    const env = { FRESHET_URL: proxy.url, CARGO_TARGET_DIR: TARGET ?? "" };
    const { code, output } = await run("cargo", ["test", "--manifest-path", MANIFEST, "--tests"], { env });
    expect(code, output).toBe(0);
    await proxy.stop();
    expect(proxy.watch.compared).toBeGreaterThan(20);
  });
});
