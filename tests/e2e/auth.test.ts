import { ConvexHttpClient } from "convex/browser";
import { afterAll, afterEach, describe, expect, it } from "vitest";

import { api } from "../apps/auth/convex/_generated/api.js";
import { TestApp } from "../src/app.ts";
import { AuthProvider, unsigned } from "../src/provider.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const [{ server, app }, oidc, custom] = await Promise.all([
  runApp("auth", { isPushed: false }),
  AuthProvider.start("RS256"),
  AuthProvider.start("ES256"),
]);
const open: WatchedClient[] = [];

afterAll(() => {
  oidc.close();
  custom.close();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

interface Watched {
  client: WatchedClient;
  /** Who it was, one result of the query after the other. */
  seen: ({ subject: string } | null)[];
}

function connect(): Watched {
  const client = new WatchedClient(server);
  open.push(client);
  const seen: Watched["seen"] = [];
  client.onUpdate(api.users.me, {}, (user) => seen.push(user));
  return { client, seen };
}

function watchNotes(client: WatchedClient): string[][] {
  const seen: string[][] = [];
  client.onUpdate(api.users.mine, {}, (notes) => seen.push(notes));
  return seen;
}

/** A client that is logged in with these tokens, one after the other; the last one again and again. */
async function logIn(tokens: string[]): Promise<Watched & { authenticated: boolean[]; asked: boolean[] }> {
  const { client, seen } = connect();
  const left = [...tokens];
  const asked: boolean[] = [];
  const authenticated: boolean[] = [];
  client.setAuth(
    async ({ forceRefreshToken }) => {
      asked.push(forceRefreshToken);
      return Promise.resolve((left.length > 1 ? left.shift() : left[0]) ?? null);
    },
    (isAuthenticated) => authenticated.push(isAuthenticated),
  );
  await eventually("an answer about the token", () => (authenticated.length > 0 ? true : undefined), 45_000);
  return { client, seen, authenticated, asked };
}

function over(token: string | undefined): ConvexHttpClient {
  const client = new ConvexHttpClient(server.url, { logger: false });
  if (token !== undefined) {
    client.setAuth(token);
  }
  return client;
}

/** Status and code of the refusal of a token over HTTP. */
async function refusal(token: string): Promise<{ status: number; code: string; message: string }> {
  const response = await fetch(`${server.url}/api/query`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ path: "users:me", args: {} }),
  });
  const body = (await response.json()) as { code: string; message: string };
  return { status: response.status, code: body.code, message: body.message };
}

