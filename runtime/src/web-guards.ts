/**
 * Keeps queries and mutations from seeing the real clock or real randomness through the Web API of their thread. To be
 * imported before anything that takes the Web API's classes from the global object.
 *
 * What has a sensible value that is the same each time gets that; the rest is refused with the documented text. Realms
 * look after ECMAScript's own objects themselves.
 */

/** What runs at the moment, as far as it matters here. */
export interface GuardedCall {
  importing: boolean;
  now(): number;
}

let current: (() => GuardedCall | undefined) | undefined;

/** Says how to find what runs. */
export function guardCalls(find: () => GuardedCall | undefined): void {
  current = find;
}

/** Half a gibibyte: an array buffer that grows to more than that at once is nobody's honest intention. */
const RESIZE_BYTES_MAX = 512 * 1024 * 1024;

const ADVICE = "Please consider using an action. See https://docs.convex.dev/functions/actions for more details.";

/** The text with which a feature is refused. */
export function refusalText(feature: string, importing: boolean): string {
  return importing ? `${feature} unsupported at import time` : `Can't use ${feature} in queries and mutations. ${ADVICE}`;
}

function refuse(feature: string): never {
  throw new Error(refusalText(feature, current?.()?.importing ?? false));
}

function now(): number {
  return current?.()?.now() ?? 0;
}

type Constructor = new (...args: never[]) => object;

/** Puts a class that prepares its arguments in the place of one of the thread's. */
function replaceClass(name: string, prepare: (args: unknown[]) => unknown[]): void {
  const globals = globalThis as unknown as Record<string, Constructor | undefined>;
  const original = globals[name];
  if (original === undefined) {
    return;
  }
  const replacement = new Proxy(original, {
    construct(target, args: unknown[], newTarget: Constructor): object {
      return Reflect.construct(target, prepare(args), newTarget) as object;
    },
  });
  Object.defineProperty(original.prototype, "constructor", { value: replacement });
  Object.defineProperty(globalThis, name, { value: replacement });
}

function replaceMethod(owner: object, name: string, value: (this: unknown, ...args: never[]) => unknown): void {
  if (name in owner) {
    Object.defineProperty(owner, name, { value });
  }
}

/** To be called once, on the thread of a lane. */
export function installGuards(): void {
  // Dates of the thread's own realm are what `structuredClone` gives.
  const fixedDate = new Proxy(Date, {
    construct(target, args: unknown[], newTarget: Constructor): object {
      return Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as object;
    },
    apply: (target) => new target(now()).toString(),
    get: (target, key, receiver): unknown => (key === "now" ? now : Reflect.get(target, key, receiver)),
  });
  Object.defineProperty(Date.prototype, "constructor", { value: fixedDate });

  Object.defineProperty(Event.prototype, "timeStamp", { get: () => 0, enumerable: true, configurable: true });
  replaceMethod(AbortSignal, "timeout", () => refuse("AbortSignal.timeout()"));
  replaceMethod(URL, "createObjectURL", () => refuse("URL.createObjectURL()"));
  for (const body of [Request, Response]) {
    replaceMethod(body.prototype, "formData", async () => {
      await Promise.reject(new Error(refusalText("formData()", current?.()?.importing ?? false)));
    });
  }
  // The boundaries between the parts of such a body are random.
  const refuseMultipart = (body: unknown): void => {
    if (body instanceof FormData) {
      refuse("multipart bodies");
    }
  };
  replaceClass("Response", (args) => {
    refuseMultipart(args[0]);
    return args;
  });
  replaceClass("Request", (args) => {
    refuseMultipart((args[1] as { body?: unknown } | undefined)?.body);
    return args;
  });
  replaceClass("File", ([bits, name, options, ...rest]) => {
    const given = (options ?? {}) as Record<string, unknown>;
    return [bits, name, given.lastModified === undefined ? { ...given, lastModified: now() } : given, ...rest];
  });
  replaceClass("PerformanceMark", ([name, options, ...rest]) => {
    const given = (options ?? {}) as Record<string, unknown>;
    return [name, given.startTime === undefined ? { ...given, startTime: 0 } : given, ...rest];
  });

  for (const [prototype, name] of [[ArrayBuffer.prototype, "resize"], [SharedArrayBuffer.prototype, "grow"]] as const) {
    const original = (prototype as unknown as Record<string, unknown>)[name];
    if (typeof original === "function") {
      replaceMethod(prototype, name, function (this: unknown, ...args: [length?: unknown]) {
        if (Number(args[0]) > RESIZE_BYTES_MAX) {
          throw new RangeError("Array buffer allocation failed");
        }
        return Reflect.apply(original, this, args) as unknown;
      });
    }
  }
}
