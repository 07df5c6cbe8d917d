/**
 * Evaluates pushed modules: runs their top level once, without a database or network, and reports what they export.
 *
 * It never judges what it finds beyond what only JavaScript can tell; rules about names, schemas and crons are the
 * engine's.
 */

import type { LogLevel } from "./console.ts";
import { type Position, positionOf } from "./function-position.ts";
import { ModuleGraph } from "./modules.ts";
import { describeThrown, type JsError } from "./outcome.ts";
import type { EvaluationTask } from "./protocol.ts";
import { SeededRandom } from "./random.ts";
import { Realm, type RealmHost } from "./realm.ts";
import type { ActionCode } from "./action.ts";

const LOG_LINES_MAX = 100;
const SCHEMA_ENVIRONMENT = "environment variables cannot be read in a schema";

interface FunctionReport {
  name: string;
  udfType: string;
  visibility: string | undefined;
  args: string | undefined;
  returns: string | undefined;
  /** Of the handler, in the bundled module. */
  position: Position | undefined;
}

interface ModuleReport {
  functions: FunctionReport[];
  httpRoutes: [string, string][] | undefined;
  crons: string | undefined;
  hasDefault: boolean;
}

export type EvaluationReply =
  | { ok: true; value: ({ type: "functions" } & ModuleReport) | { type: "text"; text: string } }
  | { ok: false; error: { error: JsError; logLines: string[]; code: string; missingEnv: string | undefined } };

/** A failure that has a name, for which the engine has its own text. */
class EvaluationFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Evaluates one module. `importModule` replaces the realm where Node itself loads the module, as it does for
 * `"use node"` files.
 */
export async function evaluate(
  code: ActionCode,
  env: Record<string, string>,
  task: EvaluationTask,
  importModule?: () => Promise<Record<string, unknown>>,
): Promise<EvaluationReply> {
  const logLines: string[] = [];
  let missingEnv: string | undefined;
  const lookUp = (name: string): string | undefined => {
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value === undefined) {
      missingEnv ??= name;
    }
    if (task.type === "schema") {
      throw new EvaluationFailure("environmentInSchema", SCHEMA_ENVIRONMENT);
    }
    if (value === undefined && task.type === "authConfig") {
      throw new EvaluationFailure("missingEnvironmentVariable", name);
    }
    return value;
  };
  try {
    const record = (level: LogLevel, messages: string[]): void => {
      logLines.push(`[${level}] ${messages.join(" ")}`);
      if (logLines.length > LOG_LINES_MAX) {
        logLines.shift();
      }
    };
    const chance = task.type === "authConfig" ? NO_CHANCE : chanceOf(code);
    const namespace = await (importModule?.() ?? load(code, task, chance, lookUp, record));
    return { ok: true, value: inspectModule(task, namespace, code.read(task.path)) };
  } catch (thrown) {
    const code = thrown instanceof EvaluationFailure ? thrown.code : "";
    return { ok: false, error: { error: describeThrown(thrown), logLines, code, missingEnv } };
  }
}

/** Clock and randomness while modules are evaluated: the same for every evaluation of the same code. */
type Chance = Pick<RealmHost, "now" | "elapsed" | "timeOrigin" | "randomDouble" | "randomFill" | "randomUuid">;

function chanceOf(code: ActionCode): Chance {
  const random = new SeededRandom(Buffer.from(code.importSeed, "hex"));
  return {
    now: () => code.importTimeMs,
    elapsed: () => 0,
    timeOrigin: () => code.importTimeMs,
    randomDouble: () => random.nextDouble(),
    randomFill: (bytes) => {
      random.fill(bytes);
    },
    randomUuid: () => random.uuid(),
  };
}

/** The auth config is evaluated again whenever a variable changes, and must not differ for any other reason. */
const NO_CHANCE: Chance = {
  now: () => refuse("The current time"),
  elapsed: () => refuse("The current time"),
  timeOrigin: () => refuse("The current time"),
  randomDouble: () => refuse("Randomness"),
  randomFill: () => refuse("Randomness"),
  randomUuid: () => refuse("Randomness"),
};

function refuse(what: string): never {
  throw new Error(`${what} cannot be used in auth.config.ts, which may depend on environment variables only`);
}

async function load(
  code: ActionCode,
  task: EvaluationTask,
  chance: Chance,
  env: (name: string) => string | undefined,
  log: (level: LogLevel, messages: string[]) => void,
): Promise<Record<string, unknown>> {
  const realm = new Realm("transaction");
  const timers = new Map<string, number>();
  const unsupported = (name: string): string => `${name} unsupported at import time`;
  realm.attach({
    importing: true,
    ...chance,
    mapStack: (lines) => code.stacks.translate(lines),
    env,
    log,
    syscall: (op) => ({ ok: false, error: { message: databaseAtImport(op) } }),
    asyncSyscall: (op, _args, _resolve, reject) => {
      reject({ message: databaseAtImport(op) });
    },
    jsSyscall: (op) => {
      throw new Error(unsupported(op));
    },
    timers: () => timers,
    mayWait: () => undefined,
    hold: () => () => undefined,
  });
  const graph = new ModuleGraph({
    realm,
    read: (path) => code.read(path),
    version: code.version,
    dynamicImport: false,
  });
  return await graph.load(task.path);
}

