/** Replicas of one controller in one process, each with a control plane of its own, from the same objects. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type MeshObject, type ObjectKey, parseObject } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { CertificateAuthority, PodTokenIssuer } from '@ambit/identity';
import { createLogger, LogLevels } from '@ambit/telemetry';
import {
  type ControlPlaneAddress,
  ControlPlaneServer,
  DeltaServer,
  loadContentHash,
} from '@ambit/xds';
import { Registry } from 'prom-client';
import { Captures } from '../index/captures.ts';
import { MeshStore } from '../index/mesh-store.ts';
import { ObjectPodIndex } from '../index/pod-index.ts';
import { Reports } from '../index/reports.ts';
import { createMetrics } from '../metrics.ts';
import { ModelResources } from '../serve/model-resources.ts';
import { ProxyTable } from '../serve/proxy-table.ts';
import { onStreamEvent } from '../serve/stream-events.ts';
import type { ProxyIdentity } from '../shop-objects.testing.ts';
import { changesWhatIsAsked } from '../status/asked-streams.ts';
import { Enforcement } from '../status/enforcement.ts';
import { RemoteBook } from './remote-book.ts';
import type { Peer } from './replica-peers.ts';
import { Replicas } from './replicas.ts';

const SERVER_NAME = 'ambit-controller.istio-system.svc';
const AGENTS = new Set(['istio-system/ambit-node-agent']);
const ACCOUNT = 'istio-system/ambit-controller';
const clock = systemClock;
const log = createLogger({
  scope: 'test',
  levels: new LogLevels('off'),
  sink: { write: () => undefined },
  wallNow: () => clock.wallNow(),
});

export class TestReplica {
  readonly name: string;
  readonly store: MeshStore;
  readonly captures: Captures;
  readonly proxies: ProxyTable;
  readonly enforcement: Enforcement;
  readonly resources: ModelResources;
  readonly replicas: Replicas;
  readonly book = new RemoteBook();
  readonly #mesh: TestMesh;
  readonly #server: ControlPlaneServer;
  port = 0;

  constructor(
    mesh: TestMesh,
    name: string,
    made: { readonly resources: ModelResources; readonly account: string },
  ) {
    this.name = name;
    this.#mesh = mesh;
    this.resources = made.resources;
    this.store = new MeshStore({ ...MESH, capture: mesh.capture }, { pending: [], clock });
    const { store, resources, book } = this;
    this.captures = new Captures({
      objects: store.objects,
      clock,
      onLapse: (captured) => store.apply({ captured }),
    });
    this.proxies = new ProxyTable({
      objects: store.objects,
      trustedNodeAccounts: AGENTS,
      wallNow: () => clock.wallNow(),
      capturedOf: (node) => this.captures.of(node),
      waypointOf: (node) => resources.waypointOf(node),
      remote: () => book.proxies(),
    });
    this.enforcement = new Enforcement({
      outputs: () => store.model.outputs,
      generation: (key) => store.objects.get(key)?.metadata.generation ?? 0,
      uid: (key) => store.objects.get(key)?.metadata.uid ?? '',
      version: (typeUrl, resource, node) => resources.version(typeUrl, resource, node),
      streams: () => this.proxies.meshStreams,
      unreachable: () => this.proxies.unreachable(),
      waypointOf: (node) => resources.waypointOf(node),
      remote: () => book.replicas(),
    });
    this.replicas = new Replicas({
      ...{ self: name, account: ACCOUNT, clock, log, book },
      ...{ proxies: this.proxies, captures: this.captures, enforcement: this.enforcement },
      awaited: () => store.model.pending,
      peers: () => mesh.peers,
      target: mesh.target(name, made.account),
      onCaptured: (captured) => store.apply({ captured }),
      onChange: (keys) => this.enforcement.touch(keys),
    });
    this.#server = this.#makeServer();
  }

  get peer(): Peer {
    return { name: this.name, address: `127.0.0.1:${this.port}`, isReady: true };
  }

  async start(): Promise<void> {
    this.port = await this.#server.listen('127.0.0.1:0');
    this.replicas.start();
  }

  apply(...values: readonly unknown[]): void {
    this.store.apply({ upserts: values.map(objectOf) });
  }

  address(identity: ProxyIdentity): ControlPlaneAddress {
    return this.#mesh.addressOf(this, identity);
  }

  /** `status reason: message` of `Enforced`. */
  enforced(key: ObjectKey): string {
    this.enforcement.evaluate();
    const condition = this.enforcement.conditions.get(key);
    return `${condition?.status} ${condition?.reason}: ${condition?.message}`;
  }

  /** The process is gone; its pod may still be listed. */
  async stop(): Promise<void> {
    await this.replicas.stop();
    this.captures.stop();
    this.#server.stop();
  }

  #makeServer(): ControlPlaneServer {
    const { tokens, authority } = this.#mesh;
    const { store, captures, proxies, resources, enforcement, replicas } = this;
    const pods = new ObjectPodIndex(store.objects);
    const metrics = createMetrics(new Registry(), {
      objects: () => 0,
      refusedObjects: () => 0,
      streams: () => 0,
      unreachable: () => 0,
      refusedClaims: () => 0,
      waitingReports: () => 0,
      behind: () => ({ waiting: 0, lost: 0 }),
      resources: () => ({}),
    });
    store.onChange(({ delta, causes }) => {
      for (const key of causes) {
        pods.update(key);
        proxies.updatePod(key);
      }
      enforcement.note(causes, delta);
      resources.update(store.model.outputs, delta);
      replicas.touch();
      const captured = captures.update(causes, MESH.clusterId);
      if (captured.add.length + captured.remove.length > 0) store.apply({ captured });
    });
    const reports = new Reports({ store, clock, log });
    const delta = new DeltaServer({
      clock,
      source: resources,
      onEvent: (event) => {
        proxies.onEvent(event);
        if (changesWhatIsAsked(event)) enforcement.touch('all');
        onStreamEvent(event, {
          captures,
          reports,
          pods,
          trustedNodeAccounts: AGENTS,
          metrics,
          log,
        });
        replicas.touch();
      },
    });
    return new ControlPlaneServer({
      delta,
      verifier: tokens,
      certificates: { verifier: tokens, authority, index: pods, trustedNodeAccounts: AGENTS },
      serving: authority.issueServing({ names: [SERVER_NAME], ttlSeconds: 3600 }),
      replicas: replicas.service,
    });
  }
}

