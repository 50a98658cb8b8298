/**
 * All policies that a proxy holds, and which of them apply to a workload.
 *
 * Indexed by namespace and by name, so that ten thousand policies cost a connection only those that
 * concern it. A selector policy applies by being named, never by its namespace.
 */
import { preparePolicy } from './prepare.ts';
import type { CompiledPolicy } from './types.ts';

export interface PolicySelection {
  readonly policies: readonly CompiledPolicy[];
  /** Names that are not here, or could not be read: `evaluate` refuses with them. */
  readonly missing: readonly string[];
}

export interface PolicyTarget {
  readonly namespace: string;
  /** `namespace/name` of selector policies. */
  readonly names: readonly string[];
}

/** Selections remembered until the next change. */
const SELECTIONS_MAX = 4096;

export class PolicyIndex {
  readonly #byName = new Map<string, CompiledPolicy>();
  /** GLOBAL policies are under ''. */
  readonly #byNamespace = new Map<string, Map<string, CompiledPolicy>>();
  readonly #selections = new Map<string, PolicySelection>();

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): CompiledPolicy | undefined {
    return this.#byName.get(name);
  }

  values(): IterableIterator<CompiledPolicy> {
    return this.#byName.values();
  }

  /** Removals first, so that a name in both lists ends up present. */
  apply(changed: Iterable<CompiledPolicy>, removed: Iterable<string> = []): void {
    for (const name of removed) {
      this.#drop(name);
    }
    for (const policy of changed) {
      const { name } = preparePolicy(policy);
      this.#drop(name);
      this.#byName.set(name, policy);
      if (policy.scope !== 'WORKLOAD_SELECTOR') {
        const key = policy.scope === 'GLOBAL' ? '' : policy.namespace;
        const group = this.#byNamespace.get(key) ?? new Map<string, CompiledPolicy>();
        group.set(name, policy);
        this.#byNamespace.set(key, group);
      }
    }
    this.#selections.clear();
  }

  /** The same object until the next `apply`, so that a caller may keep it. */
  select(target: PolicyTarget): PolicySelection {
    const key = `${target.namespace}\n${target.names.join('\n')}`;
    const known = this.#selections.get(key);
    if (known !== undefined) {
      return known;
    }
    const policies: CompiledPolicy[] = [];
    const missing: string[] = [];
    const applying = [
      ...(this.#byNamespace.get('') ?? []),
      ...(this.#byNamespace.get(target.namespace) ?? []),
      ...target.names.map((name) => [name, this.#byName.get(name)] as const),
    ];
    for (const [name, policy] of new Map(applying)) {
      if (policy === undefined || policy.isUnreadable === true) {
        missing.push(name);
      } else {
        policies.push(policy);
      }
    }
    const selection: PolicySelection = { policies, missing };
    if (this.#selections.size < SELECTIONS_MAX) {
      this.#selections.set(key, selection);
    }
    return selection;
  }

  #drop(name: string): void {
    const policy = this.#byName.get(name);
    if (policy === undefined) {
      return;
    }
    this.#byName.delete(name);
    const key = policy.scope === 'GLOBAL' ? '' : policy.namespace;
    const group = this.#byNamespace.get(key);
    group?.delete(name);
    if (group?.size === 0) {
      this.#byNamespace.delete(key);
    }
  }
}