function databaseAtImport(op: string): string {
  return op === "1.0/runUdf" || op.startsWith("1.0/actions/")
    ? "Cannot call another function at import time"
    : "Can't use database at import time";
}

type EvaluatedModule = ({ type: "functions" } & ModuleReport) | { type: "text"; text: string };

function inspectModule(task: EvaluationTask, namespace: Record<string, unknown>, source: string | undefined): EvaluatedModule {
  switch (task.type) {
    case "functions":
      return { type: "functions", ...reportModule(task.path, namespace, source) };
    case "schema":
    case "definition":
      return { type: "text", text: exportedText(namespace) };
    case "authConfig": {
      if (namespace.default === undefined) {
        throw new EvaluationFailure("missingDefaultExport", "there is no default export");
      }
      const text: unknown = JSON.stringify(namespace.default);
      if (typeof text !== "string") {
        throw new EvaluationFailure("wrongShape", "the default export is not an object");
      }
      return { type: "text", text };
    }
  }
}

/** What `default.export()` returns, as JSON text: schemas return text, definitions return an object. */
function exportedText(namespace: Record<string, unknown>): string {
  const exported = namespace.default;
  if (exported === undefined) {
    throw new EvaluationFailure("missingDefaultExport", "there is no default export");
  }
  const method: unknown = isObject(exported) ? exported.export : undefined;
  if (typeof method !== "function") {
    throw new EvaluationFailure("wrongShape", "the default export has no export() method");
  }
  const result: unknown = (method as () => unknown).call(exported);
  const text = typeof result === "string" ? result : JSON.stringify(result);
  if (typeof text !== "string") {
    throw new EvaluationFailure("wrongShape", "export() did not return an object");
  }
  return text;
}

function reportModule(path: string, namespace: Record<string, unknown>, source: string | undefined): ModuleReport {
  const report: ModuleReport = {
    functions: [],
    httpRoutes: undefined,
    crons: undefined,
    hasDefault: namespace.default !== undefined,
  };
  for (const name of Object.keys(namespace)) {
    const exported = namespace[name];
    if (!isObject(exported)) {
      continue;
    }
    const found = reportFunction(path, name, exported, source);
    if (found !== undefined) {
      report.functions.push(found);
    }
  }
  const main = namespace.default;
  if (path === "http.js" && isObject(main) && main.isRouter === true) {
    report.httpRoutes = routes(main);
  }
  if (path === "crons.js" && isObject(main) && main.isCrons === true) {
    report.crons = cronText(main);
  }
  return report;
}

function reportFunction(
  path: string,
  name: string,
  exported: Record<string, unknown>,
  source: string | undefined,
): FunctionReport | undefined {
  const kinds = [
    ["isQuery", "Query"],
    ["isMutation", "Mutation"],
    ["isAction", "Action"],
  ] as const;
  const present = kinds.filter(([property]) => property in exported);
  const [kind] = present;
  const isPublic = "isPublic" in exported;
  const isInternal = "isInternal" in exported;
  if (kind === undefined || present.length !== 1 || (isPublic && isInternal)) {
    return undefined;
  }
  const handler = "_handler" in exported ? exported._handler : exported;
  if ("_handler" in exported && typeof handler !== "function") {
    throw new Error(`Invalid _handler of ${path}:${name}: it is not a function`);
  }
  return {
    name,
    udfType: kind[1],
    visibility: isPublic ? "public" : isInternal ? "internal" : undefined,
    args: validatorText(path, name, exported, "exportArgs"),
    returns: validatorText(path, name, exported, "exportReturns"),
    position: positionOf(handler, source),
  };
}

function validatorText(
  path: string,
  name: string,
  exported: Record<string, unknown>,
  method: "exportArgs" | "exportReturns",
): string | undefined {
  const exporter = exported[method];
  if (typeof exporter !== "function") {
    return undefined;
  }
  const text: unknown = (exporter as () => unknown).call(exported);
  if (typeof text !== "string") {
    throw new Error(`Invalid ${method} return value: ${path}:${name} returned ${typeof text} instead of JSON text`);
  }
  return text;
}

function routes(router: Record<string, unknown>): [string, string][] {
  const getRoutes = router.getRoutes;
  if (typeof getRoutes !== "function") {
    throw new EvaluationFailure("wrongShape", "the router has no getRoutes() method");
  }
  const listed: unknown = (getRoutes as () => unknown).call(router);
  if (!Array.isArray(listed)) {
    throw new EvaluationFailure("wrongShape", "getRoutes() did not return an array");
  }
  return listed.map((route: unknown): [string, string] => {
    const [path, method] = route as [unknown, unknown];
    return [String(path), String(method)];
  });
}

function cronText(crons: Record<string, unknown>): string {
  const exporter = crons.export;
  const text: unknown = typeof exporter === "function" ? (exporter as () => unknown).call(crons) : undefined;
  if (typeof text !== "string") {
    throw new EvaluationFailure("wrongShape", "export() of the crons did not return JSON text");
  }
  return text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
