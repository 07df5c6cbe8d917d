import type { Page } from "playwright-core";
import { afterAll, expect, it } from "vitest";

import type { AuthPage } from "../pages/auth.ts";
import { launchBrowser } from "../src/browser.ts";
import { PageServer } from "../src/page-server.ts";
import { AuthProvider } from "../src/provider.ts";
import { runApp } from "../src/running-app.ts";
import { SubscriptionWatch } from "../src/subscription-watch.ts";
import { leave, watchPage } from "../src/watched-page.ts";

const [provider, browser, pages] = await Promise.all([AuthProvider.start("RS256"), launchBrowser(), PageServer.start("auth")]);
const { server } = await runApp("auth", {
  prepare: (app) => {
    app.write("convex/auth.config.ts", `export default { providers: [{ domain: "${provider.issuer}", applicationID: "app" }] };\n`);
  },
});
const watch = new SubscriptionWatch(server.url);

afterAll(async () => {
  await browser.close();
  pages.close();
  provider.close();
});

async function openTab(): Promise<Page> {
  const tab = await (await browser.newContext()).newPage();
  watchPage(tab, watch);
  await tab.goto(pages.url({ server: server.url }));
  await tab.getByTestId("logged-out").waitFor();
  return tab;
}

async function logIn(tab: Page, tokens: string[]): Promise<void> {
  await tab.evaluate((given) => {
    (window as unknown as { page: AuthPage }).page.logIn(given);
  }, tokens);
}

async function shows(tab: Page, id: string, text: string): Promise<void> {
  await expect.poll(async () => await tab.getByTestId(id).textContent(), { timeout: 15_000 }).toBe(text);
}

it("shows two visitors their own, through login, refresh and logout", async () => {
  const [ada, bob] = await Promise.all([openTab(), openTab()]);
  await logIn(ada, [provider.token({ sub: "ada", jti: "1" }), provider.token({ sub: "ada", jti: "2" })]);
  await logIn(bob, [provider.token({ sub: "bob" })]);
  await shows(ada, "user", "ada");
  await shows(bob, "user", "bob");
  await ada.getByTestId("add").click();
  await shows(ada, "mine", "of ada");
  await shows(bob, "mine", "");
  // The token of the second fetch, which is forced, has replaced the first; nothing was lost by that.
  await expect.poll(async () => await ada.evaluate(() => (window as unknown as { page: AuthPage }).page.asked)).toContain(true);
  await shows(ada, "state", "authenticated");
  await ada.evaluate(() => {
    (window as unknown as { page: AuthPage }).page.logOut();
  });
  await shows(ada, "state", "anonymous");
  await logIn(ada, [provider.token({ sub: "bob" })]);
  await shows(ada, "user", "bob");
  await bob.getByTestId("add").click();
  await shows(ada, "mine", "of bob");
});

it("shows the login again when the token is not accepted", async () => {
  const tab = await openTab();
  await logIn(tab, [provider.token({ aud: "other" })]);
  await shows(tab, "state", "anonymous");
  await tab.getByTestId("logged-out").waitFor();
  await leave(tab, watch);
});