async function setVariables(changes: Record<string, string>): Promise<void> {
  const response = await fetch(`${server.url}/api/update_environment_variables`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Convex ${server.adminKey}` },
    body: JSON.stringify({ changes: Object.entries(changes).map(([name, value]) => ({ name, value })) }),
  });
  expect(await response.text()).toBe("");
}

describe("auth.config.ts", () => {
  it("cannot be pushed before its variables are set, and takes effect with the push", async () => {
    expect((await refusal(oidc.token())).code).toBe("NoAuthProvider");
    const failed = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(failed.code).not.toBe(0);
    expect(failed.output).toMatch(/Environment variable OIDC_ISSUER is used in auth config file but its value was not set/);
    await setVariables({ OIDC_ISSUER: oidc.issuer, JWT_ISSUER: `${custom.issuer}/`, JWT_JWKS: `${custom.issuer}/keys`, OWN_JWKS: "{}" });
    await app.push();
    expect(oidc.requests).toEqual([]);
    expect(await over(oidc.token()).query(api.users.me, {})).toMatchObject({ subject: "ada" });
    expect(oidc.requests).toEqual(["/.well-known/openid-configuration", "/keys"]);
  });

  it("refuses what may differ from one evaluation to the next", async () => {
    const other = new TestApp(server, "auth");
    other.write("convex/auth.config.ts", "export default { providers: [], at: Date.now() };\n");
    const failed = await other.convex("dev", "--once", "--typecheck", "disable");
    other.delete();
    expect(failed.code).not.toBe(0);
    expect(failed.output).toContain("The current time cannot be used in auth.config.ts");
  });

  it("is checked when a variable changes", async () => {
    const failed = await app.convex("env", "set", "OIDC_ISSUER", "nonsense");
    expect(failed.code).not.toBe(0);
    expect(failed.output).toContain("This change would make the auth config invalid");
    expect(await over(oidc.token()).query(api.users.me, {})).toMatchObject({ subject: "ada" });
  });
});

describe("a user over HTTP", () => {
  it("is known to queries, mutations, actions and what they call", async () => {
    const client = over(oidc.token({ sub: "bob", given_name: "Bob", email_verified: true, org: { id: 7 }, jti: "1" }));
    expect(await client.query(api.users.me, {})).toEqual({
      tokenIdentifier: `${oidc.issuer}|bob`,
      issuer: oidc.issuer,
      subject: "bob",
      givenName: "Bob",
      emailVerified: true,
      org: { id: 7 },
    });
    expect(await client.mutation(api.users.write, { text: "of bob" })).toBe("bob");
    expect(await client.action(api.users.relay, { text: "of bob, too" })).toEqual(["bob", "bob", "bob", "bob"]);
    expect(await client.action(api.node.who, {})).toBe("bob");
    expect(await client.query(api.users.mine, {})).toEqual(["of bob", "of bob, too"]);
    expect(await over(undefined).query(api.users.mine, {})).toEqual([]);
  });

  it("may come from a provider with keys of its own kind", async () => {
    expect(await over(custom.token({ sub: "kim", props: { id: 1 }, given_name: "Kim" })).query(api.users.me, {})).toEqual({
      tokenIdentifier: `${custom.issuer}|kim`,
      issuer: custom.issuer,
      subject: "kim",
      "props.id": 1,
      given_name: "Kim",
    });
  });

  it("is unknown to scheduled functions", async () => {
    await over(oidc.token()).mutation(api.users.later, { text: "later" });
    await eventually("the scheduled function", async () => ((await over(undefined).query(api.users.all, {})).includes("later: nobody") ? true : undefined));
  });

  it("is known to HTTP actions, which get other tokens untouched", async () => {
    const me = async (authorization?: string): Promise<unknown> => {
      const response = await fetch(`${server.siteUrl}/me`, { headers: authorization === undefined ? {} : { authorization } });
      return await response.json();
    };
    // The scheduled function above wrote as nobody, too.
    expect(await me()).toEqual({ subject: null, mine: ["later: nobody"] });
    expect(await me(`Bearer ${oidc.token({ sub: "bob" })}`)).toEqual({ subject: "bob", mine: ["of bob", "of bob, too"] });
    expect(await me("Bearer garbage")).toEqual({ error: expect.stringContaining("Could not parse the token") as string });
    expect(await me(`Bearer ${oidc.token({ aud: "other" })}`)).toEqual({ error: expect.stringContaining("No auth provider found") as string });
    const webhook = await fetch(`${server.siteUrl}/webhook`, { method: "POST", headers: { authorization: "Bearer sk_live_1" } });
    expect(await webhook.text()).toBe("Bearer sk_live_1");
  });
});

describe("tokens that are not accepted", () => {
  it("have a code each over HTTP", async () => {
    const now = Math.floor(Date.now() / 1000);
    expect(await refusal(oidc.token({ aud: "other" }))).toMatchObject({ status: 401, code: "NoAuthProvider" });
    expect(await refusal(oidc.token({ iss: "https://stranger.example.com" }))).toMatchObject({ status: 401, code: "NoAuthProvider" });
    expect(await refusal(oidc.token({ exp: now - 1 }))).toMatchObject({ status: 401, code: "TokenExpired" });
    expect(await refusal(oidc.token({ nbf: now + 60 }))).toMatchObject({ status: 401, code: "Unauthenticated" });
    expect(await refusal("garbage")).toMatchObject({ status: 401, code: "InvalidAuthHeader" });
  });

  it("do no harm, however hostile", async () => {
    const good = oidc.token();
    const [header = "", claims = "", signature = ""] = good.split(".");
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: oidc.issuer, sub: "admin", aud: "app", iat: now, exp: now + 60 };
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const hostile: string[] = [
      ...["none", "None", "HS256", "RS256"].map((alg) => `${unsigned({ alg, kid: "key-1" }, payload)}.`),
      oidc.confusedToken(),
      `${header}.${unsigned({}, payload).split(".")[1] ?? ""}.${signature}`,
      `${header}.${claims}.`,
      `${header}.${claims}.AAAA`,
      oidc.token({}, { kid: "unknown" }),
      oidc.token({}, { kid: "../../../../etc/passwd" }),
      oidc.token({}, { kid: "key-1' OR 1=1" }),
      oidc.token({}, { kid: 5 }),
      oidc.token({}, { crit: ["exp"] }),
      `${unsigned({ alg: "RS256" }, {})}.AAAA`,
      `${unsigned({ alg: "RS256" }, [])}.AAAA`,
      `${unsigned({ alg: "RS256" }, null)}.AAAA`,
      `${Buffer.from(deep).toString("base64url")}.${claims}.${signature}`,
      `${header}.${Buffer.from(`{"iss":"${oidc.issuer}","aud":"app","a":${deep}}`).toString("base64url")}.${signature}`,
      custom.token({ iss: oidc.issuer }),
      "....",
    ];
    for (const token of hostile) {
      const refused = await refusal(token);
      expect([refused.status, token.slice(0, 60)]).toEqual([401, token.slice(0, 60)]);
      expect(["InvalidAuthHeader", "NoAuthProvider", "Unauthenticated"]).toContain(refused.code);
    }
    // What does not fit into a header; a socket takes it.
    for (const token of [...hostile, "x".repeat(1 << 20), "\u0000\u007f", "", "😀.😀.😀"]) {
      expect((await authenticateOnce(token)).type).toBe("AuthError");
    }
    expect(await over(good).query(api.users.me, {})).toMatchObject({ subject: "ada" });
  });

  it("leave the WebSocket client anonymous after some tries", async () => {
    const { client, seen, authenticated, asked } = await logIn([oidc.token({ aud: "other" }), oidc.token({ aud: "another" }), oidc.token({ aud: "third" })]);
    expect(authenticated).toEqual([false]);
    expect(asked.length).toBeGreaterThan(1);
    await eventually("the anonymous answer", () => (seen.at(-1) === null ? true : undefined));
    expect(await client.mutation(api.users.write, { text: "of nobody" })).toBeNull();
  });
});

/** What the server says to one `Authenticate` message. */
async function authenticateOnce(token: string): Promise<{ type: string; error?: string }> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/api/1.48.0/sync`);
  const answer = new Promise<{ type: string }>((resolve, reject) => {
    socket.onmessage = (event) => {
      const frame = JSON.parse(String(event.data)) as { type: string };
      if (frame.type !== "Ping") {
        resolve(frame);
      }
    };
    socket.onclose = () => {
      reject(new Error("closed without an answer"));
    };
  });
  await new Promise((opened) => (socket.onopen = opened));
  socket.send(JSON.stringify({ type: "Authenticate", baseVersion: 0, tokenType: "User", value: token }));
  const frame = await answer;
  socket.close();
  return frame;
}

