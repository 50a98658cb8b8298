/**
 * What the API server says, against what every agent holds: in the end the two must be the same, whatever arrived together on
 * the way. The one judge of whether a change was lost.
 */
import { systemClock } from '@ambit/core';
import type { ApiCalls } from '../cluster/api-calls.ts';
import type { World } from './controller-world.ts';
import { GONE, type HeldByAgents, policyState, serviceState, workloadState } from './held-state.ts';

const AGREE_MS_MAX = 60_000;
const AGAIN_MS = 1_000;
const SETTLE_MS_MAX = 120_000;
/** A controller of the cluster that is behind marks pods a while after they were written. */
const SETTLED_MS = 5_000;
const NAMED_MAX = 5;

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly deletionTimestamp?: string;
}

export interface ApiPod {
  readonly metadata: Metadata;
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export interface ApiPolicy {
  readonly metadata: Metadata;
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly rules: readonly {
      readonly to: readonly { readonly operation: { readonly ports: readonly string[] } }[];
    }[];
  };
}

export interface ApiService {
  readonly metadata: Metadata;
  readonly spec: {
    readonly clusterIP: string;
    readonly selector?: Readonly<Record<string, string>>;
  };
}

export interface ApiObjects {
  readonly pods: readonly ApiPod[];
  readonly policies: readonly ApiPolicy[];
  readonly services: readonly ApiService[];
  readonly namespaces: readonly { readonly metadata: Metadata }[];
}

/** Name to state of everything that agents must hold for these objects. */
export function expectedOf(objects: ApiObjects): ReadonlyMap<string, string> {
  const { pods, policies, services, namespaces } = objects;
  const expected = new Map<string, string>();
  const enrolled = new Set<string>();
  for (const { metadata } of namespaces) {
    if (metadata.labels?.['istio.io/dataplane-mode'] !== 'ambient') continue;
    enrolled.add(metadata.name);
    expected.set(metadata.name, 'enrolment ambient');
  }
  const policiesOf = selecting(policies, ({ spec }) => spec.selector.matchLabels);
  const servicesOf = selecting(services, ({ spec }) => spec.selector ?? {});
  for (const pod of pods) {
    const { metadata, spec, status } = pod;
    if (status.podIP === undefined) continue;
    const state = workloadState({
      status: isReady(pod) ? 'HEALTHY' : 'UNHEALTHY',
      tunnelProtocol: enrolled.has(metadata.namespace ?? '') ? 'HBONE' : 'NONE',
      addresses: [status.podIP],
      node: spec.nodeName ?? '',
      authorizationPolicies: policiesOf(pod).map((one) => `${one.namespace}/${one.name}`),
      services: servicesOf(pod).map(serviceName),
    });
    expected.set(`Kubernetes//Pod/${metadata.namespace}/${metadata.name}`, state);
  }
  for (const { metadata, spec } of policies) {
    const ports = spec.rules.flatMap(({ to }) => to.flatMap(({ operation }) => operation.ports));
    const state = policyState('ALLOW', ports.map(Number));
    expected.set(`${metadata.namespace}/${metadata.name}`, state);
  }
  for (const { metadata, spec } of services) {
    expected.set(serviceName(metadata), serviceState([spec.clusterIP]));
  }
  return expected;
}

/** Every name of which an agent holds another state than it must, in words. */
export function differencesOf(
  expected: ReadonlyMap<string, string>,
  { held, differing }: HeldByAgents,
): readonly string[] {
  const first = new Map(held);
  const names = new Set([...expected.keys(), ...first.keys()]);
  const wrong = [...names].flatMap((name) => {
    const is = first.get(name) ?? GONE;
    const must = expected.get(name) ?? GONE;
    return is === must ? [] : [`${name} is "${is}", must be "${must}"`];
  });
  const others = differing.flatMap(({ agent, name, state }) => {
    const must = expected.get(name) ?? GONE;
    return state === must ? [] : [`${name} at agent ${agent} is "${state}", must be "${must}"`];
  });
  return [...wrong, ...others];
}

export class Truth {
  readonly #api: ApiCalls;
  readonly #world: World;

  constructor(api: ApiCalls, world: World) {
    this.#api = api;
    this.#world = world;
  }

  /**
   * Makes every pod ready. Nobody speaks for the nodes of this world, so after a minute the cluster's node controller marks a new
   * pod as not ready if it was ready when the controller came to it. It does so once for each pod.
   */
  async settle(): Promise<number> {
    const deadline = systemClock.now() + SETTLE_MS_MAX;
    let marked = 0;
    for (let quietSince = systemClock.now(); ; await systemClock.sleep(AGAIN_MS)) {
      const unready = await this.unready();
      const now = systemClock.now();
      if (unready.size === 0 && now - quietSince >= SETTLED_MS) return marked;
      if (now > deadline) throw new Error(`${unready.size} pods do not become ready`);
      if (unready.size === 0) continue;
      quietSince = now;
      marked += unready.size;
      for (const index of unready) await this.#world.writeReady(index, true);
    }
  }

  /** Indices of pods of the world that are not ready now, whoever said so. */
  async unready(): Promise<ReadonlySet<number>> {
    const pods = await this.#api.list<ApiPod>('/api/v1/pods');
    const indices = pods.flatMap((pod) => {
      const index = this.#world.indexOf(pod.metadata);
      return index === undefined || isReady(pod) ? [] : [index];
    });
    return new Set(indices);
  }

  /** Throws, with names, when what agents hold does not come to be what the API server says. */
  async agree(held: () => Promise<HeldByAgents>): Promise<void> {
    const deadline = systemClock.now() + AGREE_MS_MAX;
    for (;;) {
      const differences = await this.differences(held);
      if (differences.length === 0) return;
      if (systemClock.now() > deadline) throw lostError(differences);
      await systemClock.sleep(AGAIN_MS);
    }
  }

  /** At this moment; something may be on its way. */
  async differences(held: () => Promise<HeldByAgents>): Promise<readonly string[]> {
    const api = this.#api;
    const objects: ApiObjects = {
      pods: await api.list('/api/v1/pods'),
      policies: await api.list('/apis/security.istio.io/v1/authorizationpolicies'),
      services: await api.list('/api/v1/services'),
      namespaces: await api.list('/api/v1/namespaces'),
    };
    return differencesOf(expectedOf(objects), await held());
  }
}

export function lostError(differences: readonly string[]): Error {
  const some = differences.slice(0, NAMED_MAX).join('; ');
  return new Error(`LOST: ${differences.length} resources are wrong at agents: ${some}`);
}

function isReady({ metadata, status }: ApiPod): boolean {
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && metadata.deletionTimestamp === undefined;
}

function serviceName({ namespace, name }: Metadata): string {
  return `${namespace}/${name}.${namespace}.svc.cluster.local`;
}

/** Answers which objects of its namespace select a pod. Those that select nothing in particular select nobody. */
function selecting<T extends { readonly metadata: Metadata }>(
  objects: readonly T[],
  selectorOf: (object: T) => Readonly<Record<string, string>>,
): (pod: ApiPod) => readonly Metadata[] {
  const byNamespace = Map.groupBy(objects, ({ metadata }) => metadata.namespace ?? '');
  return ({ metadata: { namespace = '', labels = {} } }) =>
    (byNamespace.get(namespace) ?? []).flatMap((object) => {
      const selector = Object.entries(selectorOf(object));
      const isSelected = selector.every(([name, value]) => labels[name] === value);
      return selector.length > 0 && isSelected ? [object.metadata] : [];
    });
}
