import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { ConvexHttpClient } from "convex/browser";
import { afterAll, beforeAll, expect, it } from "vitest";

import { api } from "../apps/auth/convex/_generated/api.js";
import { TestApp } from "../src/app.ts";
import { AuthProvider } from "../src/provider.ts";
import { FreshetServer } from "../src/server.ts";

const TLS = resolve(import.meta.dirname, "../fixtures/tls");

let server: FreshetServer;
let app: TestApp;
let provider: AuthProvider;

beforeAll(async () => {
  server = await FreshetServer.start({ env: { SSL_CERT_FILE: join(TLS, "ca.pem") } });
  provider = await AuthProvider.start("RS256", { cert: readFileSync(join(TLS, "server.pem")), key: readFileSync(join(TLS, "server.key")) });
  app = new TestApp(server, "auth");
  app.write("convex/auth.config.ts", `export default { providers: [{ domain: "${provider.issuer}", applicationID: "app" }] };\n`);
  await app.push();
});

afterAll(async () => {
  app.delete();
  provider.close();
  await server.stop();
});

it("a provider may be certified by an authority of the operator's own", async () => {
  expect(provider.issuer).toMatch(/^https:/);
  const client = new ConvexHttpClient(server.url, { logger: false, auth: provider.token() });
  expect(await client.query(api.users.me, {})).toMatchObject({ subject: "ada", issuer: provider.issuer });
});
