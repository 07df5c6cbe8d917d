import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { launchBrowser } from "../src/browser.ts";
import { Demo } from "../src/demo.ts";

let demo: Demo;
let browser: Browser;

beforeAll(async () => {
  demo = await Demo.start();
  browser = await launchBrowser();
}, 180_000);

afterAll(async () => {
  await browser.close();
  await demo.stop();
});

async function openTab(): Promise<Page> {
  const context = await browser.newContext();
  const page = await context.newPage();
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
  await page.keyboard.press("Enter");
}

describe("the streaming chat", () => {
  it("says in the terminal and on the page that a stand-in answers", async () => {
    expect(demo.output).toMatch(/stand-in/i);
    const page = await openTab();
    await expect.poll(async () => await page.getByTestId("model-label").textContent()).toMatch(/stand-in/i);
    await page.context().close();
  });

  it("greets an empty database with a seeded conversation", async () => {
    const page = await openTab();
    await expect.poll(async () => await page.getByTestId("message").count(), { timeout: 20_000 }).toBeGreaterThan(1);
    await page.context().close();
  });

  it("gives visitors names and shows them each other's messages", async () => {
    const [ada, bob] = [await openTab(), await openTab()];
    const names = [await ada.getByTestId("own-name").textContent(), await bob.getByTestId("own-name").textContent()];
    expect(names[0]).toBeTruthy();
    await say(ada, "Is anybody there?");
    const received = bob.getByTestId("message").filter({ hasText: "Is anybody there?" });
    await received.waitFor();
    expect(await received.getAttribute("data-author")).toBe(names[0]);
    await ada.context().close();
    await bob.context().close();
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
    await author.context().close();
    await viewer.context().close();
  }, 90_000);
});
