/** The functions of `apps/hostile` that mean harm, and what becomes of a call of each. Calls none of them. */

const TIMED_OUT = /Function execution timed out \(maximum duration: 1s\)/;
const OUT_OF_MEMORY = /JavaScript execution ran out of memory \(maximum memory usage: 256 MB\)/;
const OVERFLOW = /RangeError: Maximum call stack size exceeded/;
/** What is slow for want of processors or memory bandwidth may be ended for either. */
const MEMORY_OR_TIME = new RegExp(`${OUT_OF_MEMORY.source}|${TIMED_OUT.source}`);

export interface Harm {
  name: string;
  args: Record<string, string>;
  /** What the caller is told. */
  failure: RegExp;
}

/** Queries, which run in the engine's process. */
export const HARMFUL_QUERIES: readonly Harm[] = [
  harm("time:loop", TIMED_OUT),
  harm("time:recursion", OVERFLOW),
  harm("time:microtasks", TIMED_OUT),
  harm("time:stubbornRecursion", TIMED_OUT),
  harm("time:regularExpression", TIMED_OUT),
  harm("time:never", /Returned promise will never resolve/),
  harm("memory:arrays", MEMORY_OR_TIME),
  harm("memory:oneMap", MEMORY_OR_TIME),
  harm("memory:objectKeys", MEMORY_OR_TIME),
  harm("memory:arrayBuffers", MEMORY_OR_TIME),
  harm("memory:oneArrayBuffer", OUT_OF_MEMORY),
  harm("memory:stubbornArrayBuffers", MEMORY_OR_TIME),
  harm("memory:blobs", MEMORY_OR_TIME),
  harm("memory:giantString", MEMORY_OR_TIME),
  harm("memory:hugeArrays", MEMORY_OR_TIME),
  harm("memory:fromLength", MEMORY_OR_TIME),
  harm("memory:webAssembly", MEMORY_OR_TIME),
  harm("results:huge", new RegExp(`too large|${TIMED_OUT.source}`)),
  harm("results:thrown", /Uncaught null/, { what: "null" }),
  harm("results:thrown", /Uncaught undefined/, { what: "undefined" }),
  harm("results:thrown", /Uncaught 7/, { what: "number" }),
  harm("results:thrown", /Uncaught Symbol\(s\)/, { what: "symbol" }),
  harm("results:thrown", /Uncaught \(\) ?=> ?1/, { what: "function" }),
  harm("results:thrown", /Uncaught/, { what: "proxy" }),
  harm("results:thrown", /Uncaught/, { what: "getter" }),
  harm("results:thrown", /Uncaught/, { what: "stack" }),
  harm("results:thrown", /Uncaught text/, { what: "text" }),
  harm("results:getter", /Uncaught Error: in a getter/),
  harm("results:proxy", /Uncaught/),
  harm("results:cycle", /Uncaught/),
];

/** Actions that end their own process, which is not the engine's. */
export const HARMFUL_ACTIONS: readonly Harm[] = [
  harm("node:end", /its process ended with exit code 3, as after process\.exit\(\)/, { how: "exit" }),
  harm("node:end", /its process was ended by signal 6 \(SIGABRT\)/, { how: "abort" }),
  harm("node:end", /its process was ended by signal 11 \(SIGSEGV\)/, { how: "segfault" }),
  harm("node:end", /its process ended with exit code 4, as after process\.exit\(\)/, { how: "child" }),
];

function harm(name: string, failure: RegExp, args: Record<string, string> = {}): Harm {
  return { name, args, failure };
}