describe("a user over WebSocket", () => {
  it("sees results of its own, next to another user of the same query", async () => {
    const ada = await logIn([oidc.token({ sub: "ada 1" })]);
    const bob = await logIn([oidc.token({ sub: "bob 1" })]);
    const notes = { ada: watchNotes(ada.client), bob: watchNotes(bob.client) };
    expect(await ada.client.mutation(api.users.write, { text: "A" })).toBe("ada 1");
    expect(await bob.client.mutation(api.users.write, { text: "B" })).toBe("bob 1");
    await eventually("both results", () => (notes.ada.at(-1)?.[0] === "A" && notes.bob.at(-1)?.[0] === "B" ? true : undefined));
    expect(notes.ada.flat()).not.toContain("B");
    expect(notes.bob.flat()).not.toContain("A");
    expect(await ada.client.action(api.users.relay, { text: "A2" })).toEqual(["ada 1", "ada 1", "ada 1", "ada 1"]);
  });

  it("keeps its results when its token is refreshed", async () => {
    const { client, seen, asked, authenticated } = await logIn([oidc.token({ jti: "1" }), oidc.token({ jti: "2" })]);
    await eventually("the refresh", () => (asked.includes(true) ? true : undefined));
    await client.mutation(api.users.write, { text: "after the refresh" });
    expect(seen.map((user) => user?.subject)).toEqual(["ada"]);
    expect(authenticated).not.toContain(false);
  });

  it("can become another one, and log out", async () => {
    const { client, seen } = await logIn([oidc.token({ sub: "first" })]);
    await eventually("the first user", () => (seen.at(-1)?.subject === "first" ? true : undefined));
    client.setAuth(async () => Promise.resolve(oidc.token({ sub: "second" })));
    await eventually("the second user", () => (seen.at(-1)?.subject === "second" ? true : undefined));
    client.client.clearAuth();
    await eventually("nobody", () => (seen.at(-1) === null ? true : undefined));
    expect(seen.map((user) => user?.subject ?? null)).toEqual(["first", "second", null]);
  });

  it("gets nothing under a token that has expired, and goes on with the next", async () => {
    const now = Math.floor(Date.now() / 1000);
    const short = oidc.token({ sub: "short", exp: now + 4 });
    // The second time the same token: then the client does not plan to refresh it.
    const { client, seen, asked, authenticated } = await logIn([short, short, oidc.token({ sub: "long" })]);
    await eventually("the first identity", () => (seen.at(-1)?.subject === "short" && asked.length === 2 ? true : undefined));
    await sleep(Math.max(0, (now + 4) * 1000 - Date.now() + 50));
    expect(await client.mutation(api.users.write, { text: "under which name" })).toBe("long");
    expect(seen.map((user) => user?.subject)).toEqual(["short", "long"]);
    expect(authenticated).not.toContain(false);
  });

  it("is no longer one when its provider is taken away", async () => {
    const { client, seen, authenticated } = await logIn([oidc.token({ sub: "leaving" })]);
    const kept = await logIn([custom.token({ sub: "staying" })]);
    await eventually("the user", () => (seen.at(-1)?.subject === "leaving" ? true : undefined));
    await setVariables({ OIDC_ISSUER: "https://elsewhere.example.com" });
    await eventually("the end of the user", () => (seen.at(-1) === null ? true : undefined));
    expect(authenticated).toEqual([true, false]);
    expect(await client.mutation(api.users.write, { text: "of nobody" })).toBeNull();
    expect(kept.client.client.connectionState().connectionCount).toBe(1);
    await setVariables({ OIDC_ISSUER: oidc.issuer });
    expect(await over(oidc.token()).query(api.users.me, {})).toMatchObject({ subject: "ada" });
  });

  it("can be acted as by an admin", async () => {
    const { client, seen } = connect();
    // Not part of the public types, but what the dashboard and the CLI call.
    (client.client as unknown as { setAdminAuth: (key: string, identity: object) => void }).setAdminAuth(server.adminKey, {
      issuer: "https://i",
      subject: "acted",
      role: "qa",
    });
    await eventually("the identity", () => (seen.at(-1)?.subject === "acted" ? true : undefined));
    expect(seen.at(-1)).toEqual({ tokenIdentifier: "https://i|acted", issuer: "https://i", subject: "acted", role: "qa" });
    const run = await app.convex("run", "users:me", "--identity", '{ "name": "Jo", "role": "qa" }');
    expect(JSON.parse(run.stdout), run.output).toMatchObject({ name: "Jo", role: "qa", issuer: "https://convex.test", tokenIdentifier: expect.stringMatching(/^https:\/\/convex\.test\|/) as string });
  });
});

