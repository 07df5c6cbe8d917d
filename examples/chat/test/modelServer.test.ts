import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ModelServer, startModelServer } from "./modelServer";

let server: ModelServer;
let client: OpenAI;

beforeAll(async () => {
  server = await startModelServer();
  client = new OpenAI({ apiKey: "none", baseURL: server.url, maxRetries: 0 });
});

afterAll(() => server.stop());

async function streamed(model: string, content: string): Promise<{ tokens: string[]; finish: string | null }> {
  const tokens: string[] = [];
  let finish: string | null = null;
  const stream = await client.chat.completions.create({ model, stream: true, messages: [{ role: "user", content }] });
  for await (const chunk of stream) {
    const choice = chunk.choices[0];
    if (choice?.delta.content) tokens.push(choice.delta.content);
    finish = choice?.finish_reason ?? finish;
  }
  return { tokens, finish };
}

test("an answer comes in many tokens, says what it is, and names the topic", async () => {
  const { tokens, finish } = await streamed("stand-in", "Ada: @gpt why do rivers meander?");
  const answer = tokens.join("");
  expect(tokens.length).toBeGreaterThan(30);
  expect(answer.length).toBeGreaterThan(150);
  expect(answer).toMatch(/^I am the local stand-in model/);
  expect(answer).toContain("Ada, you asked about: rivers, meander.");
  expect(finish).toBe("stop");
});

test("without streaming the same answer comes whole", async () => {
  const messages = [{ role: "user" as const, content: "Ada: @gpt why do rivers meander?" }];
  const whole = await client.chat.completions.create({ model: "stand-in", messages });
  const { tokens } = await streamed("stand-in", "Ada: @gpt why do rivers meander?");
  expect(whole.choices[0]?.message.content).toBe(tokens.join(""));
});

test("the model “timestamps” says when each token was sent", async () => {
  const before_ms = Date.now();
  const { tokens } = await streamed("timestamps", "count=7");
  const times = tokens.map(Number);
  expect(times).toHaveLength(7);
  expect(times[0]).toBeGreaterThanOrEqual(before_ms - 1);
  expect([...times].sort((a, b) => a - b)).toEqual(times);
  expect(tokens.every((token) => token.endsWith(" "))).toBe(true);
});

test("the model “broken” fails with an error in the API's form", async () => {
  const failure = streamed("broken", "hello");
  await expect(failure).rejects.toBeInstanceOf(APIError);
  await expect(failure).rejects.toMatchObject({ status: 500, type: "server_error" });
});

test("the model “cut” drops the connection after some tokens", async () => {
  const tokens: string[] = [];
  const stream = await client.chat.completions.create({
    model: "cut",
    stream: true,
    messages: [{ role: "user", content: "hello" }],
  });
  await expect(async () => {
    for await (const chunk of stream) tokens.push(chunk.choices[0]?.delta.content ?? "");
  }).rejects.toThrow();
  expect(tokens.length).toBeGreaterThan(3);
});

test("a body that is not JSON is refused with 400", async () => {
  const response = await fetch(`${server.url}/chat/completions`, { method: "POST", body: "{" });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { type: "invalid_request_error" } });
});

test("the list of models can be read", async () => {
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);
  expect(ids).toContain("stand-in");
});
