/**
 * Time from a token at the model server to the token in the author's page (through an HTTP action that streams) and in
 * another visitor's page (through the database, in batches), next to the same browser reading the model server directly.
 *
 * The model writes the time into each token, and all of it runs on one machine, so there is one clock.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import process from "node:process";
import type { Page } from "playwright-core";

import { launchBrowser } from "../../tests/src/browser.ts";
import { Demo } from "../../tests/src/demo.ts";
import { eventually, freePort } from "../../tests/src/server.ts";
import { printTable } from "./report.ts";

const TOKENS = 300;

const modelPort = await freePort();
const model: ChildProcess = spawn(
  process.execPath,
  [resolve(import.meta.dirname, "../../examples/chat/model/server.mjs"), "--port", String(modelPort), "--delay-ms", "20"],
  { stdio: "ignore" },
);
const demo = await Demo.start();
// The page has to read the model server, which is another origin, for the comparison.
const browser = await launchBrowser(["--disable-web-security"]);
try {
  const response = await fetch(`${demo.url}/api/update_environment_variables`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Convex ${demo.adminKey()}` },
    body: JSON.stringify({
      changes: [
        { name: "OPENAI_BASE_URL", value: `http://127.0.0.1:${modelPort}/v1` },
        { name: "OPENAI_MODEL", value: "timestamps" },
      ],
    }),
  });
  if (!response.ok) {
    throw new Error(await response.text());
  }
  const author = await open();
  const viewer = await open();
  const direct = await readDirectly(author);
  await watch(author);
  await watch(viewer);
  await author.getByTestId("composer-input").fill(`@gpt count=${TOKENS}`);
  await author.keyboard.press("Enter");
  await eventually("the end of the answer", async () => ((await latencies(author)).length >= TOKENS * 0.5 && (await isDone(viewer)) ? true : undefined), 60_000);
  printTable(`From the model server to the page, ${TOKENS} tokens, one every 20 ms`, [
    { name: "browser reads the model server directly", unit: "ms", samples: direct },
    { name: "author's page: HTTP action, token by token", unit: "ms", samples: await latencies(author) },
    { name: "other visitor's page: database, in batches", unit: "ms", samples: await latencies(viewer) },
  ]);
} finally {
  await browser.close();
  await demo.stop();
  model.kill();
}

async function open(): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(demo.pageUrl);
  await page.getByTestId("composer-input").waitFor();
  return page;
}

async function readDirectly(page: Page): Promise<number[]> {
  return await page.evaluate(
    async ([url, tokens]) => {
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ model: "timestamps", stream: true, messages: [{ role: "user", content: `count=${tokens}` }] }),
      });
      const found: number[] = [];
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader?.read(); piece !== undefined && !piece.done; piece = await reader?.read()) {
        const now = performance.timeOrigin + performance.now();
        const stamps = piece.value.match(/\d{13}(\.\d+)?/g);
        const last = stamps?.at(-1);
        if (last !== undefined) {
          found.push(now - Number(last));
        }
      }
      return found;
    },
    [`http://127.0.0.1:${modelPort}`, TOKENS] as const,
  );
}

/** Records, each time the newest answer changes, the age of the last token in it. */
async function watch(page: Page): Promise<void> {
  await page.evaluate(() => {
    const found: number[] = [];
    (window as unknown as { found: number[] }).found = found;
    let last = "";
    new MutationObserver(() => {
      const now = performance.timeOrigin + performance.now();
      const answers = document.querySelectorAll('[data-testid="message"][data-streaming="true"] [data-testid="message-body"]');
      const stamp = answers[answers.length - 1]?.textContent.match(/\d{13}(\.\d+)?(?=\s)/g)?.at(-1) ?? "";
      if (stamp !== "" && stamp !== last) {
        last = stamp;
        found.push(now - Number(stamp));
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
}

async function latencies(page: Page): Promise<number[]> {
  return await page.evaluate(() => (window as unknown as { found: number[] }).found);
}

async function isDone(page: Page): Promise<boolean> {
  return (await page.locator('[data-testid="message"][data-streaming="true"]').count()) === 0;
}