describe("a provider", () => {
  it("may change its keys at any time", async () => {
    const before = oidc.token();
    oidc.rotate();
    // Not at once: the hostile tokens above have used up most of what the server spends on unknown keys.
    const user = await eventually("the new key", async () => (await over(oidc.token({ sub: "after" })).query(api.users.me, {}).catch(() => undefined)) ?? undefined);
    expect(user).toMatchObject({ subject: "after" });
    expect(await refusal(before)).toMatchObject({ status: 401, code: "Unauthenticated" });
  });

  it("may be down while its keys are known, and comes back for those that are not", async () => {
    oidc.down = true;
    expect(await over(oidc.token()).query(api.users.me, {})).toMatchObject({ subject: "ada" });
    oidc.rotate();
    await eventually("the failed look for the new key", async () => ((await refusal(oidc.token())).code === "AuthProviderDiscoveryFailed" ? true : undefined));
    expect((await refusal(oidc.token())).status).toBe(503);
    const waiting = logIn([oidc.token({ sub: "patient" })]);
    await sleep(500);
    oidc.down = false;
    const { seen, authenticated } = await waiting;
    expect(authenticated).toEqual([true]);
    await eventually("the user", () => (seen.at(-1)?.subject === "patient" ? true : undefined));
  });

  it("may be the app itself", async () => {
    await setVariables({ OWN_JWKS: JSON.stringify({ keys: [oidc.jwk()] }) });
    const token = oidc.token({ iss: server.siteUrl, aud: "convex", sub: "own" });
    expect(await over(token).query(api.users.me, {})).toMatchObject({ tokenIdentifier: `${server.siteUrl}|own` });
  });
});
