/**
 * A realm: one `vm` context that looks to user code like a freshly started default runtime.
 *
 * ECMAScript's own objects are the context's; the Web API is Node's. Binary types are Node's too, because the Web API
 * hands them out and user code asks `instanceof ArrayBuffer`. Everything that depends on the call (clock, randomness,
 * environment, host calls, console) comes from the `RealmHost`.
 *
 * This file never talks to the engine.
 */

import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { isNativeError } from "node:util/types";
import vm from "node:vm";

import { consoleMethods, type ConsoleMethods, type LogWriter } from "./console.ts";
import { INSTALLER, rememberFrames } from "./outcome.ts";
import { protect, type Protection } from "./protect.ts";
import { compileAtOnce } from "./web-assembly.ts";
import { refusalText } from "./web-guards.ts";

/** What kind of code runs in the realm; decides which features are refused. */
export type RealmKind = "transaction" | "action";

/** A host call that failed, as user code is to see it. */
export interface HostCallError {
  message: string;
  /** JSON text of the data of a nested function's `ConvexError`. */
  data?: string | undefined;
}

/** What a realm asks of the call that runs in it. Attached when the call starts; see `Realm.attach`. */
export interface RealmHost {
  /** True while modules are being evaluated. */
  importing: boolean;
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds since the call began. */
  elapsed(): number;
  /** What `elapsed` would count from, in milliseconds since the Unix epoch. */
  timeOrigin(): number;
  /** Lines of a stack, `    at ...` each, with positions in the author's sources; those of no interest left out. */
  mapStack(lines: string[]): string[];
  randomDouble(): number;
  randomFill(bytes: Uint8Array): void;
  randomUuid(): string;
  env(name: string): string | undefined;
  log: LogWriter;
  /** Running timers of `console.time`. */
  timers(): Map<string, number>;
  syscall(op: string, args: string): { ok: true; value: string } | { ok: false; error: HostCallError };
  asyncSyscall(
    op: string,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void;
  jsSyscall(op: string, args: unknown): unknown;
  /** Actions only: globals with real effects. */
  effects?: EffectGlobals;
  /** Called before user code touches a Web API whose promises settle outside the microtask queue. */
  mayWait(): void;
  /** Called when such an operation begins; the returned function is called when it ends. */
  hold(): () => void;
}

/** Globals that only actions may use. */
export interface EffectGlobals {
  fetch: typeof fetch;
  setTimeout(handler: () => void, delay?: number): number;
  setInterval(handler: () => void, delay?: number): number;
  clearTimeout(id?: number): void;
  clearInterval(id?: number): void;
}

/** Node's classes that user code sees as they are. */
const WEB_CLASSES = [
  "AbortController", "AbortSignal", "Blob", "ByteLengthQueuingStrategy", "CompressionStream", "CountQueuingStrategy",
  "Crypto", "CryptoKey", "DOMException", "DecompressionStream", "Event", "EventTarget", "File", "FormData", "Headers",
  "ReadableByteStreamController", "ReadableStream", "ReadableStreamBYOBReader", "ReadableStreamBYOBRequest",
  "ReadableStreamDefaultController", "ReadableStreamDefaultReader", "Request", "Response", "SubtleCrypto",
  "TextDecoder", "TextDecoderStream", "TextEncoder", "TextEncoderStream", "TransformStream",
  "TransformStreamDefaultController", "URL", "URLSearchParams", "WritableStream", "WritableStreamDefaultController",
  "WritableStreamDefaultWriter", "Performance", "PerformanceEntry", "PerformanceMark", "PerformanceMeasure",
] as const;

/** Binary types, shared with the Web API. */
const BINARY_CLASSES = [
  "ArrayBuffer", "SharedArrayBuffer", "DataView", "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array",
  "Uint16Array", "Int32Array", "Uint32Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array",
] as const;

/** Web APIs whose promises are settled by the event loop rather than by microtasks. */
const WAITING_CLASSES = new Set<string>(["Blob", "File", "Request", "Response", "FormData", "CompressionStream", "DecompressionStream"]);

/** What all realms of a thread share, by its global name. */
export const SHARED_CLASSES: Readonly<Record<string, unknown>> = sharedClasses();

/**
 * Protects the thread's own objects, which all its realms lead to: the Web API's, and those that it returns and throws.
 * To be called once everything is loaded.
 */
export function protectThread(): void {
  const intrinsics = [
    Object, Function, Array, Promise, Error, Map, Set, WeakMap, WeakSet, Symbol, String, Number, Boolean, BigInt,
  ];
  // Node makes streams, blobs and copies of bodies from empty objects, to which it assigns their constructor.
  const constructed = WEB_CLASSES.map((name) => (SHARED_CLASSES[name] as { prototype?: object } | undefined)?.prototype);
  protect(
    [...intrinsics, ...Object.values(SHARED_CLASSES)],
    new Set(),
    constructed.filter((prototype) => prototype !== undefined),
  );
}

/** Whether contexts can be shared: in older versions of Node, their global objects cannot be frozen. */
export const CAN_SHARE: boolean = "DONT_CONTEXTIFY" in (vm.constants as object | undefined ?? {});

function sharedClasses(): Record<string, unknown> {
  const classes: Record<string, unknown> = { AsyncLocalStorage, AsyncResource };
  const globals = globalThis as unknown as Record<string, unknown>;
  for (const name of [...WEB_CLASSES, ...BINARY_CLASSES, "atob", "btoa", "structuredClone"]) {
    if (globals[name] !== undefined) {
      classes[name] = globals[name];
    }
  }
  return classes;
}

/** What the installer inside the context receives. */
interface Outside {
  host(): RealmHost;
  isNativeError(value: unknown): boolean;
  OuterError: ErrorConstructor;
  refuse(feature: string): never;
  /** The text of a stack for user code, from its first line and its frames. */
  stack(error: object, head: string, frames: string[]): string;
  isAction: boolean;
  console: ConsoleMethods;
  classes: Readonly<Record<string, unknown>>;
  mayWait: string[];
  subtle: typeof globalThis.crypto.subtle;
  outerPerformance: typeof globalThis.performance;
}

export interface RealmOptions {
  /** Whether calls share it, so that it is protected against changes. */
  isShared?: boolean;
}

/**
 * The call on whose behalf code of a shared realm runs, even when another call resumed it. It takes 0.2 us a call with
 * Node 24, which keeps the asynchronous context in V8; with older versions each promise of the thread pays for it.
 */
const callers = new AsyncLocalStorage<RealmHost>();

/** What `vm.createContext` makes a context of. With an ordinary global object, globals are found three times faster. */
const CONTEXT_SEED = (vm.constants as unknown as { DONT_CONTEXTIFY?: object } | undefined)?.DONT_CONTEXTIFY;

/** One context. */
export class Realm {
  readonly context: vm.Context;
  readonly #promisePrototype: object;
  readonly #isShared: boolean;
  readonly #protection: Protection | undefined;
  #host: RealmHost | undefined;

