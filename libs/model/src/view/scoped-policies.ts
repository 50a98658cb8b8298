/**
 * AuthorizationPolicies as a waypoint holds them, by what they are attached to.
 *
 * A policy that does not compile stays known by name: whoever it may concern is refused while it is
 * here, because what it says could be a refusal.
 */
import type { AuthorizationPolicy, ObjectKey } from '@ambit/api';
import { type CompiledPolicy, compileAuthorizationPolicy, PolicyError } from '@ambit/policy';

import { keyOf, type Labels, selects } from '../objects/keys.ts';
import { targetsOf } from '../objects/sources.ts';

interface Entry {
  readonly key: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  readonly selector?: Labels;
  readonly targets: readonly ObjectKey[];
  /** At its targets alone, and not in its namespace. */
  readonly isTargeted: boolean;
  /** Absent: it did not compile. */
  readonly compiled?: CompiledPolicy;
}

export interface ScopedPolicyOptions {
  readonly trustDomain: string;
  readonly rootNamespace: string;
}

/** What applies, in order of name, and what should but cannot be decided. */
export interface PolicySet {
  readonly policies: readonly CompiledPolicy[];
  /** `namespace/name`; for `evaluate`'s `missing`. */
  readonly missing: readonly string[];
  /** Where namespaces differ: ALLOWs of `policies`, of which each list has to allow by itself as well. */
  readonly apart?: readonly (readonly CompiledPolicy[])[];
}

export class ScopedPolicies {
  readonly #options: ScopedPolicyOptions;
  readonly #entries = new Map<ObjectKey, Entry>();
  /** Policies without targets, by their own namespace. */
  readonly #byNamespace = new Map<string, Set<Entry>>();
  readonly #byTarget = new Map<ObjectKey, Set<Entry>>();

  constructor(options: ScopedPolicyOptions) {
    this.#options = options;
  }

  has(key: ObjectKey): boolean {
    return this.#entries.has(key);
  }

  /** Answers why the policy cannot be decided; nothing if it can. */
  set(policy: AuthorizationPolicy): string | undefined {
    const key = keyOf(policy);
    this.remove(key);
    const { metadata, spec } = policy;
    const common = {
      key,
      name: `${metadata.namespace}/${metadata.name}`,
      namespace: metadata.namespace,
      ...(spec.selector === undefined ? {} : { selector: spec.selector.matchLabels }),
      targets: targetsOf(policy, this.#options.rootNamespace),
      isTargeted: spec.targetRefs.length > 0,
    };
    try {
      const { compiled } = compileAuthorizationPolicy(policy, this.#options);
      this.#add({ ...common, compiled });
      return undefined;
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      this.#add(common);
      return error.message;
    }
  }

  remove(key: ObjectKey): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#byNamespace.get(entry.namespace)?.delete(entry);
    for (const target of entry.targets) this.#byTarget.get(target)?.delete(entry);
  }

  /** Of a workload by selector, namespace and mesh, and of the given targets. */
  select(
    workload: { readonly namespace: string; readonly labels: Labels } | undefined,
    targets: readonly ObjectKey[],
  ): PolicySet {
    const found = new Set<Entry>();
    for (const namespace of new Set([workload?.namespace, this.#options.rootNamespace])) {
      for (const entry of this.#byNamespace.get(namespace ?? '') ?? []) {
        if (entry.selector === undefined || selects(entry.selector, workload?.labels ?? {})) {
          found.add(entry);
        }
      }
    }
    for (const target of targets) {
      for (const entry of this.#byTarget.get(target) ?? []) found.add(entry);
    }
    const ordered = [...found].sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      policies: ordered.flatMap(({ compiled }) => (compiled === undefined ? [] : [compiled])),
      missing: ordered.filter(({ compiled }) => compiled === undefined).map(({ name }) => name),
    };
  }

  #add(entry: Entry): void {
    this.#entries.set(entry.key, entry);
    if (!entry.isTargeted) addTo(this.#byNamespace, entry.namespace, entry);
    for (const target of entry.targets) addTo(this.#byTarget, target, entry);
  }
}

function addTo(index: Map<string, Set<Entry>>, key: string, entry: Entry): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([entry]));
  else set.add(entry);
}
