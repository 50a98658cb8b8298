/** Builds the agent from its settings: plain constructor calls, defaults written out. Starts nothing. */
import { readFileSync } from 'node:fs';
import type { Clock } from '@ambit/core';
import { CertificateManager, type CrlWatch, RootWatch } from '@ambit/identity';
import {
  type Logger,
  type LogLevels,
  registerCrlMetrics,
  registerHeapMetrics,
} from '@ambit/telemetry';
import {
  certificateAuthorityOf,
  createCertificateClient,
  createProxyClient,
  type DeltaClient,
  revocationsOfProxy,
  type Subscription,
  TYPE_URL,
  VERSION_METADATA,
} from '@ambit/xds';
import { createAgentRegistry, registerAgentMetrics } from './admin/agent-metrics.ts';
import { AgentServers } from './admin/agent-servers.ts';
import { Agent, type AgentParts } from './agent.ts';
import { PACKET_MARK } from './capture/constants.ts';
import { HostProbes } from './capture/host-probes.ts';
import { buildInstaller, exemptNamespaces } from './cni/build-installer.ts';
import { registerCniMetrics } from './cni/cni-metrics.ts';
import { CniPods } from './cni/cni-pods.ts';
import type { AgentConfig } from './config.ts';
import { subscriptionsOf } from './control/controller-link.ts';
import { MeshState } from './control/mesh-state.ts';
import { PodIdentities } from './control/pod-identities.ts';
import { createDnsMetrics } from './dns/dns-metrics.ts';
import { DnsUpstream } from './dns/dns-upstream.ts';
import { MeshNames } from './dns/pod-names.ts';
import { type NameServer, parseResolvConf } from './dns/resolv-conf.ts';
import { CapturedPodSteps } from './pods/captured-pod.ts';
import { type Pod, workloadUid } from './pods/pod.ts';
import { PodRegistry } from './pods/pod-registry.ts';
import { PodStore } from './pods/store.ts';
import { WorkerPool } from './workers/worker-pool.ts';
import { threadSpawner } from './workers/worker-port.ts';

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly levels: LogLevels;
  readonly version: string;
  /** Ends the process after a drain. */
  readonly quit: () => void;
}