export class TestMesh {
  readonly tokens: PodTokenIssuer;
  readonly authority: CertificateAuthority;
  readonly #folder: string;
  readonly #running: TestReplica[] = [];
  /** Of replicas that are added from now on. */
  capture: 'reported' | 'promised' = 'reported';
  /** What the cluster says of the controller's pods. */
  peers: readonly Peer[] = [];

  private constructor(folder: string, tokens: PodTokenIssuer, authority: CertificateAuthority) {
    this.#folder = folder;
    this.tokens = tokens;
    this.authority = authority;
  }

  static async create(): Promise<TestMesh> {
    const folder = await mkdtemp(join(tmpdir(), 'ambit-replicas-'));
    const tokens = await PodTokenIssuer.create({ clock });
    const authority = await CertificateAuthority.openOwn({
      folder,
      trustDomain: MESH.trustDomain,
      clock,
      defaultTtlSeconds: 3600,
    });
    return new TestMesh(folder, tokens, authority);
  }

  async add(
    name: string,
    objects: readonly unknown[],
    account = 'ambit-controller',
  ): Promise<TestReplica> {
    const resources = new ModelResources(await loadContentHash());
    const replica = new TestReplica(this, name, { resources, account });
    replica.apply(...objects);
    this.#running.push(replica);
    await replica.start();
    this.list(...this.peers, replica.peer);
    return replica;
  }

  list(...peers: readonly Peer[]): void {
    this.peers = peers;
    for (const { replicas } of this.#running) replicas.touchPeers();
  }

  target(name: string, serviceAccount: string): Omit<ControlPlaneAddress, 'address'> {
    const pod = { name, uid: `uid-${name}` };
    const claims = { namespace: 'istio-system', serviceAccount, pod, node: 'node1' };
    return {
      rootCa: () => Promise.resolve(this.authority.rootBundlePem),
      token: () => this.tokens.mint({ ...claims, ttlSeconds: 600 }),
      clusterId: MESH.clusterId,
      serverName: SERVER_NAME,
    };
  }

  addressOf({ port }: TestReplica, identity: ProxyIdentity): ControlPlaneAddress {
    const { namespace, serviceAccount, pod: name, node } = identity;
    const pod = { name, uid: `uid-${name}` };
    const claims = { namespace, serviceAccount, pod, node, ttlSeconds: 600 };
    return {
      address: `127.0.0.1:${port}`,
      rootCa: () => Promise.resolve(this.authority.rootBundlePem),
      token: () => this.tokens.mint(claims),
      clusterId: MESH.clusterId,
      serverName: SERVER_NAME,
    };
  }

  async dispose(): Promise<void> {
    for (const replica of this.#running) await replica.stop();
    await rm(this.#folder, { recursive: true });
  }
}

const MESH = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
} as const;

export function objectOf(value: unknown): MeshObject {
  const { object, findings } = parseObject(value);
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}
