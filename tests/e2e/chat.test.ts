import { execFileSync } from "node:child_process";
import process from "node:process";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { launchBrowser } from "../src/browser.ts";
import { Demo } from "../src/demo.ts";
import { eventually } from "../src/server.ts";
import { SubscriptionWatch } from "../src/subscription-watch.ts";
import { leave, watchPage } from "../src/watched-page.ts";

let demo: Demo;
let browser: Browser;
let watch: SubscriptionWatch;

beforeAll(async () => {
  demo = await Demo.start();
  watch = new SubscriptionWatch(demo.url);
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser.close();
  await demo.stop();
});

async function openTab(): Promise<Page> {
  const context = await browser.newContext();
  const page = await context.newPage();
  watchPage(page, watch);
  await page.goto(demo.pageUrl);
  await page.getByTestId("composer-input").waitFor();
  return page;
}

/** Records every text that the newest answer has shown, from now on. */
async function watchAnswers(page: Page): Promise<void> {
  await page.evaluate(() => {
    const texts: string[] = [];
    (window as unknown as { answers: string[] }).answers = texts;
    const look = (): void => {
      const answers = document.querySelectorAll('[data-testid="message"][data-status]');
      const body = answers[answers.length - 1]?.querySelector('[data-testid="message-body"]');
      const text = body?.textContent ?? "";
      if (text !== "" && texts.at(-1) !== text) {
        texts.push(text);
      }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
}

async function watched(page: Page): Promise<string[]> {
  return await page.evaluate(() => (window as unknown as { answers: string[] }).answers);
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId("composer-input").fill(text);
  // A tab that has no name yet sends nothing.
  await expect.poll(() => page.getByTestId("send").isEnabled()).toBe(true);
  await page.keyboard.press("Enter");
}

interface Answer {
  status: string | undefined;
  body: string;
  problem: string;
}

/** The answer below the question that contains `question`, as a page shows it. */
async function answerTo(page: Page, question: string): Promise<Answer | undefined> {
  return await page.evaluate((wanted) => {
    const messages = [...document.querySelectorAll<HTMLElement>('[data-testid="message"]')];
    const answer = messages[messages.findIndex((message) => message.textContent.includes(wanted)) + 1];
    if (answer === undefined || answer === messages[0]) {
      return undefined;
    }
    const text = (id: string): string => answer.querySelector(`[data-testid="${id}"]`)?.textContent ?? "";
    return { status: answer.dataset.status, body: text("message-body"), problem: text("message-problem") };
  }, question);
}

/** Waits until the answer to a question has some text and is still growing. */
async function streaming(page: Page, question: string): Promise<void> {
  await eventually(`an answer to “${question}”`, async () => {
    const answer = await answerTo(page, question);
    return answer?.status === "streaming" && answer.body !== "" ? true : undefined;
  });
}

/** Waits until the answer to a question has ended, and returns it. */
async function ended(page: Page, question: string, timeoutMs = 30_000): Promise<Answer> {
  return await eventually(
    `the end of the answer to “${question}”`,
    async () => {
      const answer = await answerTo(page, question);
      return answer?.status === "waiting" || answer?.status === "streaming" ? undefined : answer;
    },
    timeoutMs,
  );
}

/** Sets a variable of the deployment, or removes it. */
async function setVariable(name: string, value: string | null): Promise<void> {
  const response = await fetch(`${demo.url}/api/update_environment_variables`, {
    method: "POST",
    headers: { Authorization: `Convex ${demo.adminKey()}`, "Content-Type": "application/json" },
    body: JSON.stringify({ changes: [{ name, value }] }),
  });
  expect(response.status).toBe(200);
}

/** Process id of the engine that serves this demonstration: it is the one with its data directory. */
function enginePid(): number {
  for (const line of execFileSync("ps", ["-e", "-o", "pid=,args="], { encoding: "utf8" }).split("\n")) {
    if (line.includes(demo.dataDir) && line.endsWith("engine.js")) {
      return Number.parseInt(line, 10);
    }
  }
  throw new Error(`the demo has no engine; it printed:\n${demo.output}`);
}

describe("the streaming chat", () => {
  it("says in the terminal and on the page that a stand-in answers", async () => {
    expect(demo.output).toMatch(/stand-in/i);
    const page = await openTab();
    await expect.poll(async () => await page.getByTestId("model-label").textContent()).toMatch(/stand-in/i);
    await leave(page, watch);
  });

  it("greets an empty database with a seeded conversation", async () => {
    const page = await openTab();
    await expect.poll(async () => await page.getByTestId("message").count(), { timeout: 20_000 }).toBeGreaterThan(1);
    await leave(page, watch);
  });

  it("gives visitors names and shows them each other's messages", async () => {
    const [ada, bob] = [await openTab(), await openTab()];
    const names = [await ada.getByTestId("own-name").textContent(), await bob.getByTestId("own-name").textContent()];
    expect(names[0]).toBeTruthy();
    await say(ada, "Is anybody there?");
    const received = bob.getByTestId("message").filter({ hasText: "Is anybody there?" });
    await received.waitFor();
    expect(await received.getAttribute("data-author")).toBe(names[0]);
    await leave(ada, watch);
    await leave(bob, watch);
  });

  it("streams an answer token by token to its author and in batches to everyone else", async () => {
    const [author, viewer] = [await openTab(), await openTab()];
    const complete = (page: Page): Promise<number> =>
      page.locator('[data-testid="message"][data-status="complete"]').count();
    const before = await complete(author);
    await watchAnswers(author);
    await watchAnswers(viewer);
    await say(author, "@gpt hello");
    for (const page of [author, viewer]) {
      await expect.poll(() => complete(page), { timeout: 30_000 }).toBeGreaterThan(before);
    }
    const [byAuthor, byViewer] = [await watched(author), await watched(viewer)];
    expect(byAuthor.at(-1)).toBe(byViewer.at(-1));
    expect(byAuthor.length).toBeGreaterThanOrEqual(10);
    expect(byViewer.length).toBeLessThan(byAuthor.length / 2);
    // The text only ever grows.
    for (const texts of [byAuthor, byViewer]) {
      for (const [index, text] of texts.entries()) {
        expect(texts[index + 1] ?? text).toContain(text.slice(0, 20));
        expect((texts[index + 1] ?? text).length).toBeGreaterThanOrEqual(text.length);
      }
    }
    await leave(author, watch);
    await leave(viewer, watch);
  }, 90_000);

  it("keeps a visitor's name over a reload and gives another tab another name", async () => {
    const page = await openTab();
    const name = page.getByTestId("own-name");
    const before = await name.textContent();
    await page.reload();
    expect(await name.textContent()).toBe(before);
    const second = await page.context().newPage();
    watchPage(second, watch);
    await second.goto(demo.pageUrl);
    expect(await second.getByTestId("own-name").textContent()).not.toBe(before);
    await leave(page, watch);
  });

  it("finishes an answer for everyone else when its author leaves in the middle", async () => {
    const [author, viewer] = [await openTab(), await openTab()];
    await say(author, "@gpt will you miss me?");
    await streaming(viewer, "will you miss me?");
    await leave(author, watch);
    const answer = await ended(viewer, "will you miss me?");
    expect(answer.status).toBe("complete");
    expect(answer.body).toMatch(/as a real answer would\.$/);
    await leave(viewer, watch);
  }, 60_000);

  it("tells everyone how the model failed and keeps the text that had come", async () => {
    const [author, viewer] = [await openTab(), await openTab()];
    try {
      await setVariable("OPENAI_MODEL", "broken");
      await say(author, "@gpt are you unwell?");
      for (const page of [author, viewer]) {
        expect(await ended(page, "are you unwell?")).toEqual({
          status: "failed",
          body: "",
          problem: "The model answered with error 500.",
        });
      }
      await setVariable("OPENAI_MODEL", "cut");
      await say(author, "@gpt can you finish?");
      const [byAuthor, byViewer] = [await ended(author, "can you finish?"), await ended(viewer, "can you finish?")];
      expect(byAuthor).toEqual(byViewer);
      expect(byViewer).toMatchObject({ status: "failed", problem: "The connection to the model broke." });
      expect(byViewer.body).toMatch(/^I am the local stand-in/);
    } finally {
      await setVariable("OPENAI_MODEL", null);
    }
    await say(author, "@gpt are you well again?");
    expect((await ended(viewer, "are you well again?")).status).toBe("complete");
    await leave(author, watch);
    await leave(viewer, watch);
  }, 90_000);

  it("loses and repeats nothing when the engine is killed in the middle of an answer", async () => {
    const [author, viewer] = [await openTab(), await openTab()];
    await say(author, "@gpt what happens to you when the power fails?");
    await streaming(viewer, "when the power fails?");
    process.kill(enginePid(), "SIGKILL");
    await say(viewer, "Sent into the dark");
    await eventually("the message sent meanwhile", async () =>
      (await author.getByTestId("message").filter({ hasText: "Sent into the dark" }).count()) > 0 ? true : undefined,
    );
    await say(author, "@gpt and are you back?");
    expect((await ended(viewer, "and are you back?")).status).toBe("complete");
    const cut = await ended(viewer, "when the power fails?", 45_000);
    expect(cut).toMatchObject({ status: "interrupted", problem: "The answer stopped before its end." });
    expect(cut.body).toMatch(/^I am the local stand-in/);
    // Every message exactly once, and one answer for each of the two questions.
    for (const page of [author, viewer]) {
      const bodies = await page.getByTestId("message-body").allTextContents();
      for (const text of ["when the power fails?", "Sent into the dark", "and are you back?"]) {
        expect(bodies.filter((body) => body.includes(text) && !body.startsWith("I am the"))).toHaveLength(1);
      }
      const answers = await page.getByTestId("message").evaluateAll((messages) => {
        const first = messages.findIndex((message) => message.textContent.includes("when the power fails?"));
        return messages.slice(first).filter((message) => message.hasAttribute("data-status")).length;
      });
      expect(answers).toBe(2);
    }
    await leave(author, watch);
    await leave(viewer, watch);
  }, 120_000);

  it("has queries that depend on nothing but the data, as the audit of shared contexts saw", () => {
    expect(demo.output).toMatch(/audit: \d+ queries were run again, 0 came out differently/);
    expect(demo.output).not.toContain("audit: the query");
  });
});
