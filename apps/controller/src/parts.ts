/** The controller's parts, made in the order in which they need each other. Plain constructor calls. */
import type { Clock } from '@ambit/core';
import type { CertificateAuthority } from '@ambit/identity';
import { type AdminCertificate, DEFAULT_REVISION, type ObjectStatus } from '@ambit/model';
import { type Logger, type LogLevels, Readiness, registerProcessMetrics } from '@ambit/telemetry';
import { type CertificateServiceEvent, DeltaServer, loadContentHash, tokenFile } from '@ambit/xds';
import type { Registry } from 'prom-client';

import { IssuedCertificates } from './authority.ts';
import type { ControllerConfig } from './config.ts';
import { Bypasses } from './index/bypasses.ts';
import { Captures, type SavedCaptures } from './index/captures.ts';
import { MeshStore } from './index/mesh-store.ts';
import { ObjectPodIndex } from './index/pod-index.ts';
import { Reports } from './index/reports.ts';
import { ControllerPods } from './kubernetes/controller-pods.ts';
import { type ControllerMetrics, createMetrics } from './metrics.ts';
import type { Platform } from './platform.ts';
import { maxFds, openFds } from './process-limits.ts';
import { RemoteBook } from './replicas/remote-book.ts';
import { Replicas } from './replicas/replicas.ts';
import { ModelResources } from './serve/model-resources.ts';
import { ProxyTable } from './serve/proxy-table.ts';
import { onStreamEvent } from './serve/stream-events.ts';
import { changesWhatIsAsked } from './status/asked-streams.ts';
import { Enforcement } from './status/enforcement.ts';
import { Generations } from './status/generations.ts';
import { StatusBook } from './status/status-book.ts';
import { VERSION } from './version.ts';

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly levels: LogLevels;
  readonly registry: Registry;
}

/** What is known, and what an earlier process left. */
async function buildKnowledge(
  config: ControllerConfig,
  platform: Platform,
  { clock, log }: Surroundings,
) {
  const failed = { listeners: (): void => undefined };
  const generationsFile = platform.kept<ReturnType<Generations['save']>>('generations');
  const pendingFile = platform.kept<readonly string[]>('pending');
  const statusFile = platform.kept<readonly ObjectStatus[]>('status');
  const generations = new Generations();
  generations.restore(await generationsFile.read());
  await statusFile.read();
  const { trustDomain, rootNamespace, clusterDomain, clusterId, network } = config;
  const capture = config.podsWaitForAgent ? 'promised' : 'reported';
  const revision = config.kubernetes?.revision ?? DEFAULT_REVISION;
  const store = new MeshStore(
    {
      ...{ trustDomain, rootNamespace, clusterDomain, clusterId, network, capture, revision },
      hearsAgents: true,
    },
    {
      pending: textList(await pendingFile.read()),
      clock,
      onListenerFailed: (error) => {
        failed.listeners();
        const message = 'a part of the controller could not follow a change, and is told again';
        log.error(message, { error, behind: store.behind });
      },
    },
  );
  const reports = new Reports({ store, clock, log: log.scoped('reports') });
  const pods = new ObjectPodIndex(store.objects);
  const capturedFile = platform.kept<SavedCaptures>('captured');
  const captures = new Captures({
    objects: store.objects,
    clock,
    onLapse: (captured) => {
      reports.take({ captured });
      capturedFile.write(() => captures.save());
    },
  });
  captures.restore(await capturedFile.read());
  const bypasses = new Bypasses({
    objects: store.objects,
    clock,
    onOver: (bypassed) => reports.take({ bypassed }),
  });
  const files = { generationsFile, pendingFile, statusFile, capturedFile };
  return { ...files, generations, store, reports, failed, pods, captures, bypasses };
}

type Knowledge = Awaited<ReturnType<typeof buildKnowledge>>;

/** Who is there, and what they have in force. */
async function buildProxies(
  config: ControllerConfig,
  { store, captures, statusFile }: Knowledge,
  { clock }: Surroundings,
) {
  const resources = new ModelResources(await loadContentHash());
  const trustedNodeAccounts = new Set(config.trustedNodeAccounts);
  const book = new RemoteBook();
  const proxies = new ProxyTable({
    objects: store.objects,
    trustedNodeAccounts,
    wallNow: () => clock.wallNow(),
    capturedOf: (node) => captures.of(node),
    waypointOf: (node) => resources.waypointOf(node),
    revision: store.options.revision,
    remote: () => book.proxies(),
  });
  const enforcement = new Enforcement({
    outputs: () => store.model.live,
    generation: (key) => store.objects.get(key)?.metadata.generation ?? 0,
    uid: (key) => store.objects.get(key)?.metadata.uid ?? '',
    version: (typeUrl, name, node) => resources.version(typeUrl, name, node),
    streams: () => proxies.meshStreams,
    unreachable: () => proxies.unreachable(),
    waypointOf: (node) => resources.waypointOf(node),
    remote: () => book.replicas(),
  });
  const outputs = (): typeof store.model.live => store.model.live;
  const statuses = new StatusBook({ clock, outputs, enforcement, file: statusFile });
  return { resources, trustedNodeAccounts, book, proxies, enforcement, statuses };
}

type Proxies = Awaited<ReturnType<typeof buildProxies>>;

