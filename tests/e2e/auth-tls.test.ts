import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { ConvexHttpClient } from "convex/browser";
import { afterAll, expect, it } from "vitest";

import { api } from "../apps/auth/convex/_generated/api.js";
import { AuthProvider } from "../src/provider.ts";
import { runApp } from "../src/running-app.ts";

const TLS = resolve(import.meta.dirname, "../fixtures/tls");

const provider = await AuthProvider.start("RS256", { cert: readFileSync(join(TLS, "server.pem")), key: readFileSync(join(TLS, "server.key")) });
const { server } = await runApp("auth", {
  env: { SSL_CERT_FILE: join(TLS, "ca.pem") },
  prepare: (app) => {
    app.write("convex/auth.config.ts", `export default { providers: [{ domain: "${provider.issuer}", applicationID: "app" }] };\n`);
  },
});

afterAll(() => {
  provider.close();
});

it("a provider may be certified by an authority of the operator's own", async () => {
  expect(provider.issuer).toMatch(/^https:/);
  const client = new ConvexHttpClient(server.url, { logger: false, auth: provider.token() });
  expect(await client.query(api.users.me, {})).toMatchObject({ subject: "ada", issuer: provider.issuer });
});
