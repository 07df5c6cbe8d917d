import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { ConvexHttpClient } from "convex/browser";
import { describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { TestApp } from "../src/app.ts";
import { FreshetServer } from "../src/server.ts";

/** The machine's own Node: the first on the PATH that does not come out of an npm package. */
function systemNode(): string {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, "node");
    if (!folder.includes("node_modules") && existsSync(path)) {
      return path;
    }
  }
  throw new Error("there is no Node on the PATH");
}

describe("an engine on the machine's own Node", () => {
  it("does what it does on the pinned one", async () => {
    const node = systemNode();
    const server = await FreshetServer.start({ env: { FRESHET_NODE: node } });
    const app = new TestApp(server, "basic");
    try {
      const running = execFileSync("ps", ["-o", "args=", "-p", String(server.enginePid())], { encoding: "utf8" });
      expect(running.startsWith(node)).toBe(true);
      await app.push();
      const client = new ConvexHttpClient(server.url, { logger: false });
      expect(await client.mutation(api.counters.add, { name: "node", by: 2 })).toBe(2);
      expect(await client.query(api.counters.get, { name: "node" })).toBe(2);
      expect(await client.action(api.misc.relay, { name: "node" })).toEqual({ value: 3, secret: "internal", random: true });
      expect(await client.mutation(api.misc.nested, { name: "node" })).toBe("NO_ACCOUNT");
      await expect(client.query(api.misc.endless, {})).rejects.toThrow("Function execution timed out");
      const response = await fetch(`${server.siteUrl}/echo`, { method: "POST", body: "a" });
      expect(await response.text()).toBe("A");
    } finally {
      app.delete();
      await server.stop();
    }
  });
});