function buildMetrics(
  registry: Registry,
  { store, captures, reports, failed }: Knowledge,
  { statuses, proxies, resources }: Proxies,
): ControllerMetrics {
  registerProcessMetrics(registry, { component: 'controller', version: VERSION, openFds, maxFds });
  const metrics = createMetrics(registry, {
    objects: () => store.objects.size,
    refusedObjects: () => statuses.refused,
    streams: () => proxies.streams.length,
    unreachable: () => proxies.unreachable().length,
    refusedClaims: () => captures.refused,
    waitingReports: () => reports.waiting,
    behind: () => store.behind,
    resources: () => resources.counts(),
  });
  failed.listeners = () => metrics.listenersFailed.inc();
  return metrics;
}

async function buildAuthority(
  platform: Platform,
  needs: {
    readonly pods: ObjectPodIndex;
    readonly metrics: ControllerMetrics;
    readonly trustedNodeAccounts: ReadonlySet<string>;
  },
  around: Surroundings,
) {
  const { clock, log } = around;
  const { pods, metrics, trustedNodeAccounts } = needs;
  const { authority, issuer, verifier } = platform;
  const issuedFile = platform.kept<readonly AdminCertificate[]>('certificates');
  const issued = new IssuedCertificates(issuedFile, () => clock.wallNow());
  await issued.restore();
  const caLog = log.scoped('ca');
  const onEvent = (event: CertificateServiceEvent): void => {
    if (event.kind === 'issued') {
      issued.note(event);
      metrics.certificatesIssued.inc();
      return;
    }
    metrics.certificatesRefused.inc();
    const { requestedIdentity, reason, caller } = event;
    caLog.warn('certificate refused', { requestedIdentity, reason, caller: caller?.pod.name });
  };
  const certificates = {
    verifier,
    authority: issuer,
    index: pods,
    trustedNodeAccounts,
    onEvent,
  };
  return { authority, verifier, issued, certificates };
}

/** Nothing where this process is the only one. */
function buildReplicas(
  config: ControllerConfig,
  parts: {
    readonly knowledge: Knowledge;
    readonly proxies: Proxies;
    readonly authority: CertificateAuthority;
  },
  { clock, log, registry }: Surroundings,
): Replicas | undefined {
  const { kubernetes, clusterId, xdsAddress } = config;
  if (kubernetes === undefined || kubernetes.tokenPath === '') return undefined;
  const { namespace, podName, serviceAccount, service, tokenPath } = kubernetes;
  const { store, captures, reports } = parts.knowledge;
  const { book, proxies, enforcement, statuses } = parts.proxies;
  const port = Number(xdsAddress.slice(xdsAddress.lastIndexOf(':') + 1));
  const pods = new ControllerPods({ objects: store.objects, namespace, serviceAccount, port });
  const replicas = new Replicas({
    self: podName,
    account: `${namespace}/${serviceAccount}`,
    clock,
    log: log.scoped('replicas'),
    peers: () => pods.list(),
    target: {
      rootCa: () => Promise.resolve(parts.authority.rootBundlePem),
      token: tokenFile(tokenPath),
      clusterId,
      serverName: `${service}.${namespace}.svc`,
    },
    ...{ book, proxies, captures, enforcement },
    awaited: () => store.model.pending,
    onCaptured: (captured) => reports.take({ captured }),
    onChange: (keys) => {
      enforcement.touch(keys);
      statuses.touch();
    },
  });
  replicas.registerMetrics(registry);
  store.onChange(({ causes }) => {
    replicas.touch();
    if (pods.update(causes)) replicas.touchPeers();
  });
  return replicas;
}

export async function buildParts(
  config: ControllerConfig,
  platform: Platform,
  around: Surroundings,
) {
  const knowledge = await buildKnowledge(config, platform, around);
  const proxies = await buildProxies(config, knowledge, around);
  const metrics = buildMetrics(around.registry, knowledge, proxies);
  const { pods, captures, capturedFile, reports } = knowledge;
  const { trustedNodeAccounts } = proxies;
  const trust = await buildAuthority(platform, { pods, metrics, trustedNodeAccounts }, around);
  const log = around.log.scoped('xds');
  const replicas = buildReplicas(
    config,
    { knowledge, proxies, authority: trust.authority },
    around,
  );
  const delta = new DeltaServer({
    clock: around.clock,
    source: proxies.resources,
    ...(config.streamAgeSeconds === 0 ? {} : { streamAgeMs: config.streamAgeSeconds * 1_000 }),
    onEvent: (event) => {
      proxies.proxies.onEvent(event);
      onStreamEvent(event, { captures, reports, pods, trustedNodeAccounts, metrics, log });
      if (event.kind === 'subscribed') capturedFile.write(() => captures.save());
      if (changesWhatIsAsked(event)) proxies.enforcement.touch('all');
      proxies.statuses.touch();
      replicas?.touch();
    },
  });
  const readiness = new Readiness();
  return { ...knowledge, ...proxies, metrics, ...trust, delta, replicas, readiness };
}

export type Parts = Awaited<ReturnType<typeof buildParts>>;

function textList(json: unknown): readonly string[] {
  return Array.isArray(json) ? json.filter((item) => typeof item === 'string') : [];
}
