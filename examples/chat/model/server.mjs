#!/usr/bin/env node
// A stand-in for a language model: speaks the streaming chat-completions API on this machine, so that
// the chat can be tried and tested without a key and without a network. It needs Node 20 or newer and
// no packages, keeps nothing, and listens on the loopback interface unless told otherwise.
//
//   node model/server.mjs [--port 8010] [--host 127.0.0.1] [--delay-ms 40]
//
// The model's name chooses what it does:
//   stand-in     answers, one token every delay (so does any name not listed here)
//   timestamps   every token is the time at which it was sent, in ms since the epoch; "count=N" in the
//                last message sets how many
//   broken       fails with HTTP 500
//   cut          drops the connection in the middle of the answer

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { reply, textOf, tokensOf } from "./reply.mjs";

/** @typedef {import("node:http").IncomingMessage} IncomingMessage */
/** @typedef {import("node:http").ServerResponse} ServerResponse */
/** @typedef {import("./reply.mjs").PromptMessage} PromptMessage */
/** @typedef {{ model: string, messages: PromptMessage[], stream: boolean }} CompletionRequest */

const MODELS = ["stand-in", "timestamps", "broken", "cut"];
const BODY_BYTES_MAX = 1024 * 1024;
const TIMESTAMPS_DEFAULT = 50;
const TIMESTAMPS_MAX = 10_000;

/** A failure that the caller is told in the API's own form. */
class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} type
   * @param {string} message
   */
  constructor(status, type, message) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8010" },
    host: { type: "string", default: "127.0.0.1" },
    "delay-ms": { type: "string", default: "40" },
  },
});
const port = wholeNumber("--port", options.port, 65_535);
const delay_ms = wholeNumber("--delay-ms", options["delay-ms"], 60_000);

const server = createServer((request, response) => {
  handle(request, response).catch((/** @type {unknown} */ error) => {
    const failure = error instanceof ApiError ? error : new ApiError(500, "server_error", String(error));
    if (response.headersSent) response.destroy();
    else sendJson(response, failure.status, errorBody(failure));
  });
});
server.on("error", (error) => {
  console.error(`The stand-in model can not listen on ${options.host}:${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, options.host, () => {
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  console.log(`Stand-in model (not a real one) at http://${options.host}:${bound}/v1`);
});
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}

/**
 * @param {IncomingMessage} request
 * @param {ServerResponse} response
 */
async function handle(request, response) {
  const path = new URL(request.url ?? "/", "http://stand-in").pathname;
  if (path === "/v1/models" && request.method === "GET") {
    const data = MODELS.map((id) => ({ id, object: "model", created: 0, owned_by: "local-stand-in" }));
    sendJson(response, 200, { object: "list", data });
    return;
  }
  if (path !== "/v1/chat/completions") {
    throw new ApiError(404, "invalid_request_error", `There is nothing at ${path}.`);
  }
  if (request.method !== "POST") {
    throw new ApiError(405, "invalid_request_error", `${path} takes POST.`);
  }
  const completion = parseCompletion(await readBody(request));
  if (completion.model === "broken") {
    throw new ApiError(500, "server_error", "The stand-in model was asked to fail.");
  }
  if (completion.stream) await stream(completion, response);
  else sendWhole(completion, response);
}

/**
 * @param {CompletionRequest} completion
 * @param {ServerResponse} response
 */
