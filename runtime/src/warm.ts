/**
 * Warm realms: contexts in which the modules of one version of the code are evaluated already, for calls of modules
 * that may share one.
 *
 * A realm serves one function at a time, so that what its code asks of the engine is always that function's; a nested
 * call takes another. A realm that a call may have left unlike a fresh one is not used again. What a module does while
 * it is evaluated must be the same every time: one that uses randomness, prints, or needs an environment that is
 * protected against changes less than this one is evaluated afresh for each call, as if it had been decided so from the
 * beginning.
 *
 * This file decides nothing about which modules may share; the engine does.
 */

import type { Addon, FunctionIdentity, ImportPhase, NewestCode } from "./addon.ts";
import { type CodeCache, ModuleGraph } from "./modules.ts";
import { CAN_SHARE, Realm, type RealmHost } from "./realm.ts";

/** Modules that share because nothing can be kept, and modules that share although it can, are kept apart. */
export type WarmGroup = "verified" | "reuse";

/** Realms that wait for calls, of one version and group. As many as calls were ever nested in another, within reason. */
const IDLE_REALMS_MAX = 4;
/** Versions of the code: the live one, and the one that calls on a slightly older snapshot still run. */
const VERSIONS_MAX = 2;

/** Needed of the environment that a module saw while it was evaluated. */
interface EnvironmentReader {
  readEnvironment(name: string): string | undefined;
}

type Invoke = (args: string) => unknown;

export class WarmRealm {
  readonly realm: Realm;
  readonly group: WarmGroup;
  readonly version: string;
  readonly #graph: ModuleGraph;
  readonly #namespaces = new Map<string, Record<string, unknown>>();
  readonly #functions = new Map<FunctionIdentity, Invoke>();
  /** Variables that modules read while they were evaluated. */
  readonly #environment = new Map<string, string | undefined>();
  #isPure = true;

  constructor(version: string, group: WarmGroup, read: (path: string) => string | undefined, cache: CodeCache) {
    this.realm = new Realm("transaction", { isShared: true });
    this.version = version;
    this.group = group;
    this.#graph = new ModuleGraph({ realm: this.realm, read, version, cache, dynamicImport: false });
  }

  /** Binds the realm to one function. */
  attach(host: RealmHost): void {
    this.realm.attach(host);
  }

  /** False once something was evaluated that may come out differently another time. */
  get isPure(): boolean {
    return this.#isPure;
  }

  noteImpure(): void {
    this.#isPure = false;
  }

  noteEnvironment(name: string, value: string | undefined): void {
    this.#environment.set(name, value);
    if (this.group === "verified") {
      this.#isPure = false;
    }
  }

  /** Whether the modules would see the same variables again. Whoever asks depends on them from now on. */
  hasSameEnvironment(reader: EnvironmentReader): boolean {
    let isSame = true;
    for (const [name, value] of this.#environment) {
      isSame = reader.readEnvironment(name) === value && isSame;
    }
    return isSame;
  }

  /** The exports of a module that is evaluated already. */
  namespace(path: string): Record<string, unknown> | undefined {
    return this.#namespaces.get(path);
  }

  /** Evaluates a module. Fails with what it threw. */
  async load(path: string): Promise<Record<string, unknown>> {
    const namespace = await this.#graph.load(path);
    this.#namespaces.set(path, namespace);
    return namespace;
  }

  /** A function that was looked up before. */
  function(identity: FunctionIdentity): Invoke | undefined {
    return this.#functions.get(identity);
  }

  remember(identity: FunctionIdentity, invoke: Invoke): void {
    this.#functions.set(identity, invoke);
  }
}

/** The warm realms of one lane. */
export class WarmRealms {
  readonly #addon: Addon;
  readonly #lane: number;
  readonly #cache: CodeCache;
  /** By version, least recently used first. */
  readonly #versions = new Map<string, Version>();

  constructor(lane: number, addon: Addon, cache: CodeCache) {
    this.#lane = lane;
    this.#addon = addon;
    this.#cache = cache;
  }

  /** A realm for one function, or nothing if its module has to be evaluated afresh for each call. */
  take({ codeVersion, context, modulePath }: FunctionIdentity, reader: EnvironmentReader): WarmRealm | undefined {
    if (context === "fresh" || !CAN_SHARE) {
      return undefined;
    }
    const known = this.#version(codeVersion);
    if (known.unshareable.has(modulePath)) {
      return undefined;
    }
    const idle = known.idle[context];
    for (let realm = idle.pop(); realm !== undefined; realm = idle.pop()) {
      if (realm.hasSameEnvironment(reader)) {
        return realm;
      }
    }
    return this.#make(codeVersion, context);
  }

