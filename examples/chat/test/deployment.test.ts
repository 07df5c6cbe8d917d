import { expect, test } from "vitest";
import { readDeployment } from "../src/deployment";

test("both addresses make a deployment, without the slash at their end", () => {
  const env = { VITE_CONVEX_URL: "http://127.0.0.1:3210/", VITE_CONVEX_SITE_URL: "https://chat.example" };
  expect(readDeployment(env)).toEqual({ url: "http://127.0.0.1:3210", siteUrl: "https://chat.example" });
});

test.each([[undefined], [""], ["127.0.0.1:3210"], ["ftp://example"], ["http://"]])("%j is no address", (value) => {
  const env = { VITE_CONVEX_URL: value, VITE_CONVEX_SITE_URL: "https://chat.example" };
  expect(readDeployment(env)).toEqual({ missing: ["VITE_CONVEX_URL"] });
});

test("everything that is missing is named", () => {
  expect(readDeployment({})).toEqual({ missing: ["VITE_CONVEX_URL", "VITE_CONVEX_SITE_URL"] });
});
