/** The order of search results against a reference BM25, through the Python client. */

import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { run } from "../src/program.ts";
import { FreshetServer } from "../src/server.ts";
import { installed } from "../src/tools.ts";

const PYTHON = installed("python/bin/python", "the Python client is");
const TESTS = resolve(import.meta.dirname, "../relevance");

describe.runIf(PYTHON !== undefined)("the relevance of search results", () => {
  let server: FreshetServer;
  let app: TestApp;

  beforeAll(async () => {
    server = await FreshetServer.start();
    app = new TestApp(server, "basic");
    await app.push();
  });

  afterAll(async () => {
    app.delete();
    await server.stop();
  });

  it("is that of BM25 on a public corpus", { timeout: 240_000 }, async () => {
    const env = { FRESHET_URL: server.url, PYTHONDONTWRITEBYTECODE: "1" };
    const { code, output } = await run(PYTHON ?? "", ["-m", "pytest", "-p", "no:cacheprovider", "--timeout", "120", "-s", "-q", TESTS], { env });
    console.log(output);
    expect(code, output).toBe(0);
    expect(output).toContain(" passed");
  });
});