  /** Takes back a realm whose function is over, if the next one can use it. */
  give(warm: WarmRealm): void {
    warm.realm.detach();
    const idle = this.#versions.get(warm.version)?.idle[warm.group];
    if (idle !== undefined && idle.length < IDLE_REALMS_MAX && warm.isPure && warm.realm.isIntact()) {
      idle.push(warm);
    }
  }

  /** From now on the function's module is evaluated afresh for each call. */
  refuse({ codeVersion, modulePath }: FunctionIdentity): void {
    this.#version(codeVersion).unshareable.add(modulePath);
  }

  /** Forgets all versions but the one that was used or prepared last. */
  forgetOlder(): void {
    for (const version of this.#versions.keys()) {
      if (version !== this.#newest) {
        this.#versions.delete(version);
      }
    }
  }

  /**
   * Evaluates the modules of new code ahead of its first call, as far as they can be without one. Returns whether there
   * was anything to do. To be called when the lane has nothing to run; microtasks have to be drained afterwards.
   */
  prepare(): boolean {
    const text = CAN_SHARE ? this.#addon.laneNewestCode(this.#lane) : null;
    if (text === null) {
      return false;
    }
    const { version, modules, importPhase } = JSON.parse(text) as NewestCode;
    for (const group of ["verified", "reuse"] as const) {
      const paths = modules.filter(([, context]) => context === group).map(([path]) => path);
      if (paths.length > 0 && this.#version(version).idle[group].length === 0) {
        void this.#evaluate(this.#make(version, group), paths, importPhase);
      }
    }
    return true;
  }

  /** A realm in which a module could not be evaluated is not used; the module's first call will tell why. */
  async #evaluate(warm: WarmRealm, paths: string[], phase: ImportPhase): Promise<void> {
    warm.attach(new Preparation(warm, phase));
    try {
      for (const path of paths) {
        await warm.load(path);
      }
      this.give(warm);
    } catch {
      warm.realm.detach();
    }
  }

  #make(version: string, group: WarmGroup): WarmRealm {
    const read = (path: string): string | undefined => this.#addon.laneModule(this.#lane, path) ?? undefined;
    return new WarmRealm(version, group, read, this.#cache);
  }

  #version(name: string): Version {
    const known = this.#versions.get(name) ?? { idle: { verified: [], reuse: [] }, unshareable: new Set<string>() };
    if (this.#newest !== name) {
      this.#newest = name;
      this.#versions.delete(name);
      this.#versions.set(name, known);
      for (const oldest of this.#versions.keys()) {
        if (this.#versions.size <= VERSIONS_MAX) {
          break;
        }
        this.#versions.delete(oldest);
      }
    }
    return known;
  }

  #newest: string | undefined;
}

/** Stands for the call while modules are evaluated without one: whatever needs a call makes the evaluation worthless. */
class Preparation implements RealmHost {
  readonly importing = true;
  readonly #warm: WarmRealm;
  readonly #phase: ImportPhase;

  constructor(warm: WarmRealm, phase: ImportPhase) {
    this.#warm = warm;
    this.#phase = phase;
  }

  now(): number {
    return this.#phase.timeMs;
  }

  elapsed(): number {
    return 0;
  }

  timeOrigin(): number {
    return this.#phase.timeMs;
  }

  mapStack(lines: string[]): string[] {
    return lines;
  }

  randomDouble(): number {
    return this.#giveUp();
  }

  randomFill(): void {
    this.#giveUp();
  }

  randomUuid(): string {
    return this.#giveUp();
  }

  timers(): Map<string, number> {
    return new Map();
  }

  env(): undefined {
    this.#giveUp();
  }

  log(): void {
    this.#warm.noteImpure();
  }

  syscall(): { ok: false; error: { message: string } } {
    return this.#giveUp();
  }

  asyncSyscall(): void {
    this.#giveUp();
  }

  jsSyscall(): void {
    this.#giveUp();
  }

  mayWait(): void {
    this.#warm.noteImpure();
  }

  hold(): () => void {
    this.#warm.noteImpure();
    return () => undefined;
  }

  #giveUp(): never {
    this.#warm.noteImpure();
    throw new Error("no function is running");
  }
}

interface Version {
  idle: Record<WarmGroup, WarmRealm[]>;
  /** Modules that turned out not to be fit for sharing. */
  unshareable: Set<string>;
}

