/**
 * One term of leadership: what is wanted, what is there, and a queue of waypoints that may differ.
 *
 * Rule: each waypoint is worked on alone and fails alone, later and later; nothing is deleted before everything that is there is known and
 * it was said once what is wanted.
 */
import { isKubeError, type Reflector, WorkQueue } from '@ambit/kube';
import type { WaypointSpec } from '@ambit/model';
import { describeError, type Logger } from '@ambit/telemetry';
import { partNameOf } from '../../provision/waypoint-objects.ts';
import { type GatewayOwner, gatewayOwners } from './gateway-owners.ts';
import { type Outcome, stateFrom, type WaypointState } from './observed.ts';
import { WaypointParameters } from './parameters.ts';
import { PartReflectors, partKey } from './part-reflectors.ts';
import { ForeignPartError, PartWriter } from './part-writer.ts';
import type { WaypointProvisionerOptions } from './waypoint-provisioner.ts';
import { emptyMemory, type Memory, WaypointReconciler } from './waypoint-reconciler.ts';

const CONCURRENCY = 4;
/** A foreign object is not watched. */
const FOREIGN_AGAIN_MS = 30_000;
/** Reading overlays takes time, and whoever writes them may do so as fast as they can. */
const PARAMETERS_MS = 500;

export interface ProvisionRunOptions extends WaypointProvisionerOptions {
  readonly lingerMs: number;
  readonly signal: AbortSignal;
}

export class ProvisionRun {
  readonly #options: ProvisionRunOptions;
  readonly #log: Logger;
  readonly #parts: PartReflectors;
  readonly #parameters: WaypointParameters;
  readonly #gateways: Reflector<GatewayOwner>;
  readonly #reconciler: WaypointReconciler;
  readonly #queue: WorkQueue;
  readonly #memories = new Map<string, Memory>();
  #wanted: ReadonlyMap<string, WaypointSpec> | undefined;
  #isSynced = false;

  constructor(options: ProvisionRunOptions) {
    this.#options = options;
    const { context, settings, onChange, lingerMs } = options;
    const { clock, client, metrics } = context;
    const log = context.log.scoped('provision');
    this.#log = log;
    this.#parts = new PartReflectors({
      context,
      onDrift: (key, gone) => {
        if (gone !== undefined) this.#forgetGone(key, gone);
        this.#queue.add(key);
        onChange(key);
      },
      onObserved: onChange,
    });
    this.#parameters = new WaypointParameters({
      context,
      rootNamespace: settings.rootNamespace,
      onChange: (keys) => {
        for (const key of keys ?? this.#wanted?.keys() ?? []) {
          this.#queue.addAfter(key, PARAMETERS_MS);
        }
      },
    });
    this.#gateways = gatewayOwners({
      context,
      onChange: (key) => {
        if (this.#wanted?.has(key) === true) this.#queue.add(key);
      },
    });
    const writer = new PartWriter({ client, clock });
    const parameters = this.#parameters;
    this.#reconciler = new WaypointReconciler({
      settings,
      writer,
      parameters,
      clock,
      log,
      lingerMs,
    });
    this.#queue = new WorkQueue({
      name: 'waypoints',
      clock,
      metrics,
      concurrency: CONCURRENCY,
      reconcile: async (key, { signal }) =>
        await this.#reconcile(key, AbortSignal.any([signal, options.signal])),
      onFailure: (key, error, failures) => {
        if (failures === 1 && !options.signal.aborted) {
          log.warn('waypoint is not as it should be', { key, error: describeError(error) });
        }
      },
    });
  }

  start(): void {
    this.#parts.start();
    this.#parameters.start();
    this.#gateways.start();
    this.#begin().catch((error: unknown) => {
      if (!this.#options.signal.aborted) {
        this.#log.error('waypoints cannot be provisioned', { error: describeError(error) });
      }
    });
  }

  async stop(): Promise<void> {
    await Promise.all([
      this.#queue.stop(),
      this.#parts.stop(),
      this.#parameters.stop(),
      this.#gateways.stop(),
    ]);
  }

  set(wanted: ReadonlyMap<string, WaypointSpec>): void {
    const before = this.#wanted;
    this.#wanted = wanted;
    if (!this.#isSynced) return;
    const changed = [...wanted].filter(([key, spec]) => before?.get(key) !== spec);
    this.#addAll(changed.map(([key]) => key));
    this.#addAll([...(before?.keys() ?? [])].filter((key) => !wanted.has(key)));
    // What an earlier process left, if this is the first word on what is wanted.
    if (before === undefined) this.#addAll(this.#parts.waypoints());
  }

  stateOf(key: string): WaypointState | undefined {
    const spec = this.#wanted?.get(key);
    if (!this.#isSynced || spec === undefined) return undefined;
    const memory = this.#memories.get(key);
    return stateFrom({
      namespace: spec.namespace,
      serviceName: partNameOf(spec),
      clusterDomain: this.#options.settings.clusterDomain,
      addressType: this.#gateways.get(key)?.addressType === 'Hostname' ? 'Hostname' : 'IPAddress',
      observed: this.#parts.partsOf(key).map(({ observed }) => observed),
      outcome: memory?.outcome,
      invalidParameters: memory?.invalidParameters,
    });
  }

  async #begin(): Promise<void> {
    await Promise.all([
      this.#parts.whenSynced(),
      this.#parameters.whenSynced(),
      this.#gateways.whenSynced(),
    ]);
    this.#isSynced = true;
    this.#addAll([...(this.#wanted?.keys() ?? []), ...this.#parts.waypoints()]);
    this.#queue.start();
  }

  /** An account may be that of other waypoints of the namespace too. */
  #forgetGone(key: string, gone: string): void {
    this.#memories.get(key)?.written.delete(gone);
    const namespace = key.slice(0, key.indexOf('/'));
    for (const [other, spec] of this.#wanted ?? []) {
      const isUsed = partKey('serviceAccount', spec.serviceAccount) === gone;
      if (spec.namespace !== namespace || !isUsed || other === key) continue;
      this.#memories.get(other)?.written.delete(gone);
      this.#queue.add(other);
    }
  }

  #addAll(keys: Iterable<string>): void {
    for (const key of keys) this.#queue.add(key);
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<number | undefined> {
    const wanted = this.#wanted;
    if (wanted === undefined) return undefined;
    signal.throwIfAborted();
    const spec = wanted.get(key);
    const known = this.#parts.partsOf(key);
    if (spec === undefined) {
      this.#parameters.forget(key);
      this.#memories.delete(key);
      return await this.#reconciler.retire(key, known, signal);
    }
    const memory = this.#memories.get(key) ?? emptyMemory();
    this.#memories.set(key, memory);
    const before = saidOf(memory);
    try {
      const gateway = this.#gateways.get(key);
      const again = await this.#reconciler.provide({ spec, gateway, known, memory, signal });
      memory.outcome = undefined;
      return again;
    } catch (error) {
      signal.throwIfAborted();
      memory.outcome = outcomeOf(error);
      if (error instanceof ForeignPartError) return FOREIGN_AGAIN_MS;
      throw error;
    } finally {
      if (before !== saidOf(memory)) this.#options.onChange(key);
    }
  }
}

function saidOf({ outcome, invalidParameters }: Memory): string {
  return JSON.stringify([outcome, invalidParameters]);
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof ForeignPartError) return { reason: 'Invalid', message: error.message };
  // Of a quota, of a namespace that ends, of a right that was taken away.
  const reason = isKubeError(error, 'KUBE_FORBIDDEN') ? 'NoResources' : 'Pending';
  return { reason, message: describeError(error) };
}
