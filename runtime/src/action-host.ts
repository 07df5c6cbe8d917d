/**
 * An action host: a process that runs actions and HTTP actions and evaluates pushed code. It holds no state that
 * matters; the engine may kill it at any moment.
 *
 * It speaks to the engine over a socket, its third descriptor (see `channel.ts`), so that user code may print what it
 * likes. `argv[2]` says which runtime it is:
 * `isolate` for the default runtime, `node` for `"use node"` modules, whose files go to the folder `argv[3]`.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { Socket } from "node:net";
import process from "node:process";

import { ActionContext, type ActionCode, type ActionServices } from "./action.ts";
import { ActionRealms } from "./action-realms.ts";
import { IncomingBodies, OutgoingBodies } from "./bodies.ts";
import { FrameWriter, readFrames } from "./channel.ts";
import type { LogLevel } from "./console.ts";
import { evaluate } from "./evaluate.ts";
import { type FileMessage, InvocationFiles, type LoadArgs, type StoreArgs } from "./files.ts";
import { HttpExchange, type RequestJson } from "./http-action.ts";
import { CodeCache } from "./modules.ts";
import { NodeRuntime } from "./node-actions.ts";
import { CallFailure, describeThrown, type JsError } from "./outcome.ts";
import { PROTECTED_CHANGE } from "./protect.ts";
import type { FromHost, PackageModule, ToHost } from "./protocol.ts";
import type { HostCallError } from "./realm.ts";
import { StackTranslator } from "./stack-trace.ts";

/** Where the engine has put the channel. */
const CHANNEL_FD = 3;
const channel = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
const writer = new FrameWriter(channel);

const isNodeHost = process.argv[2] === "node";
const incoming = new IncomingBodies(writer);
const outgoing = new OutgoingBodies(writer);
const packages = new Map<string, StoredPackage>();
const realms = new ActionRealms(new CodeCache());
const running = new Map<string, Running>();
/** Tells which invocation a stray rejection belongs to. */
const invocations = new AsyncLocalStorage<Running>();
const nodeRuntime = isNodeHost ? new NodeRuntime(process.argv[3] ?? "") : undefined;

/** A pushed package, as this process knows it. */
class StoredPackage implements ActionCode {
  readonly version: string;
  readonly importSeed: string;
  readonly importTimeMs: number;
  readonly stacks: StackTranslator;
  readonly #sources: Map<string, string>;

  constructor(version: string, modules: PackageModule[], importSeed: string, importTimeMs: number) {
    this.version = version;
    this.importSeed = importSeed;
    this.importTimeMs = importTimeMs;
    this.#sources = new Map(modules.map((module) => [module.path, module.source]));
    const maps = new Map(modules.map((module) => [module.path, module.sourceMap]));
    this.stacks = new StackTranslator((path) => maps.get(path) ?? undefined);
  }

  read(path: string): string | undefined {
    return this.#sources.get(path);
  }
}

/** One invocation and the host calls it waits for. */
class Running implements ActionServices {
  readonly id: string;
  exchange: HttpExchange | undefined;
  /** Where it runs, in the default runtime. */
  context: ActionContext | undefined;
  /** Rejects when user code leaves a rejection unhandled, which fails the invocation. */
  readonly stray: Promise<never>;
  #fail: (reason: unknown) => void = () => undefined;
  readonly #calls = new Map<number, { resolve: (value: string) => void; reject: (error: HostCallError) => void }>();
  #nextCall = 1;
  readonly #files: InvocationFiles;

  constructor(id: string) {
    this.id = id;
    this.#files = new InvocationFiles({ ask: (message) => this.#ask(message), incoming, outgoing });
    this.stray = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    // Nobody may be waiting for it yet, or any more.
    this.stray.catch(() => undefined);
  }

  fail(reason: unknown): void {
    this.#fail(reason);
  }

  syscall(
    op: string,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void {
    send({ type: "syscall", id: this.id, call: this.#expect(resolve, reject), op, args });
  }

  /** Sends a message that is answered like a host call. */
  async #ask(message: FileMessage): Promise<string> {
    return await new Promise<string>((resolve, reject) => {
      const call = this.#expect(resolve, (error) => { reject(new Error(error.message)); });
      send({ ...message, id: this.id, call });
    });
  }

  #expect(resolve: (value: string) => void, reject: (error: HostCallError) => void): number {
    const call = this.#nextCall;
    this.#nextCall += 1;
    this.#calls.set(call, { resolve, reject });
    return call;
  }

  reply(call: number, ok: boolean, text: string, data: string | undefined): void {
    const waiting = this.#calls.get(call);
    this.#calls.delete(call);
    this.inside(() => {
      if (ok) {
        waiting?.resolve(text);
      } else {
        waiting?.reject({ message: text, data });
      }
    });
  }

  /** Does something that may run user code, so that rejections and exceptions which follow are this invocation's. */
  inside(work: () => void): void {
    invocations.run(this, work);
  }

  /** Ends what user code left running. */
  close(): void {
    this.inside(() => {
      this.context?.close();
      this.#files.close();
    });
  }

  log(level: LogLevel, messages: string[], truncated: boolean): void {
    send({ type: "log", id: this.id, level, messages, truncated, timestamp: Date.now() });
  }

  jsSyscall(op: string, args: unknown): unknown {
    switch (op) {
      case "requestFromConvexJson":
        return this.#exchange(op).request((args as { convexJson: RequestJson }).convexJson);
      case "convexJsonFromResponse":
        return this.#exchange(op).take((args as { response: unknown }).response);
      case "storage/storeBlob":
        return this.#files.store(args as StoreArgs);
      case "storage/getBlob":
        return this.#files.load(args as LoadArgs);
      default:
        return this.#refuse(op);
    }
  }

  /** Ends the invocation, whether or not user code catches the exception. */
  #refuse(op: string): never {
    const failure = new CallFailure(`Unknown JS syscall: ${op}`);
    this.#fail(failure);
    throw failure;
  }