export function buildAgent(config: AgentConfig, around: Surroundings): Agent {
  const { clock, log } = around;
  const metrics = createAgentRegistry(around.version);
  const state: MeshState = new MeshState({
    network: config.network,
    fanOut: (change) => workers.applyResources(change),
    onEnrolments: (enrolments) => agent.setEnrolments(enrolments),
  });
  const workers: WorkerPool = new WorkerPool({
    count: config.workers,
    clock,
    log: log.scoped('workers'),
    spawn: threadSpawner({
      entry: new URL('./worker/worker-main.ts', import.meta.url),
      workerData: () => ({
        clusterId: config.clusterId,
        network: config.network,
        packetMark: PACKET_MARK,
        logSpec: config.logLevel,
        memoryLimitBytes: config.limits.memoryBytes,
      }),
      heapBytes: config.workerHeapBytes,
    }),
    state: {
      resources: () => state.resources(),
      certificates: () => [...revocationMessages(crls), ...identities.certificates()],
    },
  });
  const crls: CrlWatch | undefined = revocationsOfProxy(config, {
    clock,
    log: log.scoped('revocations'),
    tell: (state) => workers.broadcast({ kind: 'revocations', state }),
  });
  const authorityAddress = certificateAuthorityOf(config, config.caHeaders);
  const authority = createCertificateClient({ ...authorityAddress, impersonate: true });
  const manager = new CertificateManager({
    clock,
    sign: authority.sign,
    ttlSeconds: config.secretTtlSeconds,
    onEvent: (event) => identities.onEvent(event),
  });
  const workloadOf = (pod: Pod) => state.index.workloadByUid(workloadUid(config.clusterId, pod));
  const identities: PodIdentities = new PodIdentities({
    clock,
    log: log.scoped('certificates'),
    manager,
    trustDomainOf: (pod) => workloadOf(pod)?.trustDomain ?? config.trustDomain,
    tellWorkers: (message) => workers.broadcast(message),
  });
  const names = new MeshNames({
    view: state.index,
    clusterDomain: config.clusterDomain,
    isIpv6Enabled: config.ipv6Enabled,
    upstream: new DnsUpstream({ clock, servers: () => nameServers(config.resolvConf) }),
    clock,
    log: log.scoped('dns'),
    metrics: createDnsMetrics(metrics),
    canonicalNameOf: (pod) => {
      const workload = workloadOf(pod);
      return {
        name: workload?.canonicalName ?? 'unknown',
        revision: workload?.canonicalRevision ?? 'unknown',
      };
    },
  });
  const probeSources = { v4: config.probeSourceV4, v6: config.probeSourceV6 };
  const servers = new AgentServers({ config, clock, log });
  const isSuperseded = (): boolean => servers.podSocket.isSuperseded;
  const probes = new HostProbes({ log: log.scoped('probes'), probeSources, isSuperseded });
  const store = new PodStore(config.runDir, isSuperseded);
  const registry = new PodRegistry({
    clock,
    log: log.scoped('pods'),
    store,
    defaults: { dnsCapture: config.dnsCapture, probeSources },
    isSuperseded,
    stepsFor: (pod, ns) =>
      new CapturedPodSteps({
        pod,
        ns,
        workers,
        names,
        probes,
        certificates: identities,
        isSuperseded,
      }),
    onChange: () => agent.podsChanged(),
  });
  const cni = new CniPods({
    clock,
    log: log.scoped('cni'),
    pods: registry,
    isConnected: () => client?.status().connected === true,
    exemptNamespaces: new Set(exemptNamespaces(config)),
  });
  const installer = buildInstaller(config, {
    clock,
    log: log.scoped('cni'),
    isNeeded: () => registry.enrolments !== undefined,
    isSuperseded,
    onChange: () => agent.installationChanged(),
  });
  const client = buildClient(
    config,
    around,
    subscriptionsOf(state, (changed, removed) => cni.applyFacts(changed, removed)),
    () => manager.retryFailed(),
  );
  const rootsLog = log.scoped('roots');
  const roots = new RootWatch({
    clock,
    manager,
    read: authorityAddress.rootCa,
    announce: (said) => client?.setNames(TYPE_URL.trust, said),
    onChange: () => rootsLog.info('the roots of the mesh changed'),
    onError: (reason) => rootsLog.warn('the roots of the mesh cannot be read', { reason }),
  });
  registerHeapMetrics(metrics, config);
  registerCrlMetrics(metrics, () => crls?.status);
  registerAgentMetrics(metrics, { registry, workers, client: () => client });
  registerCniMetrics(metrics, { pods: cni, installer });
  const parts: AgentParts = {
    ...around,
    config,
    state,
    workers,
    authority,
    manager,
    roots,
    crls,
    identities,
    store,
    registry,
    servers,
    cni,
    installer,
    probes,
    client,
    metrics,
  };
  const agent: Agent = new Agent(parts);
  return agent;
}

function revocationMessages(crls: CrlWatch | undefined) {
  return crls === undefined ? [] : [{ kind: 'revocations', state: crls.state } as const];
}

/** Undefined without a controller's address: what is on disk decides. */
function buildClient(
  config: AgentConfig,
  { clock, log, version }: Surroundings,
  subscriptions: readonly Subscription[],
  onConnected: () => void,
): DeltaClient | undefined {
  if (config.xdsAddress === '') {
    return undefined;
  }
  return createProxyClient(config, {
    clock,
    log: log.scoped('xds'),
    type: 'ztunnel',
    ip: config.instanceIp,
    metadata: {
      NODE_NAME: config.nodeName,
      ...config.metadata,
      [VERSION_METADATA]: version,
    },
    headers: config.xdsHeaders,
    subscriptions,
    onConnected,
  });
}

/** None when the file cannot be read: questions to upstream then fail, as they would without this agent. */
function nameServers(path: string): readonly NameServer[] {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'));
  } catch {
    return [];
  }
}
