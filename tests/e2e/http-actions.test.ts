import { request } from "node:http";
import { describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";

const { server, app } = await runApp("basic", { isPushed: false });

describe("HTTP actions", () => {
  it("say that there are none before the first push", async () => {
    const response = await fetch(`${server.siteUrl}/echo`);
    expect(response.status).toBe(404);
    expect(await response.text()).toBe("This Convex deployment does not have HTTP actions enabled.");
    await app.push();
  });

  it("are served on the site port and under /http", async () => {
    for (const base of [server.siteUrl, `${server.url}/http`]) {
      const response = await fetch(`${base}/echo`, { method: "POST", body: "shout" });
      expect([response.status, await response.text(), response.headers.get("x-method"), response.headers.get("x-path")]).toEqual([
        201,
        "SHOUT",
        "POST",
        "/echo",
      ]);
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
    }
  });

  it("stream their response", async () => {
    const response = await fetch(`${server.siteUrl}/ticks`);
    const reader = response.body?.getReader();
    const arrivals: number[] = [];
    for (let piece = await reader?.read(); piece !== undefined && !piece.done; piece = await reader?.read()) {
      arrivals.push(Date.now());
    }
    expect(arrivals.length).toBeGreaterThanOrEqual(4);
    expect((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(250);
  });

  it("stream their request", async () => {
    const pieces: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const outgoing = request(`${server.siteUrl}/duplex`, { method: "POST" }, (incoming) => {
        incoming.on("data", (chunk: Buffer) => {
          pieces.push(chunk.toString());
          if (pieces.length === 1) {
            outgoing.end("second");
          }
        });
        incoming.on("end", resolve);
      });
      outgoing.on("error", reject);
      // The answer to the first piece has to come before the second is sent.
      outgoing.write("first");
    });
    expect(pieces.join("|")).toBe("first|second");
  });

  it("carry large bodies both ways in bounded memory", async () => {
    const body = "x".repeat(8 * 1024 * 1024);
    const response = await fetch(`${server.siteUrl}/duplex`, { method: "POST", body });
    expect((await response.text()).length).toBe(body.length);
  });

  it("match prefixes and reach the database", async () => {
    const response = await fetch(`${server.siteUrl}/count/web`);
    expect(await response.json()).toEqual({ name: "web", value: 1 });
  });

  it("answer what is not routed", async () => {
    const response = await fetch(`${server.siteUrl}/nowhere`);
    expect([response.status, await response.text()]).toEqual([404, "No matching routes found"]);
  });

  it("report what a handler throws", async () => {
    const response = await fetch(`${server.siteUrl}/fail`);
    expect(response.status).toBe(500);
    const body = (await response.json()) as { code: string; trace: string };
    expect(body.code).toMatch(/^\[Request ID: [0-9a-f]{16}\] Server Error: Uncaught Error: http on purpose/);
    expect(body.trace).toContain("convex/http.ts");
  });

  it("hear of a client that leaves before there is an answer, and go on", async () => {
    const count = async (name: string): Promise<number> => {
      const response = await fetch(`${server.url}/api/query`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ path: "counters:get", args: { name } }),
      });
      return ((await response.json()) as { value: number }).value;
    };
    const controller = new AbortController();
    const request = fetch(`${server.siteUrl}/silent`, { signal: controller.signal });
    const failed = expect(request).rejects.toThrow();
    await eventually("the handler to begin", async () => ((await count("silent began")) === 1 ? true : undefined));
    expect(await count("silent left")).toBe(0);
    controller.abort();
    await failed;
    await eventually("the handler to hear of it", async () => ((await count("silent left")) === 1 ? true : undefined));
  });

  it("go on when a client leaves early", async () => {
    const controller = new AbortController();
    const response = await fetch(`${server.siteUrl}/ticks`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    expect((await fetch(`${server.siteUrl}/count/after`)).status).toBe(200);
  });
});
