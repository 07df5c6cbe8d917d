/**
 * WebAssembly for queries and mutations: what V8 does on other threads, and tells of through the event loop, is done at
 * once, because a call ends when no microtask is left. Actions have V8's own.
 */

/** The part of `WebAssembly` that matters here; Node's type declarations leave it out. */
interface Namespace {
  Module: new (bytes: unknown) => object;
  Instance: new (module: object, imports: unknown) => object;
}

/**
 * Replaces the asynchronous functions of a realm's `WebAssembly`. It is turned to text and run inside of realms: it must
 * not refer to anything outside its own body.
 */
export function compileAtOnce(refuse: (feature: string) => never): void {
  const namespace = (globalThis as unknown as { WebAssembly: Namespace }).WebAssembly;
  const { Module, Instance } = namespace;
  const replacements: Record<string, (...args: unknown[]) => Promise<unknown>> = {
    compile: async (bytes) => await Promise.resolve(new Module(bytes)),
    instantiate: async (source, imports) => {
      if (source instanceof Module) {
        return await Promise.resolve(new Instance(source, imports));
      }
      const module = new Module(source);
      return { module, instance: new Instance(module, imports) };
    },
    // They wait for a `Response`, which nothing in a transaction can bring.
    compileStreaming: async () => await Promise.resolve(refuse("WebAssembly.compileStreaming()")),
    instantiateStreaming: async () => await Promise.resolve(refuse("WebAssembly.instantiateStreaming()")),
  };
  for (const [name, value] of Object.entries(replacements)) {
    if (name in namespace) {
      Object.defineProperty(namespace, name, { value });
    }
  }
}