  #exchange(op: string): HttpExchange {
    if (this.exchange === undefined) {
      return this.#refuse(op);
    }
    return this.exchange;
  }
}

function send(message: FromHost): void {
  writer.message(message);
}

function packageFor(version: string): StoredPackage {
  const found = packages.get(version);
  if (found === undefined) {
    throw new CallFailure("the engine did not send the code of this call");
  }
  return found;
}

async function runAction(message: Extract<ToHost, { type: "action" }>): Promise<void> {
  const run = new Running(message.id);
  running.set(message.id, run);
  try {
    const { id, version, modulePath, exportName, argsJson } = message;
    const work = invocations.run(run, () =>
      nodeRuntime === undefined
        ? runIsolateAction(message, run)
        : nodeRuntime.run(id, version, modulePath, exportName, argsJson, run),
    );
    const value = await Promise.race([work, run.stray]);
    send({ type: "outcome", id: message.id, ok: true, value });
  } catch (thrown) {
    send({ type: "outcome", id: message.id, ok: false, error: describeThrown(thrown) });
  } finally {
    running.delete(message.id);
    run.close();
  }
}

async function runIsolateAction(message: Extract<ToHost, { type: "action" }>, run: Running): Promise<string> {
  const { modulePath, exportName } = message;
  return await inRealm(message, modulePath, run, true, async (context) => {
    const target = await context.export(modulePath, exportName);
    const invoke: unknown = (target as Record<string, unknown>).invokeAction;
    if (typeof invoke !== "function") {
      throw new CallFailure(`Function "${modulePath}:${exportName}" is not an action`);
    }
    const result: unknown = await context.run(() =>
      (invoke as (id: string, args: string) => unknown).call(target, message.id, message.argsJson),
    );
    if (typeof result !== "string") {
      throw new CallFailure(`Function "${modulePath}:${exportName}" did not return JSON text`);
    }
    return result;
  });
}

/**
 * Runs an action in a realm that others have used, if it may, or in one of its own. Code that changes what is protected in
 * a shared realm gets its own from then on; so does this very run, if it `canBegin` again because nobody has noticed it.
 */
async function inRealm<T>(
  message: Extract<ToHost, { type: "action" | "http" }>,
  modulePath: string,
  run: Running,
  canBegin: boolean,
  work: (context: ActionContext) => Promise<T>,
): Promise<T> {
  const code = packageFor(message.version);
  const own = realms.take(code, modulePath, message.sharesContext);
  const context = new ActionContext(own, code, message.env, run);
  run.context = context;
  let result: T;
  try {
    result = await work(context);
  } catch (thrown) {
    const isRealmsFault = own.isShared && (context.isImporting || PROTECTED_CHANGE.test(describeThrown(thrown).message));
    if (isRealmsFault) {
      realms.refuse(code.version, modulePath);
    }
    if (!isRealmsFault || !canBegin || context.hasEffects) {
      throw thrown;
    }
    context.close();
    return await inRealm({ ...message, sharesContext: false }, modulePath, run, false, work);
  }
  const isQuiet = context.isQuiet();
  context.finish();
  if (!own.isPure) {
    realms.refuse(code.version, modulePath);
  } else if (isQuiet) {
    realms.give(own);
  }
  return result;
}

async function runHttpAction(message: Extract<ToHost, { type: "http" }>): Promise<void> {
  const run = new Running(message.id);
  running.set(message.id, run);
  try {
    await Promise.race([invocations.run(run, () => serveRequest(message, run)), run.stray]);
    send({ type: "outcome", id: message.id, ok: true, value: "null" });
  } catch (thrown) {
    send({ type: "outcome", id: message.id, ok: false, error: describeThrown(thrown) });
  } finally {
    running.delete(message.id);
    run.close();
    outgoing.cancel(message.responseStream);
    const { requestStream } = message;
    if (requestStream !== null) {
      run.inside(() => { incoming.end(requestStream, "the action has ended"); });
    }
  }
}

