/**
 * What the controller has told this agent, as one whole: for workers that start late, for names, for the dump.
 *
 * Rule: a change is written here first and then fanned out, and it counts as applied when every worker has it.
 */
import {
  type Address,
  type AddressKey,
  type Enrolment,
  MeshIndex,
  type MeshService,
  type Workload,
} from '@ambit/model';
import type { CompiledPolicy } from '@ambit/policy';
import type { ResourceChange } from '../workers/worker-pool.ts';

export interface Change<T> {
  readonly changed: readonly T[];
  /** Resource names. */
  readonly removed: readonly string[];
}

export interface MeshStateOptions {
  readonly network: string;
  /** Hands a change to the workers; resolves with what they refused. */
  readonly fanOut: (change: ResourceChange) => Promise<readonly string[]>;
  readonly onEnrolments: (enrolments: ReadonlyMap<string, Enrolment>) => void;
}

const NOTHING = { changed: [], removed: [] } as const;

export class MeshState {
  readonly index: MeshIndex;
  readonly #options: MeshStateOptions;
  readonly #policies = new Map<string, CompiledPolicy>();
  readonly #scopes = new Map<string, CompiledPolicy['scope']>();
  readonly #enrolments = new Map<string, Enrolment>();

  constructor(options: MeshStateOptions) {
    this.#options = options;
    this.index = new MeshIndex({ network: options.network });
  }

  async applyAddresses(change: Change<Address>): Promise<readonly string[]> {
    this.index.apply(change);
    return await this.#options.fanOut({ addresses: change, authorizations: NOTHING });
  }

  async applyAuthorizations(change: Change<CompiledPolicy>): Promise<readonly string[]> {
    for (const name of change.removed) {
      this.#policies.delete(name);
      this.#scopes.delete(name);
    }
    for (const policy of change.changed) {
      const name = `${policy.namespace}/${policy.name}`;
      this.#policies.set(name, policy);
      if (policy.isUnreadable !== true) {
        this.#scopes.set(name, policy.scope);
      }
    }
    return await this.#options.fanOut({ addresses: NOTHING, authorizations: change });
  }

  applyEnrolments({ changed, removed }: Change<Enrolment>): void {
    for (const namespace of removed) {
      this.#enrolments.delete(namespace);
    }
    for (const enrolment of changed) {
      this.#enrolments.set(enrolment.namespace, enrolment);
    }
    this.#options.onEnrolments(this.#enrolments);
  }

  /** Of the version that was read last, by `namespace/name`. What stands in for one that could not be read is none. */
  scopeOfPolicy(name: string): CompiledPolicy['scope'] | undefined {
    return this.#scopes.get(name);
  }

  get policies(): ReadonlyMap<string, CompiledPolicy> {
    return this.#policies;
  }

  get workloads(): ReadonlyMap<string, Workload> {
    return this.index.workloads;
  }

  get services(): ReadonlyMap<string, MeshService> {
    return this.index.services;
  }

  /** Everything, as one change from nothing: policies stand beside what names them. */
  resources(): ResourceChange {
    const workloads = [...this.workloads.values()].map(
      (workload): Address => ({ kind: 'workload', workload }),
    );
    const services = [...this.services.values()].map(
      (service): Address => ({ kind: 'service', service }),
    );
    return {
      addresses: { changed: [...services, ...workloads], removed: [] as readonly AddressKey[] },
      authorizations: { changed: [...this.#policies.values()], removed: [] },
    };
  }
}