async function stream(completion, response) {
  const id = `chatcmpl-${randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  const tokens = tokensFor(completion);
  const cutAt = completion.model === "cut" ? Math.ceil(tokens.length / 2) : Infinity;
  /**
   * @param {object} delta
   * @param {string | null} finish_reason
   */
  const chunk = (delta, finish_reason) =>
    sendEvent(
      response,
      JSON.stringify({
        id,
        object: "chat.completion.chunk",
        created,
        model: completion.model,
        choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      }),
    );

  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" });
  await chunk({ role: "assistant", content: "" }, null);
  for (const [index, token] of tokens.entries()) {
    await sleep(delay_ms);
    if (response.destroyed) return;
    if (index >= cutAt) {
      response.destroy();
      return;
    }
    await chunk({ content: token() }, null);
  }
  await chunk({}, "stop");
  await sendEvent(response, "[DONE]");
  response.end();
}

/**
 * @param {CompletionRequest} completion
 * @param {ServerResponse} response
 */
function sendWhole(completion, response) {
  if (completion.model === "cut") {
    response.destroy();
    return;
  }
  const content = tokensFor(completion)
    .map((token) => token())
    .join("");
  const prompt_tokens = completion.messages.reduce((sum, message) => sum + tokensOf(textOf(message.content)).length, 0);
  const completion_tokens = tokensOf(content).length;
  sendJson(response, 200, {
    id: `chatcmpl-${randomUUID()}`,
    object: "chat.completion",
    created: Math.floor(Date.now() / 1000),
    model: completion.model,
    choices: [
      { index: 0, message: { role: "assistant", content, refusal: null }, logprobs: null, finish_reason: "stop" },
    ],
    usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
  });
}

/**
 * The answer as functions, since a timestamp is only known when its token is sent.
 * @param {CompletionRequest} completion
 * @returns {(() => string)[]}
 */
function tokensFor({ model, messages }) {
  if (model !== "timestamps") return tokensOf(reply(messages)).map((token) => () => token);
  const wanted = /\bcount=(\d{1,6})\b/u.exec(textOf(messages.at(-1)?.content));
  const count = Math.min(TIMESTAMPS_MAX, wanted ? Number(wanted[1]) : TIMESTAMPS_DEFAULT);
  // `performance` has finer steps than `Date`.
  return Array.from({ length: count }, () => () => `${(performance.timeOrigin + performance.now()).toFixed(3)} `);
}

/**
 * @param {string} body
 * @returns {CompletionRequest}
 */
function parseCompletion(body) {
  /** @type {unknown} */
  let parsed;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw new ApiError(400, "invalid_request_error", "The body is not JSON.");
  }
  if (typeof parsed !== "object" || parsed === null) {
    throw new ApiError(400, "invalid_request_error", "The body is not an object.");
  }
  const { model, messages, stream: streamed } = /** @type {Record<string, unknown>} */ (parsed);
  if (typeof model !== "string" || model === "") {
    throw new ApiError(400, "invalid_request_error", "“model” is not the name of a model.");
  }
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isPromptMessage)) {
    throw new ApiError(400, "invalid_request_error", "“messages” is not a list of messages with a role.");
  }
  return { model, messages, stream: streamed === true };
}

/**
 * @param {unknown} value
 * @returns {value is PromptMessage}
 */
function isPromptMessage(value) {
  return typeof value === "object" && value !== null && "role" in value && typeof value.role === "string";
}

/**
 * @param {IncomingMessage} request
 * @returns {Promise<string>}
 */
async function readBody(request) {
  /** @type {Buffer[]} */
  const parts = [];
  let bytes = 0;
  for await (const part of /** @type {AsyncIterable<Buffer>} */ (request)) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new ApiError(413, "invalid_request_error", `The body is over ${BODY_BYTES_MAX} bytes.`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/**
 * Sends one event; waits when the reader is behind.
 * @param {ServerResponse} response
 * @param {string} data
 */
async function sendEvent(response, data) {
  if (response.write(`data: ${data}\n\n`) || response.destroyed) return;
  await new Promise((resolve) => {
    response.once("drain", resolve);
    response.once("close", resolve);
  });
}

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {object} body
 */
function sendJson(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json; charset=utf-8" });
  response.end(JSON.stringify(body));
}

/** @param {ApiError} error */
function errorBody({ message, type }) {
  return { error: { message, type, param: null, code: null } };
}

/**
 * @param {string} option
 * @param {string} text
 * @param {number} max
 */
function wholeNumber(option, text, max) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 0 || value > max) {
    console.error(`${option} takes a whole number from 0 to ${max}, not “${text}”.`);
    process.exit(2);
  }
  return value;
}
