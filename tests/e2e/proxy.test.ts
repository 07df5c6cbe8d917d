/** Everything on one port and below a path, as behind a proxy: directly, and through Caddy where it is installed. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ConvexHttpClient } from "convex/browser";
import { describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { runApp } from "../src/running-app.ts";
import { eventually, freePort } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const hasCaddy = spawnSync("caddy", ["version"]).status === 0;

const proxyPort = await freePort();
const { server } = await runApp("basic", {
    singlePort: true,
    args: ["--origin", `http://127.0.0.1:${proxyPort}/backend`, "--client-ip-header", "x-forwarded-for"],
  });

let uses = 0;

/** What an app does: subscriptions, mutations, HTTP calls, HTTP actions that stream. */
async function use(url: string): Promise<void> {
  uses += 1;
  const name = `proxy ${uses}`;
  const client = new WatchedClient(server, { url });
  let latest = -1;
  client.onUpdate(api.counters.get, { name }, (value: number) => {
    latest = value;
  });
  await client.mutation(api.counters.add, { name, by: 2 });
  expect(latest).toBe(2);
  const http = new ConvexHttpClient(url, { logger: false });
  expect(await http.query(api.counters.get, { name })).toBe(2);
  await http.mutation(api.counters.add, { name, by: 3 });
  await eventually("the other client's mutation", () => (latest === 5 ? true : undefined));
  const response = await fetch(`${url}/http/ticks`);
  expect(await response.text()).toContain("tick 4");
  await client.close();
}

describe("one port", () => {
  it("serves everything at its root and below the path of its origin", async () => {
    await use(server.url);
    await use(`${server.url}/backend`);
  });

  it("tells functions the address below which HTTP actions are", async () => {
    const page = await fetch(`${server.url}/backend/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "misc:site", args: {} }),
    });
    expect(((await page.json()) as { value: string }).value).toBe(`http://127.0.0.1:${proxyPort}/backend/http`);
  });

  for (const [what, directive] of [
    ["leaves the path", "handle"],
    ["removes the path", "handle_path"],
  ] as const) {
    it.skipIf(!hasCaddy)(`works through a Caddy that ${what}`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "freshet-caddy-"));
      writeFileSync(
        join(folder, "Caddyfile"),
        `{\n  admin off\n  auto_https off\n}\nhttp://127.0.0.1:${proxyPort} {\n  ${directive} /backend/* {\n    reverse_proxy 127.0.0.1:${server.port}\n  }\n}\n`,
      );
      const caddy: ChildProcess = spawn("caddy", ["run", "--config", join(folder, "Caddyfile"), "--adapter", "caddyfile"], {
        stdio: "ignore",
        env: { ...process.env, HOME: folder },
      });
      try {
        const url = `http://127.0.0.1:${proxyPort}/backend`;
        await eventually("Caddy", async () => ((await fetch(`${url}/version`).catch(() => undefined))?.ok === true ? true : undefined));
        await use(url);
      } finally {
        const ended = new Promise((resolve) => caddy.once("exit", resolve));
        caddy.kill();
        await ended;
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
