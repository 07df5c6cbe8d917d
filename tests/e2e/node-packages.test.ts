/** npm packages that `"use node"` modules import without bundling them (`node.externalPackages` in convex.json). */

import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { Calls } from "../src/calls.ts";
import { FreshetServer } from "../src/server.ts";

let server: FreshetServer | undefined;
let app: TestApp | undefined;

afterEach(async () => {
  app?.delete();
  await server?.stop();
});

/** The app with a package of its own, as the CLI looks for it. */
function appWithPackage(target: FreshetServer): TestApp {
  const made = new TestApp(target, "packages");
  made.write("package.json", JSON.stringify({ private: true, type: "module", dependencies: { convex: "*", ws: "8.18.3" } }));
  mkdirSync(join(made.dir, "node_modules"));
  symlinkSync(resolve(import.meta.dirname, "../../node_modules/ws"), join(made.dir, "node_modules/ws"));
  return made;
}

it("are installed once by the server, at the versions that the app has", async () => {
  server = await FreshetServer.start();
  app = appWithPackage(server);
  await app.push();
  const calls = new Calls(server);
  const { url, port } = await calls.action<{ url: string; port: boolean }>("sockets:origin");
  expect(url).toContain("/node-packages/");
  expect(port).toBe(true);
  await app.push();
  expect(readdirSync(join(server.dataDir, "node-packages"))).toHaveLength(1);
  // They survive a restart with the data, and are fetched anew where they are missing.
  server.killEngine();
  await server.answering();
  expect((await calls.action<{ port: boolean }>("sockets:origin")).port).toBe(true);
});

it("need not be installed when they are bundled, whatever they require of Node", async () => {
  server = await FreshetServer.start();
  app = appWithPackage(server);
  app.remove("convex.json");
  await app.push();
  expect((await new Calls(server).action<{ port: boolean }>("sockets:origin")).port).toBe(true);
});

it("fail the push with what npm says where they cannot be installed", async () => {
  server = await FreshetServer.start({
    env: { npm_config_registry: "http://127.0.0.1:1", npm_config_fetch_retries: "0", npm_config_cache: "/nonexistent/cache" },
  });
  app = appWithPackage(server);
  const { code, output } = await app.convex("dev", "--once", "--typecheck", "disable");
  expect(code).not.toBe(0);
  expect(output).toContain("npm could not install the packages of `node.externalPackages`");
  expect(readdirSync(join(server.dataDir, "node-packages"))).toEqual([]);
});
