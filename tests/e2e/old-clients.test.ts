/** Older versions of the npm client and of its command line. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { OLD_CLIENTS, oldClient } from "../src/old-client.ts";
import { AuthProvider } from "../src/provider.ts";
import { eventually, FreshetServer } from "../src/server.ts";
import { SubscriptionWatch } from "../src/subscription-watch.ts";

let server: FreshetServer;
let app: TestApp;
let provider: AuthProvider;

const oldest = oldClient(OLD_CLIENTS[0] ?? "");

beforeAll(async () => {
  [server, provider] = await Promise.all([FreshetServer.start(), AuthProvider.start("RS256")]);
  app = new TestApp(server, "basic", oldest.folder);
  app.write("convex/auth.config.ts", `export default { providers: [{ domain: "${provider.issuer}", applicationID: "app" }] };\n`);
});

afterAll(async () => {
  provider.close();
  app.delete();
  await server.stop();
});

describe(`the command line of ${oldest.version}`, () => {
  it("deploys an app that is bundled with it, and runs its functions", async () => {
    const deployed = await app.convex("deploy", "-y", "--typecheck", "disable");
    expect(deployed.code, deployed.output).toBe(0);
    const added = await app.convex("run", "counters:add", JSON.stringify({ name: "old command line", by: 2 }));
    expect([added.code, added.stdout.trim()]).toEqual([0, "2"]);
    const failed = await app.convex("run", "misc:fail");
    expect(failed.code).toBe(1);
    expect(failed.output).toContain("on purpose");
    const set = await app.convex("env", "set", "SETTING", "old");
    expect(set.code, set.output).toBe(0);
    const read = await app.convex("run", "misc:setting");
    expect(read.stdout.trim()).toBe('"old"');
    const data = await app.convex("data", "counters");
    expect(data.output).toContain("old command line");
  });
});

describe.each(OLD_CLIENTS)("%s", (name) => {
  const { version, browser, server: functions, values } = oldClient(name);
  const query = functions.makeFunctionReference<"query">;
  const mutation = functions.makeFunctionReference<"mutation">;
  const action = functions.makeFunctionReference<"action">;

  it("subscribes, mutates, acts, gets errors with their data, pages and logs in, over a restart of the engine", async () => {
    const watch = new SubscriptionWatch(server.url);
    const client = new browser.ConvexClient(server.url, { logger: false, webSocketConstructor: watch.constructorForClient });
    const counter = { name: version };
    let latest = -1;
    client.onUpdate(query("counters:get"), counter, (value: number) => {
      latest = value;
    });
    expect(await client.mutation(mutation("counters:add"), { ...counter, by: 1 })).toBe(1);
    expect(latest).toBe(1);
    expect(await client.action(action("misc:relay"), counter)).toMatchObject({ value: 2, secret: "internal" });
    await eventually("what the action wrote", () => (latest === 2 ? true : undefined));

    const sent = [null, true, -0, 1e300, NaN, -Infinity, 2n ** 63n - 1n, "grün 😀 \u0000", new Uint8Array([0, 255]).buffer, [[], { a: 1n }]];
    expect(await client.mutation(mutation("misc:store"), { value: sent })).toEqual(sent);
    expect(await client.query(query("misc:echo"), { value: sent })).toEqual(sent);
    const large = "é".repeat(3 << 20);
    expect(await client.query(query("misc:echo"), { value: large })).toBe(large);

    const failure: unknown = await client.mutation(mutation("misc:failWithData"), {}).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(values.ConvexError);
    expect((failure as { data: unknown }).data).toEqual({ code: "LIMIT", max: 10n });
    const errors: Error[] = [];
    const stop = client.onUpdate(query("misc:fail"), {}, () => undefined, (error) => errors.push(error));
    await eventually("the failure of a live query", () => (errors.length > 0 ? true : undefined));
    expect(String(errors[0])).toContain("on purpose");
    stop();

    for (let n = 0; n < 5; n += 1) {
      await client.mutation(mutation("counters:append"), { session: version, n });
    }
    const seen: number[] = [];
    let cursor: string | null = null;
    for (let isDone = false; !isDone; ) {
      const page = (await client.query(query("runtime:page"), { session: version, paginationOpts: { numItems: 2, cursor } })) as { page: { n: number }[]; isDone: boolean; continueCursor: string };
      seen.push(...page.page.map(({ n }) => n));
      ({ isDone, continueCursor: cursor } = page);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4]);

    let who: string | null = "nobody asked";
    client.onUpdate(query("misc:me"), {}, (subject: string | null) => {
      who = subject;
    });
    await eventually("nobody", () => (who === null ? true : undefined));
    client.setAuth(async () => Promise.resolve(provider.token({ sub: version })));
    await eventually("the user", () => (who === version ? true : undefined));

    server.killEngine();
    await Promise.all(Array.from({ length: 10 }, (_, n) => client.mutation(mutation("counters:append"), { session: `${version} again`, n })));
    expect(await client.query(query("counters:entries"), { session: `${version} again` })).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await eventually("the user after the restart", () => (who === version ? true : undefined));
    await watch.settled();
    await client.close();
    expect(watch.compared).toBeGreaterThan(10);
  });

  it("works over HTTP", async () => {
    const client = new browser.ConvexHttpClient(server.url, { logger: false });
    expect(await client.mutation(mutation("counters:add"), { name: `${version} http`, by: 2 })).toBe(2);
    expect(await client.query(query("counters:get"), { name: `${version} http` })).toBe(2);
    expect(await client.action(action("misc:relay"), { name: `${version} http` })).toMatchObject({ value: 3 });
    await expect(client.mutation(mutation("misc:failWithData"), {})).rejects.toBeInstanceOf(values.ConvexError);
    client.setAuth(provider.token({ sub: version }));
    expect(await client.query(query("misc:me"), {})).toBe(version);
  });
});
