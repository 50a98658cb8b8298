/** A cluster that is a fake server, a source that follows it, and what the source told. Tests only. */
import type { MeshObject } from '@ambit/api';
import { type Clock, systemClock } from '@ambit/core';
import { Discovery, KubeClient, KubeHttp, type KubeObject } from '@ambit/kube';
import { FakeApiServer, type FakeKind } from '@ambit/kube/testing';
import { keyOf } from '@ambit/model';

import type { SourceChange } from '../../source/config-source.ts';
import { Intake } from '../../source/intake.ts';
import { contextOf } from '../context.testing.ts';
import type { KubernetesContext } from '../context.ts';
import { FOLLOWED_KINDS } from './followed-kinds.ts';
import { KubernetesSource, type KubernetesSourceOptions } from './kubernetes-source.ts';
import { LastAccepted } from './last-accepted.ts';

export const CONFIG_MAPS: FakeKind = {
  group: '',
  versions: ['v1'],
  resource: 'configmaps',
  kind: 'ConfigMap',
};
/** Every kind that the source follows. */
export const KINDS: readonly FakeKind[] = [
  CONFIG_MAPS,
  ...FOLLOWED_KINDS.map(({ kind, resource }) => ({ ...resource, kind })),
];

/** Resources of one name in two groups are one to the fake server: `gateways` are those of one group only. */
export function withoutKinds(...plurals: readonly string[]): readonly FakeKind[] {
  return KINDS.filter(
    ({ resource, group }) =>
      !plurals.includes(resource) && !(resource === 'gateways' && group.endsWith('istio.io')),
  );
}

export interface Replica {
  readonly source: KubernetesSource;
  readonly lastAccepted: LastAccepted;
  readonly context: KubernetesContext;
  readonly changes: SourceChange[];
  /** What it said last. */
  problems: readonly string[];
  /** Resolves with the first change, or when stopped. */
  readonly started: Promise<void>;
  /** What is in force after all changes. */
  inForce(): ReadonlyMap<string, MeshObject>;
  stop(): Promise<void>;
}

export class FollowedCluster implements AsyncDisposable {
  readonly server: FakeApiServer;
  readonly #replicas: Replica[] = [];

  constructor(kinds: readonly FakeKind[] = withoutKinds()) {
    this.server = new FakeApiServer(kinds);
  }

  async start(): Promise<this> {
    await this.server.start();
    return this;
  }

  /** `object` as written; the resource is found by its kind. */
  put(object: KubeObject): KubeObject {
    return this.server.put(pluralOf(object.kind ?? ''), object);
  }

  delete(kind: string, place: string): void {
    this.server.delete(pluralOf(kind), place);
  }

  /** A controller that starts now. */
  replica(
    options: {
      readonly clock?: Clock;
      readonly keptBytesMax?: number;
      /** What is in objects that cannot be used. */
      readonly unusable?: string;
    } = {},
  ): Replica {
    const { clock = systemClock } = options;
    const http = new KubeHttp({ credentials: this.server.credentials, clock: systemClock });
    const discovery = new Discovery({ http, clock: systemClock, pollMs: 20 });
    discovery.start();
    const client = new KubeClient({ http });
    const context = contextOf({ http, client, discovery }, clock);
    const lastAccepted = new LastAccepted(context, options);
    const source = new KubernetesSource({ context, lastAccepted });
    const changes: SourceChange[] = [];
    const intake = new Intake({
      apply: (change) => {
        const isOdd = JSON.stringify(change.upserts).includes(options.unusable ?? '"never"');
        if (isOdd) throw new Error('cannot be used');
        changes.push(change);
      },
      get objects() {
        return inForceAfter(changes);
      },
      source,
      clock: systemClock,
      log: context.log,
      onRefused: () => undefined,
    });
    const replica: Replica = {
      source,
      lastAccepted,
      context,
      changes,
      problems: [],
      started: source.start(
        (change) => intake.take(change),
        (problems) => {
          replica.problems = problems;
        },
      ),
      inForce: () => inForceAfter(changes),
      async stop() {
        intake.stop();
        await source.stop();
        await discovery.stop();
        http.close();
      },
    };
    this.#replicas.push(replica);
    return replica;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.stop()));
    await this.server[Symbol.asyncDispose]();
  }
}

function pluralOf(kind: string): string {
  return KINDS.find((known) => known.kind === kind)?.resource ?? '';
}

function inForceAfter(changes: readonly SourceChange[]): ReadonlyMap<string, MeshObject> {
  const objects = new Map<string, MeshObject>();
  for (const { removes, upserts } of changes) {
    for (const key of removes) objects.delete(key);
    for (const object of upserts) objects.set(keyOf(object), object);
  }
  return objects;
}

type Spec = Readonly<Record<string, unknown>>;

export function namespaced(kind: string, name: string, spec: Spec): KubeObject {
  return { apiVersion: apiVersionOf(kind), kind, metadata: { namespace: 'shop', name }, spec };
}

function apiVersionOf(kind: string): string {
  const found = FOLLOWED_KINDS.find((known) => known.kind === kind);
  const { group = '', versions = ['v1'] } = found?.resource ?? {};
  return group === '' ? (versions[0] ?? '') : `${group}/${versions[0]}`;
}

/** Refuses everybody but one account. */
export const policy = (account = 'web'): KubeObject =>
  namespaced('AuthorizationPolicy', 'callers', {
    action: 'ALLOW',
    rules: [{ from: [{ source: { principals: [`cluster.local/ns/shop/sa/${account}`] } }] }],
  });

/** The same object with a spelling mistake in it. */
export const brokenPolicy = (spec: Spec = {}): KubeObject =>
  namespaced('AuthorizationPolicy', 'callers', { action: 'ALLOW', rulez: [], ...spec });

export function pod(name: string, ip: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'shop', name, labels: { app: name } },
    spec: { nodeName: 'node1', serviceAccountName: 'web', containers: [] },
    status: {
      phase: 'Running',
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  } as unknown as KubeObject;
}

const ROUTE = [{ destination: { host: 'reviews' } }];
export const route = (name: string): KubeObject =>
  namespaced('VirtualService', name, { hosts: [name], http: [{ route: ROUTE }] });

export function sourceOptions(cluster: FollowedCluster): KubernetesSourceOptions {
  const { context } = cluster.replica();
  return { context, lastAccepted: new LastAccepted(context) };
}
