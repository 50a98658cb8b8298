/**
 * Brings one waypoint to what is wanted: parameters, parts, surplus.
 *
 * Rule: every part is tried, whatever another one's failure; parameters that are wrong change nothing, and the last good ones stay.
 */
import { type Finding, formatFinding } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { KubeError } from '@ambit/kube';
import type { WaypointSpec } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';
import { buildWaypoint } from './build-waypoint.ts';
import type { GatewayOwner } from './gateway-owners.ts';
import { Linger } from './linger.ts';
import type { Outcome } from './observed.ts';
import { complain, type Layer } from './overlays.ts';
import type { Parameters, WaypointParameters } from './parameters.ts';
import { type ManagedPart, partKey } from './part-reflectors.ts';
import {
  ForeignPartError,
  isRefusedAsWritten,
  type PartWriter,
  type Written,
} from './part-writer.ts';
import { digestOf, PART_TYPES, type WaypointPart } from './parts.ts';
import { withoutRights } from './pod-rights.ts';
import type { WaypointInput, WaypointSettings } from './waypoint-parts.ts';

/** What others change is put back so often in so long; beyond, it waits for the next time. */
const REPAIRS_MAX = 10;
const REPAIRS_MS = 60_000;
const SERVICE_TYPES: readonly string[] = ['ClusterIP', 'LoadBalancer', 'NodePort'];
const MESSAGE_MAX = 1_000;

/** What is remembered of one waypoint. */
export interface Memory {
  /** The last overlays that the server took, in order. */
  good: { readonly layers: readonly Layer[]; readonly digest: string } | undefined;
  /** By the key of the part, as long as it is there. */
  readonly written: Map<string, Written>;
  repairs: { readonly sinceMs: number; readonly count: number };
  outcome: Outcome | undefined;
  invalidParameters: string | undefined;
}

export function emptyMemory(): Memory {
  return {
    good: undefined,
    written: new Map(),
    repairs: { sinceMs: 0, count: 0 },
    outcome: undefined,
    invalidParameters: undefined,
  };
}

export interface Work {
  readonly spec: WaypointSpec;
  readonly gateway: GatewayOwner | undefined;
  /** Its parts as they are there. */
  readonly known: readonly ManagedPart[];
  readonly memory: Memory;
  readonly signal: AbortSignal;
}

type Input = Omit<WaypointInput, 'hasAutoscaler'>;

export class WaypointReconciler {
  readonly #settings: WaypointSettings;
  readonly #writer: PartWriter;
  readonly #parameters: Pick<WaypointParameters, 'of'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #linger: Linger;

  constructor(options: {
    readonly settings: WaypointSettings;
    readonly writer: PartWriter;
    readonly parameters: Pick<WaypointParameters, 'of'>;
    readonly clock: Clock;
    readonly log: Logger;
    readonly lingerMs: number;
  }) {
    this.#settings = options.settings;
    this.#writer = options.writer;
    this.#parameters = options.parameters;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#linger = new Linger(options);
  }

  /** Answers when to look again. Throws ForeignPartError, KubeError. */
  async provide(work: Work): Promise<number | undefined> {
    const { spec, gateway, known, signal } = work;
    const key = `${spec.namespace}/${spec.name}`;
    if (!spec.onDemand && gateway === undefined) {
      throw new KubeError('KUBE_NOT_FOUND', `the Gateway ${key} is not known yet`);
    }
    const account = `${spec.namespace}/${spec.serviceAccount}`;
    if (this.#settings.reservedAccounts.has(account)) {
      const message = `ServiceAccount/${account} is one of the mesh's own, whose rights no waypoint gets: choose another account, or another name for the Gateway`;
      throw new ForeignPartError(message);
    }
    const findings: Finding[] = [];
    const input: Input = {
      spec: withoutRights(spec, findings),
      settings: this.#settings,
      owner: gateway?.reference,
      serviceType: serviceTypeOf(gateway, findings),
    };
    const layers = await this.#layersOf(input, findings, work);
    if (layers === undefined) return undefined;
    const { parts } = buildWaypoint(input, layers);
    await this.#applyAll(parts, work);
    const names = new Set(parts.map(({ kind, object }) => partKey(kind, object.metadata.name)));
    const surplus = known.filter(({ kind, name }) => !names.has(partKey(kind, name)));
    return await this.retire(key, surplus, signal);
  }