  constructor(kind: RealmKind, { isShared = false }: RealmOptions = {}) {
    this.#isShared = isShared;
    this.context = vm.createContext(CONTEXT_SEED ?? (Object.create(null) as object), {
      name: "freshet",
      codeGeneration: { strings: false, wasm: true },
    });
    const outside: Outside = {
      host: () => this.#current(),
      isNativeError,
      OuterError: Error,
      refuse: (feature) => {
        throw new Error(refusalText(feature, this.#current().importing));
      },
      stack: (error, head, frames) => {
        rememberFrames(error, frames);
        const lines = (this.#hostOrNone()?.mapStack(frames) ?? []).map((line) => `\n${line}`);
        return `${head}${lines.join("")}`;
      },
      isAction: kind === "action",
      console: consoleMethods(
        (level, messages, truncated) => { this.#current().log(level, messages, truncated); },
        () => this.#current().now(),
        () => this.#current().timers(),
        (lines) => this.#current().mapStack(lines),
      ),
      classes: SHARED_CLASSES,
      mayWait: [...WAITING_CLASSES],
      subtle: globalThis.crypto.subtle,
      outerPerformance: globalThis.performance,
    };
    const installer = INSTALL_SCRIPT.runInContext(this.context) as (outside: Outside) => object;
    this.#promisePrototype = installer(outside);
    if (kind === "transaction") {
      (WEB_ASSEMBLY_SCRIPT.runInContext(this.context) as typeof compileAtOnce)((feature) => outside.refuse(feature));
    }
    if (isShared) {
      const protectRealm = PROTECT_SCRIPT.runInContext(this.context) as typeof protect;
      const global: unknown = vm.runInContext("globalThis", this.context);
      // An action's `performance` is the thread's.
      this.#protection = protectRealm([global], new Set([...threadObjects, globalThis.performance]));
    }
  }

  /** Binds the realm to the call that it serves. */
  attach(host: RealmHost): void {
    this.#host = host;
  }

  /** Ends the service of a call: code that is still there finds nobody to ask. */
  detach(): void {
    this.#host = undefined;
  }

  /** Runs code of the realm on behalf of `host`, in an asynchronous context of its own. */
  run<T>(host: RealmHost, code: () => T): T {
    return callers.run(host, code);
  }

  /** Whether a shared realm is as it was when it was made, apart from its modules. */
  isIntact(): boolean {
    return this.#protection?.isIntact() ?? false;
  }

  /** Whether a promise was made by code of this realm. */
  owns(promise: object): boolean {
    return Object.prototype.isPrototypeOf.call(this.#promisePrototype, promise);
  }

  /** An error object of the realm's own class `name`. */
  error(name: "Error" | "TypeError", message: string): Error {
    const constructor = vm.runInContext(name, this.context) as new (message: string) => Error;
    return new constructor(message);
  }

  #hostOrNone(): RealmHost | undefined {
    return (this.#isShared ? callers.getStore() : undefined) ?? this.#host;
  }

  #current(): RealmHost {
    const host = this.#hostOrNone();
    if (host === undefined) {
      throw new Error("no function is running");
    }
    return host;
  }
}

/**
 * Runs inside the context, so that functions, promises, errors and dates that user code meets belong to it. It is
 * turned to text and compiled there: it must not refer to anything outside its own body. Returns the prototype of the
 * realm's promises.
 */
function install(outside: Outside): object {
  const realm = globalThis as unknown as Record<string, unknown>;
  const define = (name: string, value: unknown): void => {
    Object.defineProperty(realm, name, { value, writable: true, configurable: true, enumerable: false });
  };
  const host = (): RealmHost => outside.host();

  // Node's exceptions come from another realm; `instanceof Error` has to hold for them all the same.
  const hasInstance = Function.prototype[Symbol.hasInstance];
  const errorNames = ["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"];
  for (const name of errorNames) {
    const constructor = realm[name] as ErrorConstructor;
    Object.defineProperty(constructor, Symbol.hasInstance, {
      value(this: unknown, candidate: unknown): boolean {
        if (hasInstance.call(this as ErrorConstructor, candidate)) {
          return true;
        }
        if (this !== constructor || typeof candidate !== "object" || candidate === null) {
          return false;
        }
        if (!outside.isNativeError(candidate) && !(candidate instanceof outside.OuterError)) {
          return false;
        }
        return name === "Error" || (candidate as Error).name === name;
      },
    });
  }

  // Stacks point into the author's sources. What this makes is computed when `stack` is first read.
  Object.defineProperty(Error, "prepareStackTrace", {
    value: (error: Error, sites: readonly { toString(): string }[]): string => {
      let head: string;
      try {
        head = String(error);
      } catch {
        head = "<error>";
      }
      return outside.stack(error, head, sites.map((site) => `    at ${site.toString()}`));
    },
    writable: true,
    configurable: true,
  });

  const toError = (error: HostCallError): Error => {
    const made: Error & { data?: unknown } = new Error(error.message);
    if (error.data !== undefined) {
      made.data = JSON.parse(error.data);
    }
    return made;
  };
  define("Convex", {
    syscall(op: unknown, args: unknown): string {
      const reply = host().syscall(String(op), String(args));
      if (!reply.ok) {
        throw toError(reply.error);
      }
      return reply.value;
    },
    asyncSyscall(op: unknown, args: unknown): Promise<string> {
      return new Promise((resolve, reject) => {
        host().asyncSyscall(String(op), String(args), resolve, (error) => { reject(toError(error)); });
      });
    },
    jsSyscall(op: unknown, args: unknown): unknown {
      const result = host().jsSyscall(String(op), args);
      if (!String(op).startsWith("storage/")) {
        return result;
      }
      // User code gets a promise and errors of its own realm.
      return new Promise((resolve, reject) => {
        (result as Promise<unknown>).then(resolve, (error: unknown) => { reject(toError({ message: (error as Error).message })); });
      });
    },
  });

  // The clock. `Date` stays a real constructor for every explicit time.
  const RealDate = Date;
  const dateNow = (): number => host().now();
  RealDate.now = dateNow;
  const FixedDate = new Proxy(RealDate, {
    construct(target, args: unknown[], newTarget: new () => unknown): object {
      return Reflect.construct(target, args.length === 0 ? [dateNow()] : args, newTarget) as object;
    },
    apply(): string {
      return new RealDate(dateNow()).toString();
    },
  });
  RealDate.prototype.constructor = FixedDate;
  define("Date", FixedDate);

  Object.defineProperty(Math, "random", {
    value: function random(): number {
      return host().randomDouble();
    },
    writable: true,
    configurable: true,
  });

  // Without a date they format the real time.
  const formatPrototype = Intl.DateTimeFormat.prototype;
  const getFormat: unknown = Reflect.getOwnPropertyDescriptor(formatPrototype, "format")?.get;
  type Format = (date?: Date | number) => string;
  const formats = new WeakMap<Format, Format>();
  // `null` is a time of its own.
  const orNow = (...[date]: [Date | number | undefined]): Date | number => {
    if (date === undefined) {
      return dateNow();
    }
    return date;
  };
  Object.defineProperty(formatPrototype, "format", {
    get(this: Intl.DateTimeFormat): Format {
      const bound = (getFormat as (this: Intl.DateTimeFormat) => Format).call(this);
      let format = formats.get(bound);
      if (format === undefined) {
        format = (date?: Date | number) => bound(orNow(date));
        formats.set(bound, format);
      }
      return format;
    },
    configurable: true,
  });
  const formatToParts: unknown = Reflect.get(formatPrototype, "formatToParts");
  Object.defineProperty(formatPrototype, "formatToParts", {
    value: function (this: Intl.DateTimeFormat, date?: Date | number) {
      return (formatToParts as (date: Date | number) => Intl.DateTimeFormatPart[]).call(this, orNow(date));
    },
    writable: true,
    configurable: true,
  });

  // It would block the thread, and everyone who shares it.
  Object.defineProperty(Atomics, "wait", {
    value: function wait(): never {
      throw new TypeError("Atomics.wait cannot be called in this context");
    },
    writable: true,
    configurable: true,
  });

  for (const [name, value] of Object.entries(outside.classes)) {
    if (outside.mayWait.includes(name)) {
      Object.defineProperty(realm, name, {
        get(): unknown {
          host().mayWait();
          return value;
        },
        set(replacement: unknown): void {
          define(name, replacement);
        },
        configurable: true,
        enumerable: false,
      });
    } else {
      define(name, value);
    }
  }

  const quota = 65_536;
  const subtle = outside.subtle;
  /** Operations whose results differ from one time to the next, and so are no part of a transaction. */
  const isRandom = (name: string, args: unknown[]): boolean => {
    const algorithmOf = (value: unknown): string => {
      const name = typeof value === "object" && value !== null ? (value as { name?: unknown }).name : value;
      return String(name).toUpperCase();
    };
    switch (name) {
      case "generateKey":
        return true;
      case "sign":
        return ["ECDSA", "RSA-PSS"].includes(algorithmOf(args[0]));
      case "encrypt":
        return algorithmOf(args[0]) === "RSA-OAEP";
      case "wrapKey":
        return algorithmOf(args[3]) === "RSA-OAEP";
      default:
        return false;
    }
  };
  const subtleFacade: Record<string, unknown> = {};
  const subtleMethods = [
    "decrypt", "deriveBits", "deriveKey", "digest", "encrypt", "exportKey", "generateKey", "importKey", "sign",
    "unwrapKey", "verify", "wrapKey",
  ] as const;
  for (const name of subtleMethods) {
    const method = Reflect.get(subtle, name) as (...args: unknown[]) => Promise<unknown>;
    Object.defineProperty(subtleFacade, name, {
      value: async (...args: unknown[]): Promise<unknown> => {
        if (!outside.isAction && isRandom(name, args)) {
          outside.refuse("cryptographic randomness");
        }
        const release = host().hold();
        try {
          return await method.apply(subtle, args);
        } finally {
          release();
        }
      },
      enumerable: true,
    });
  }
  define("crypto", {
    subtle: subtleFacade,
    getRandomValues<T extends ArrayBufferView>(array: T): T {
      if (array.byteLength > quota) {
        const QuotaError = outside.classes.DOMException as new (message: string, name: string) => Error;
        throw new QuotaError(
          `The ArrayBufferView's byte length (${array.byteLength}) exceeds the number of bytes of entropy available via this API (${quota})`,
          "QuotaExceededError",
        );
      }
      host().randomFill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
      return array;
    },
    randomUUID(): string {
      return host().randomUuid();
    },
  });

  if (outside.isAction) {
    define("performance", outside.outerPerformance);
    const effects = (): EffectGlobals => {
      const found = host().effects;
      return found === undefined || host().importing ? outside.refuse("I/O") : found;
    };
    define("fetch", async function fetch(...args: Parameters<typeof globalThis.fetch>): Promise<Response> {
      if (host().importing) {
        outside.refuse("fetch()");
      }
      return await effects().fetch(...args);
    });
    type Handler = (...args: unknown[]) => void;
    define("setTimeout", (handler: Handler, delay?: number, ...args: unknown[]) => {
      if (host().importing) {
        outside.refuse("setTimeout");
      }
      return effects().setTimeout(() => { handler(...args); }, delay);
    });
    define("setInterval", (handler: Handler, delay?: number, ...args: unknown[]) => {
      if (host().importing) {
        outside.refuse("setInterval");
      }
      return effects().setInterval(() => { handler(...args); }, delay);
    });
    define("clearTimeout", (id?: number) => {
      effects().clearTimeout(id);
    });
    define("clearInterval", (id?: number) => {
      effects().clearInterval(id);
    });
  } else {
    define("performance", {
      now: () => host().elapsed(),
      get timeOrigin() {
        return host().timeOrigin();
      },
      mark: () => undefined,
      measure: () => undefined,
    });
    // When garbage is collected must not show: what is referred to stays, and nobody is told of what goes.
    const targets = new WeakMap<object, WeakKey>();
    const StrongRef = class WeakRef {
      constructor(target: unknown) {
        if ((typeof target !== "object" || target === null) && typeof target !== "function" && typeof target !== "symbol") {
          throw new TypeError("WeakRef: target must be an object");
        }
        targets.set(this, target);
      }
      deref(): WeakKey | undefined {
        return targets.get(this);
      }
    };
    Object.defineProperty(StrongRef.prototype, Symbol.toStringTag, { value: "WeakRef", configurable: true });
    define("WeakRef", StrongRef);
    const SilentRegistry = class FinalizationRegistry {
      constructor(callback: unknown) {
        if (typeof callback !== "function") {
          throw new TypeError("FinalizationRegistry: cleanup must be callable");
        }
      }
      register(): void {
        // Nobody is ever told.
      }
      unregister(): boolean {
        return false;
      }
    };
    Object.defineProperty(SilentRegistry.prototype, Symbol.toStringTag, { value: "FinalizationRegistry", configurable: true });
    define("FinalizationRegistry", SilentRegistry);
    // Waits for the real clock.
    Reflect.deleteProperty(Atomics, "waitAsync");

    define("fetch", () => outside.refuse("fetch()"));
    define("setTimeout", () => outside.refuse("setTimeout"));
    define("setInterval", () => outside.refuse("setInterval"));
    define("clearTimeout", () => undefined);
    define("clearInterval", () => undefined);
  }
  define("queueMicrotask", (callback: () => void) => {
    void Promise.resolve().then(callback);
  });

  const environment = new Proxy(Object.create(null) as Record<string, string>, {
    get(_target, name): string | undefined {
      if (typeof name !== "string") {
        return undefined;
      }
      if (!/^[A-Za-z_$][A-Za-z0-9_$]*$/.test(name)) {
        throw new Error(`Invalid environment variable name ${JSON.stringify(name)}: names have letters, digits and underscores`);
      }
      return host().env(name);
    },
    has(_target, name): boolean {
      return typeof name === "string" && host().env(name) !== undefined;
    },
    set(): boolean {
      throw new TypeError("process.env is read-only in functions; set variables with `npx convex env set`");
    },
    deleteProperty(): boolean {
      throw new TypeError("process.env is read-only in functions; remove variables with `npx convex env remove`");
    },
  });
  define("process", Object.freeze({ env: environment }));
  define("self", realm);

  const consoleObject: Record<string | symbol, unknown> = {};
  for (const [name, method] of Object.entries(outside.console)) {
    consoleObject[name] = (...values: unknown[]): void => {
      method(...values);
    };
  }
  Object.defineProperty(consoleObject, Symbol.toStringTag, { value: "console" });
  define("console", consoleObject);
  return Promise.prototype;
}

const INSTALL_SCRIPT = new vm.Script(`"use strict";(${install.toString()})`, { filename: INSTALLER });
/** What realms share; protected by `protectThread`, or put back after each call. */
const threadObjects = [...Object.values(SHARED_CLASSES), Function.prototype, Object.prototype];
const WEB_ASSEMBLY_SCRIPT = new vm.Script(`"use strict";(${compileAtOnce.toString()})`, { filename: INSTALLER });
const PROTECT_SCRIPT = new vm.Script(`"use strict";(${protect.toString()})`, { filename: INSTALLER });
