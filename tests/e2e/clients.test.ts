import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { ConvexError } from "convex/values";
import { afterEach, describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { runApp } from "../src/running-app.ts";
import { eventually, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const open: WatchedClient[] = [];

const { server, app } = await runApp("basic");

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

function connect(): WatchedClient {
  const client = new WatchedClient(server);
  open.push(client);
  return client;
}

/** Every type of value, and the numbers that JSON cannot write. */
const VALUES: unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  1.5,
  1e300,
  NaN,
  Infinity,
  -Infinity,
  0n,
  -1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  "",
  "grün 😀 \u0000",
  new Uint8Array([0, 1, 255]).buffer,
  [],
  [1, [2n, ["x"]]],
  { a: 1, "key with spaces": { nested: [null] } },
];

describe("the WebSocket client", () => {
  it("sees another client's mutation", async () => {
    const reader = connect();
    const writer = connect();
    const seen: string[][] = [];
    reader.onUpdate(api.messages.byAuthor, { author: "subscribed" }, (rows: { body: string }[]) => {
      seen.push(rows.map((row) => row.body));
    });
    await eventually("the first result", () => seen[0]);
    await writer.mutation(api.messages.send, { author: "subscribed", body: "one" });
    await eventually("the update", () => (seen.at(-1)?.includes("one") === true ? true : undefined));
    expect(seen[0]).toEqual([]);
  });

  it("carries every type of value both ways", async () => {
    const client = connect();
    for (const value of VALUES) {
      expect(await client.mutation(api.misc.store, { value })).toEqual(value);
      expect(await client.query(api.misc.echo, { value })).toEqual(value);
    }
  });

  it("has its own writes in its queries when a mutation resolves", async () => {
    const client = connect();
    let latest = -1;
    client.onUpdate(api.counters.get, { name: "own" }, (value: number) => {
      latest = value;
    });
    for (let round = 1; round <= 20; round += 1) {
      await client.mutation(api.counters.add, { name: "own", by: 1 });
      expect(latest).toBe(round);
    }
  });

  it("applies mutations in the order in which they were called", async () => {
    const client = connect();
    await Promise.all(Array.from({ length: 100 }, (_, n) => client.mutation(api.counters.append, { session: "order", n })));
    expect(await client.query(api.counters.entries, { session: "order" })).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  it("never sees half of a transaction", async () => {
    const client = connect();
    const other = connect();
    await client.mutation(api.counters.add, { name: "left", by: 100 });
    await client.mutation(api.counters.add, { name: "right", by: 100 });
    const sums = new Set<number>();
    const state: Record<string, number> = {};
    for (const name of ["left", "right"]) {
      client.onUpdate(api.counters.get, { name }, (value: number) => {
        state[name] = value;
      });
    }
    await eventually("both balances", () => ("left" in state && "right" in state ? true : undefined));
    client.client.addOnTransitionHandler(() => {
      sums.add((state.left ?? 0) + (state.right ?? 0));
    });
    for (let round = 0; round < 30; round += 1) {
      await other.mutation(api.counters.transfer, { from: "left", to: "right", amount: 1 });
      sums.add((state.left ?? 0) + (state.right ?? 0));
    }
    await eventually("the last transfer", () => (state.right === 130 ? true : undefined));
    expect([...sums]).toEqual([200]);
  });

  it("gets errors with their text, and a ConvexError with its data", async () => {
    const client = connect();
    const failure = await client.mutation(api.misc.failWithData, {}).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConvexError);
    expect((failure as ConvexError<{ code: string; max: bigint }>).data).toEqual({ code: "LIMIT", max: 10n });
    const errors: Error[] = [];
    client.onUpdate(api.misc.fail, {}, () => undefined, (error) => errors.push(error));
    const [error] = await eventually("the failure", () => (errors.length > 0 ? errors : undefined));
    expect(error?.message).toMatch(/\[Request ID: [0-9a-f]{16}\] Server Error\nUncaught Error: on purpose\n {4}at .*\.\.\/convex\/misc\.ts:\d+/);
  });

  it("is told of wrong arguments and unknown functions", async () => {
    const client = connect();
    await expect(client.mutation(api.counters.add, { name: 5 as never, by: 1 })).rejects.toThrow(
      /ArgumentValidationError: Value does not match validator\.\nPath: \.name\nValue: 5\.0\nValidator: v\.string\(\)/,
    );
    await expect(client.mutation(makeFunctionReference<"mutation">("nowhere:nothing"), {})).rejects.toThrow("Could not find public function for 'nowhere:nothing'.");
    await expect(client.query(makeFunctionReference<"query">("misc:secret"), {})).rejects.toThrow("Could not find public function for 'misc:secret'.");
    await expect(client.mutation(makeFunctionReference<"mutation">("counters:get"), { name: "x" })).rejects.toThrow(
      "Trying to execute counters.js:get as Mutation, but it is defined as Query.",
    );
  });

  it("runs actions", async () => {
    const client = connect();
    expect(await client.action(api.misc.relay, { name: "relay" })).toEqual({ value: 1, secret: "internal", random: true });
  });

  it("sees scheduled functions run", async () => {
    const client = connect();
    let rows: { body: string }[] = [];
    client.onUpdate(api.messages.byAuthor, { author: "later" }, (value: { body: string }[]) => {
      rows = value;
    });
    await client.mutation(api.messages.sendLater, { author: "later", body: "scheduled", delayMs: 50 });
    await eventually("the scheduled message", () => (rows.length === 1 ? true : undefined));
  });

  it("undoes a failed nested mutation and nothing else", async () => {
    const client = connect();
    expect(await client.mutation(api.misc.nested, { name: "nested" })).toBe("NO_ACCOUNT");
    expect(await client.query(api.counters.get, { name: "nested" })).toBe(1);
  });

  it("gets a time limit for endless code, and so does nobody else", async () => {
    const client = connect();
    const [failure, echo] = await Promise.all([
      client.query(api.misc.endless, {}).catch((error: unknown) => error),
      client.query(api.misc.echo, { value: "meanwhile" }),
    ]);
    expect(String(failure)).toContain("Function execution timed out (maximum duration: 1s)");
    expect(echo).toBe("meanwhile");
    expect(await client.query(api.misc.echo, { value: "after" })).toBe("after");
  });

  it("follows a new version of the code without reconnecting", async () => {
    const client = connect();
    const seen: unknown[] = [];
    client.onUpdate(makeFunctionReference<"query">("late:version"), {}, (value: unknown) => seen.push(value), () => seen.push("missing"));
    await eventually("the failure", () => (seen.includes("missing") ? true : undefined));
    app.write("convex/late.ts", 'import { query } from "./_generated/server";\nexport const version = query({ args: {}, handler: () => "here" });\n');
    await app.push();
    await eventually("the result", () => (seen.includes("here") ? true : undefined));
  });

  it("follows environment variables", async () => {
    const client = connect();
    const seen: unknown[] = [];
    client.onUpdate(api.misc.setting, {}, (value: unknown) => seen.push(value));
    await eventually("the first value", () => (seen.length > 0 ? true : undefined));
    await app.convex("env", "set", "SETTING", "live");
    await eventually("the new value", () => (seen.at(-1) === "live" ? true : undefined));
  });

  it("stays connected while nothing happens", async () => {
    const client = connect();
    await client.query(api.misc.echo, { value: 1 });
    await sleep(20_000);
    expect(client.client.connectionState().connectionCount).toBe(1);
    expect(client.client.connectionState().isWebSocketConnected).toBe(true);
  });
});

describe("the HTTP client", () => {
  it("runs queries, mutations and actions", async () => {
    const client = new ConvexHttpClient(server.url, { logger: false });
    for (const value of VALUES) {
      expect(await client.query(api.misc.echo, { value })).toEqual(value);
    }
    expect(await client.mutation(api.counters.add, { name: "http", by: 2 })).toBe(2);
    expect(await client.action(api.misc.relay, { name: "http" })).toMatchObject({ value: 3 });
    await expect(client.mutation(api.misc.failWithData, {})).rejects.toBeInstanceOf(ConvexError);
  });

  it("reads several queries at one timestamp", async () => {
    const client = new ConvexHttpClient(server.url, { logger: false });
    /* eslint-disable @typescript-eslint/no-deprecated -- experimental, but part of the client */
    const first = await client.consistentQuery(api.counters.get, { name: "consistent" });
    await new ConvexHttpClient(server.url, { logger: false }).mutation(api.counters.add, { name: "consistent", by: 1 });
    expect(await client.consistentQuery(api.counters.get, { name: "consistent" })).toBe(first);
    /* eslint-enable @typescript-eslint/no-deprecated */
  });
});