async function serveRequest(message: Extract<ToHost, { type: "http" }>, run: Running): Promise<void> {
  const { requestStream } = message;
  const body = requestStream === null ? null : incoming.open(requestStream);
  // A body that was read cannot be read again.
  const canBegin = body === null;
  await inRealm(message, "http.js", run, canBegin, async (context) => {
    const exchange = new HttpExchange(body);
    run.exchange = exchange;
    await respond(message, context, exchange);
  });
}

async function respond(
  message: Extract<ToHost, { type: "http" }>,
  context: ActionContext,
  exchange: HttpExchange,
): Promise<void> {
  const namespace = await context.load("http.js");
  const router = namespace.default as Record<string, unknown> | undefined;
  if (router === undefined) {
    throw new CallFailure('Couldn\'t find default export in module "http.js".');
  }
  const handle = router.runRequest;
  if (router.isRouter !== true || typeof handle !== "function") {
    throw new CallFailure("The default export of `convex/http.js` is not a Router.");
  }
  await context.run(async () => {
    if (isRouted(router, message.routedPath, message.method)) {
      const request = { method: message.method, url: message.url, headerPairs: message.headers };
      await (handle as (request: string, path: string) => Promise<string>).call(
        router,
        JSON.stringify(request),
        message.routedPath,
      );
    } else {
      exchange.take(new Response("No matching routes found", { status: 404 }));
    }
    const head = exchange.head();
    send({ type: "head", id: message.id, status: head.status, headers: head.headers });
    await exchange.sendBody(message.responseStream, outgoing);
  });
}

/** Routers may be the app's own; one that cannot tell is asked to handle everything. */
function isRouted(router: Record<string, unknown>, path: string, method: string): boolean {
  const { lookup } = router;
  return (
    typeof lookup !== "function" ||
    (lookup as (path: string, method: string) => unknown).call(router, path, method) !== null
  );
}

async function runEvaluation(message: Extract<ToHost, { type: "evaluate" }>): Promise<void> {
  for (const task of message.tasks) {
    const reply = await evaluateTask(message, task);
    send({ type: "evaluated", id: message.id, reply: reply.ok ? { Ok: reply.value } : { Err: reply.error } });
  }
}

async function evaluateTask(
  message: Extract<ToHost, { type: "evaluate" }>,
  task: Extract<ToHost, { type: "evaluate" }>["tasks"][number],
): ReturnType<typeof evaluate> {
  if (nodeRuntime === undefined) {
    return await evaluate(packageFor(message.version), message.env, task);
  }
  const runtime = nodeRuntime;
  return await evaluate(packageFor(message.version), message.env, task, async () =>
    await runtime.import(message.version, task.path),
  );
}

function receive(message: ToHost): void {
  switch (message.type) {
    case "code":
      packages.set(
        message.version,
        new StoredPackage(message.version, message.modules, message.importSeed, message.importTimeMs),
      );
      nodeRuntime?.addPackage(message.version, message.modules, message.nodeModules);
      return;
    case "dropCode":
      packages.delete(message.version);
      realms.drop(message.version);
      return;
    case "action":
      void runAction(message);
      return;
    case "http":
      void runHttpAction(message);
      return;
    case "evaluate":
      void runEvaluation(message);
      return;
    case "reply":
      running.get(message.id)?.reply(message.call, message.ok, message.text, message.data);
      return;
    case "bodyEnd":
      incoming.end(message.stream, message.error);
      return;
    case "bodyCredit":
      outgoing.credit(message.stream);
      return;
    case "abort": {
      const run = running.get(message.id);
      run?.inside(() => run.exchange?.abort.abort());
      return;
    }
    case "end":
      running.get(message.id)?.fail(new CallFailure("nobody waits for this invocation any more"));
      return;
    case "bodyCancel":
      outgoing.cancel(message.stream);
      return;
    case "ping":
      send({ type: "pong", token: message.token });
      return;
  }
}

process.on("unhandledRejection", (reason) => {
  const run = invocations.getStore();
  if (run !== undefined && !isNodeHost) {
    run.fail(reason);
  } else if (isNodeHost || running.size === 0) {
    failAll(describeThrown(reason));
  } else {
    // Nobody's that is known of: no reason to fail those who run.
    process.stderr.write(`an action left a rejection behind: ${describeThrown(reason).message}\n`);
  }
});
process.on("uncaughtException", (error) => {
  const run = invocations.getStore();
  if (run === undefined || isNodeHost) {
    failAll(describeThrown(error));
  } else {
    run.fail(error);
  }
});

/** Fails every running invocation, and the process with them: nobody can tell what state it is in. */
function failAll(error: JsError): void {
  // Before the failures: who hears of one may call again at once, and is to find another process.
  send({ type: "ending" });
  for (const id of running.keys()) {
    send({ type: "outcome", id, ok: false, error });
  }
  running.clear();
  // Let the frames leave before the process does.
  channel.write("", () => process.exit(1));
}

readFrames(channel, {
  message: (message) => {
    receive(message as unknown as ToHost);
  },
  body: (stream, bytes) => {
    incoming.push(stream, bytes);
  },
  closed: () => process.exit(0),
});
send({ type: "ready" });
