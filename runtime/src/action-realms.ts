/**
 * Realms that actions use one after the other: those of modules of which it is certain that no call can leave anything
 * behind in them. To make a realm and to evaluate the modules takes several milliseconds, more than most actions do.
 *
 * A realm serves one action at a time, and is not used again when anything of the action may still be under way, or when
 * its modules could come out differently the next time. This file decides nothing about which modules may share; the
 * engine does.
 */

import type { ActionCode } from "./action.ts";
import { type CodeCache, ModuleGraph } from "./modules.ts";
import { CAN_SHARE, Realm } from "./realm.ts";

/** As many as actions run in a process at a time. */
const IDLE_MAX = 8;

/** A realm with its modules. */
export class ActionRealm {
  readonly realm: Realm;
  readonly graph: ModuleGraph;
  readonly version: string;
  readonly isShared: boolean;
  #isPure = true;

  constructor(code: ActionCode, cache: CodeCache, isShared: boolean) {
    this.isShared = isShared;
    this.version = code.version;
    this.realm = new Realm("action", { isShared });
    this.graph = new ModuleGraph({
      realm: this.realm,
      read: (path) => code.read(path),
      version: code.version,
      cache,
      dynamicImport: true,
      // What is evaluated during a call may see what is the call's alone.
      onDynamicImport: () => { this.noteImpure(); },
    });
  }

  /** False once something was evaluated that may come out differently another time. */
  get isPure(): boolean {
    return this.#isPure;
  }

  noteImpure(): void {
    this.#isPure = false;
  }
}

/** The realms of one process. */
export class ActionRealms {
  readonly #cache: CodeCache;
  /** Of one version of the code: when another is asked for, the app was deployed anew. */
  #idle: ActionRealm[] = [];
  #version: string | undefined;
  /** Modules that turned out not to be fit for sharing. */
  readonly #unshareable = new Set<string>();

  constructor(cache: CodeCache) {
    this.#cache = cache;
  }

  /** A realm for one action of a module. */
  take(code: ActionCode, modulePath: string, mayShare: boolean): ActionRealm {
    if (this.#version !== code.version) {
      this.#version = code.version;
      this.#idle = [];
      this.#unshareable.clear();
    }
    const isShared = mayShare && CAN_SHARE && !this.#unshareable.has(modulePath);
    return (isShared ? this.#idle.pop() : undefined) ?? new ActionRealm(code, this.#cache, isShared);
  }

  /** Takes back a realm of whose action nothing is left. */
  give(own: ActionRealm): void {
    own.realm.detach();
    const isFit = own.isShared && own.isPure && own.version === this.#version && own.realm.isIntact();
    if (isFit && this.#idle.length < IDLE_MAX) {
      this.#idle.push(own);
    }
  }

  /** From now on the module's actions get realms of their own. */
  refuse(version: string, modulePath: string): void {
    if (version === this.#version) {
      this.#unshareable.add(modulePath);
    }
  }

  /** Forgets what belongs to a version of the code. */
  drop(version: string): void {
    if (version === this.#version) {
      this.#idle = [];
      this.#version = undefined;
      this.#unshareable.clear();
    }
  }
}