  /** Deletes what has not been wanted for long enough. Answers when the next one's time comes. */
  async retire(
    key: string,
    parts: readonly ManagedPart[],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const gateway = key.slice(key.indexOf('/') + 1);
    const { parts: due, againMs } = this.#linger.due(
      key,
      parts.map(({ kind, name }) => partKey(kind, name)),
    );
    for (const part of parts.filter(({ kind, name }) => due.has(partKey(kind, name)))) {
      const isGone = await this.#writer.delete(part, gateway, signal);
      const { kind, resource } = { ...PART_TYPES[part.kind] };
      this.#log.info(isGone ? 'part is no longer needed' : 'part is owned by others, left', {
        waypoint: key,
        kind,
        resource,
        name: part.name,
      });
    }
    return againMs;
  }

  /** Those to use; undefined if there are none that were ever good. */
  async #layersOf(
    input: Input,
    findings: Finding[],
    { spec, memory, signal }: Work,
  ): Promise<readonly Layer[] | undefined> {
    const parameters = await this.#parameters.of(spec, signal);
    const layers = parameters.map(({ overlays, isOfClass }) => ({ overlays, isOfClass }));
    const digest = digestOf(layers);
    const wrong =
      this.#wrongIn(parameters, input) ??
      (memory.good?.digest === digest || layers.length === 0
        ? undefined
        : await this.#refusedByServer(parameters, input, signal));
    if (wrong === undefined) {
      memory.good = { layers, digest };
    }
    const own = findings.map((one) => formatFinding(one, { key: gatewayKey(spec) }));
    const problems = [...own, ...(wrong ?? [])];
    memory.invalidParameters =
      problems.length === 0 ? undefined : problems.join(' ').slice(0, MESSAGE_MAX);
    return memory.good?.layers;
  }

  /** What is wrong without asking the server: said of the first ConfigMap that is. */
  #wrongIn(parameters: readonly Parameters[], input: Input): readonly string[] | undefined {
    for (const [index, { source, findings }] of parameters.entries()) {
      const layers = parameters.slice(0, index + 1);
      const all = findings.length > 0 ? findings : buildWaypoint(input, layers).findings;
      if (all.length > 0) return all.map((finding) => formatFinding(finding, { key: source }));
    }
    return undefined;
  }

  /** The server knows the schema of its objects best. */
  async #refusedByServer(
    parameters: readonly Parameters[],
    input: Input,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    const { parts } = buildWaypoint(input, parameters);
    for (const part of parts) {
      const source = parameters.findLast(({ overlays }) => overlays[part.kind] !== undefined);
      if (source === undefined) continue;
      try {
        await this.#writer.check(part, signal);
      } catch (error) {
        if (!isRefusedAsWritten(error)) throw error;
        return findingsOf(error, part).map((one) => formatFinding(one, { key: source.source }));
      }
    }
    return undefined;
  }

  async #applyAll(parts: readonly WaypointPart[], work: Work): Promise<void> {
    const failures: unknown[] = [];
    for (const part of parts) {
      try {
        await this.#apply(part, work);
      } catch (error) {
        work.signal.throwIfAborted();
        failures.push(error);
      }
    }
    // That one is not ours says more than what the server could not do.
    const foreign = failures.find((error) => error instanceof ForeignPartError);
    if (failures.length > 0) throw foreign ?? failures[0];
  }

  async #apply(part: WaypointPart, { spec, known, memory, signal }: Work): Promise<void> {
    const { name } = part.object.metadata;
    const key = partKey(part.kind, name);
    const found = known.find((one) => one.kind === part.kind && one.name === name);
    // Its end is told, and then it is made again.
    if (found?.isDeleting === true) return;
    const written = memory.written.get(key);
    const isAsWanted = written?.digest === digestOf(part.object);
    // Without a word on it, the watch is behind: that it went is told, and then forgotten here.
    const isBehind = found === undefined || found.resourceVersion === written?.replaced;
    if (isAsWanted && (isBehind || found.fingerprint === written.fingerprint)) return;
    if (isAsWanted) this.#countRepair(part, memory);
    const isChosen = part.kind === 'serviceAccount' && spec.serviceAccount !== spec.name;
    const result = await this.#writer.apply(part, { known: found, signal, isChosen });
    if (result === undefined) return;
    memory.written.set(key, result);
    const { kind } = PART_TYPES[part.kind];
    const what = found === undefined ? 'part is made' : 'part is brought to what is wanted';
    this.#log.info(what, { waypoint: `${spec.namespace}/${spec.name}`, kind, name });
  }

  /** Two that undo each other's work must not do so as fast as they can. Throws KUBE_CONFLICT. */
  #countRepair(part: WaypointPart, memory: Memory): void {
    const now = this.#clock.now();
    const { sinceMs, count } = memory.repairs;
    const isOver = now - sinceMs > REPAIRS_MS;
    memory.repairs = isOver ? { sinceMs: now, count: 1 } : { sinceMs, count: count + 1 };
    if (memory.repairs.count > REPAIRS_MAX) {
      const { namespace = '', name } = part.object.metadata;
      const what = `${PART_TYPES[part.kind].kind}/${namespace}/${name}`;
      const message = `somebody else changes ${what} again and again: ${count} times in a minute; it is put back later`;
      throw new KubeError('KUBE_CONFLICT', message);
    }
  }
}

function serviceTypeOf(gateway: GatewayOwner | undefined, findings: Finding[]): string {
  const wanted = gateway?.serviceType ?? 'ClusterIP';
  if (SERVICE_TYPES.includes(wanted)) return wanted;
  complain(findings, {
    path: 'metadata.annotations["networking.istio.io/service-type"]',
    message: 'is no type that the Service of a waypoint has',
    found: JSON.stringify(wanted).slice(0, 80),
    allowed: SERVICE_TYPES.join(', '),
  });
  return 'ClusterIP';
}

function gatewayKey({ namespace, name }: WaypointSpec): string {
  return `Gateway/${namespace}/${name}`;
}

function findingsOf(error: KubeError, part: WaypointPart): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { field, message } of error.causes) {
    complain(findings, { path: `${part.kind}.${field}`, message: `is refused: ${message}` });
  }
  if (findings.length === 0) {
    complain(findings, { path: part.kind, message: `is refused: ${error.message}` });
  }
  return findings;
}
