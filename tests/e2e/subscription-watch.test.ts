/** The watch over subscriptions itself: it lets an honest server pass, and catches one that shows what never was. */

import type { AddressInfo } from "node:net";
import { ConvexClient } from "convex/browser";
import { WebSocket, WebSocketServer } from "ws";
import { afterEach, describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";
import { WatchingProxy } from "../src/watching-proxy.ts";

interface Transition {
  type: string;
  startVersion: { ts: string };
  endVersion: { ts: string };
  modifications: { type: string; value?: unknown }[];
}

/** What becomes of a Transition; `undefined` when it gets lost. */
type Lie = (frame: Transition) => Transition | undefined;

const liars: WebSocketServer[] = [];

const { server } = await runApp("basic");

afterEach(() => {
  for (const liar of liars.splice(0)) {
    liar.clients.forEach((client) => {
      client.terminate();
    });
    liar.close();
  }
});

/** A server that tells lies about the Transitions of the real one. Returns its port. */
async function liar(lie: Lie): Promise<number> {
  const listener = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true });
  liars.push(listener);
  listener.on("connection", (client, request) => {
    const upstream = new WebSocket(`${server.url.replace("http", "ws")}${request.url ?? ""}`);
    const early: string[] = [];
    client.on("message", (data: Buffer) => {
      if (upstream.readyState === WebSocket.OPEN) {
        upstream.send(data.toString());
      } else {
        early.push(data.toString());
      }
    });
    upstream.on("open", () => {
      early.splice(0).forEach((text) => {
        upstream.send(text);
      });
    });
    upstream.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Transition;
      const told = frame.type === "Transition" ? lie(frame) : frame;
      if (told !== undefined) {
        client.send(JSON.stringify(told));
      }
    });
    client.on("close", () => {
      upstream.terminate();
    });
  });
  await new Promise((listening) => listener.once("listening", listening));
  return (listener.address() as AddressInfo).port;
}

let uses = 0;

/** Subscribes, and adds to the counter as often as that; returns what was shown. */
async function use(client: ConvexClient, times: number): Promise<number[]> {
  uses += 1;
  const name = `watched ${uses}`;
  const shown: number[] = [];
  client.onUpdate(api.counters.get, { name }, (value: number) => shown.push(value));
  await eventually("the first value", () => (shown.length > 0 ? true : undefined));
  const writer = new ConvexClient(server.url, { logger: false });
  for (let n = 0; n < times; n += 1) {
    await writer.mutation(api.counters.add, { name, by: 1 });
  }
  await writer.close();
  return shown;
}

/** Lies when `value` is shown. */
function about(value: number, lie: Lie): Lie {
  return (frame) => (frame.modifications.some((modification) => modification.value === value) ? lie(frame) : frame);
}

const LIES: [string, Lie, RegExp][] = [
  ["a wrong value", about(2, (frame) => ({ ...frame, modifications: frame.modifications.map((one) => ({ ...one, value: 17 })) })), /was shown \{"value":17\}, but it is \{"value":2\}/],
  ["a change that is left out", about(2, (frame) => ({ ...frame, modifications: [] })), /was shown \{"value":1\}, but it is \{"value":2\}/],
  ["a moment before the last one", about(2, (frame) => ({ ...frame, endVersion: { ...frame.endVersion, ts: "AQAAAAAAAAA=" } })), /time went back/],
  ["a Transition that gets lost", about(2, () => undefined), /newest state of every subscription; .*was shown \{"value":1\}, but it is \{"value":2\}/s],
];

describe("a watch over subscriptions", () => {
  it("lets an honest server pass, below the client and in between", async () => {
    const below = new WatchedClient(server);
    await use(below, 5);
    await below.close();
    expect(below.watch.compared).toBeGreaterThan(2);

    const proxy = await WatchingProxy.before(server);
    const client = new ConvexClient(proxy.url, { logger: false });
    await use(client, 5);
    await proxy.watch.settled();
    await client.close();
    await proxy.stop();
    // What went through is compressed; it was read all the same.
    expect(proxy.watch.compared).toBeGreaterThan(2);
    expect(proxy.watch.forgotten).toBe(0);
  });

  for (const [what, lie, complaint] of LIES) {
    it(`catches ${what}`, async () => {
      const below = new WatchedClient(server, { url: `http://127.0.0.1:${await liar(lie)}` });
      await use(below, 2);
      await expect(below.watch.settled(2000)).rejects.toThrow(complaint);
      await expect(below.close()).rejects.toThrow(complaint);

      const proxy = await WatchingProxy.before(server, { target: await liar(lie) });
      const client = new ConvexClient(proxy.url, { logger: false });
      await use(client, 2);
      await expect(proxy.watch.settled(2000)).rejects.toThrow(complaint);
      await client.close();
      await expect(proxy.stop()).rejects.toThrow(complaint);
    });
  }

  it("catches Transitions that do not join", async () => {
    const complaints: unknown[] = [];
    const proxy = await WatchingProxy.before(server, { target: await liar(about(1, (frame) => ({ ...frame, startVersion: { ...frame.startVersion, ts: "AQAAAAAAAAA=" } }))) });
    const socket = new WebSocket(`${proxy.url.replace("http", "ws")}/api/1.48.0/sync`);
    await new Promise((opened) => socket.once("open", opened));
    // Not the client itself, which throws at this.
    socket.send(JSON.stringify({ type: "Connect", sessionId: crypto.randomUUID(), connectionCount: 0, lastCloseReason: null }));
    const add = { type: "Add", queryId: 0, udfPath: "counters:get", args: [{ name: "gap" }] };
    socket.send(JSON.stringify({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [add] }));
    const first = await new Promise<Buffer>((received) => socket.once("message", received));
    expect(first.toString()).toContain("Transition");
    socket.send(JSON.stringify({ type: "Mutation", requestId: 0, udfPath: "counters:add", args: [{ name: "gap", by: 1 }] }));
    await eventually("a complaint", async () => {
      await proxy.watch.settled(100).catch((error: unknown) => complaints.push(error));
      return complaints.length > 0 ? true : undefined;
    });
    expect(String(complaints[0])).toMatch(/a Transition starts at .*, the last one ended at/);
    socket.close();
    await expect(proxy.stop()).rejects.toThrow();
  });
});
