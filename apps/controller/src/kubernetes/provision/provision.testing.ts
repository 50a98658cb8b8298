/** A provisioner with what it needs, on a fake API server or a real one. Tests only. */
import type { Clock } from '@ambit/core';
import type { GroupVersionResource, KubeObject } from '@ambit/kube';
import { answer, type FakeKind } from '@ambit/kube/testing';
import type { WaypointSpec } from '@ambit/model';
import { type FakeCluster, fakeCluster } from '../context.testing.ts';
import type { KubernetesContext } from '../context.ts';
import { PART_KINDS, PART_TYPES } from './parts.ts';
import type { WaypointSettings } from './waypoint-parts.ts';
import { WaypointProvisioner } from './waypoint-provisioner.ts';

export const GATEWAYS: GroupVersionResource = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  resource: 'gateways',
};
export const CONFIG_MAPS: GroupVersionResource = {
  group: '',
  version: 'v1',
  resource: 'configmaps',
};

export const SETTINGS: WaypointSettings = {
  image: 'example/waypoint:1',
  imagePullPolicy: 'IfNotPresent',
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '1Gi' } },
  isScraped: true,
  controllerAddress: 'https://ambit-controller.istio-system.svc:15012',
  rootConfigMap: 'ambit-ca-root-cert',
  rootNamespace: 'istio-system',
  reservedAccounts: new Set(['istio-system/ambit-controller']),
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
  logLevel: 'info',
};

export function onDemand(namespace: string, more: Partial<WaypointSpec> = {}): WaypointSpec {
  return {
    namespace,
    name: 'waypoint',
    serviceAccount: 'waypoint',
    className: 'istio-waypoint',
    onDemand: true,
    because: [`AuthorizationPolicy/${namespace}/get`],
    ...more,
  };
}

export function ofGateway(namespace: string, more: Partial<WaypointSpec> = {}): WaypointSpec {
  return onDemand(namespace, {
    onDemand: false,
    because: [`Gateway/${namespace}/waypoint`],
    ...more,
  });
}

export function withParameters(name: string): Pick<WaypointSpec, 'infrastructure'> {
  const parametersRef = { group: '', kind: 'ConfigMap', name };
  return { infrastructure: { labels: {}, annotations: {}, parametersRef } };
}

export function specs(...list: readonly WaypointSpec[]): ReadonlyMap<string, WaypointSpec> {
  return new Map(list.map((spec) => [`${spec.namespace}/${spec.name}`, spec]));
}

export interface Provisioning extends AsyncDisposable {
  readonly provisioner: WaypointProvisioner;
  /** Waypoints whose state was told to have changed. */
  readonly told: string[];
  /** Ends the term. */
  resign(): Promise<void>;
}

export function provision(context: KubernetesContext, lingerMs = 0): Provisioning {
  const told: string[] = [];
  const provisioner = new WaypointProvisioner({
    context,
    settings: SETTINGS,
    lingerMs,
    onChange: (waypoint) => void told.push(waypoint),
  });
  const term = new AbortController();
  provisioner.lead(term.signal);
  const resign = async (): Promise<void> => {
    term.abort();
    await provisioner.idle();
  };
  return { provisioner, told, resign, [Symbol.asyncDispose]: resign };
}

const FAKE_KINDS: readonly FakeKind[] = [
  ...PART_KINDS.map((kind) => {
    const { group, version, resource, kind: kindName } = PART_TYPES[kind];
    return { group, versions: [version], resource, kind: kindName };
  }),
  { group: '', versions: ['v1'], resource: 'configmaps', kind: 'ConfigMap' },
  { group: GATEWAYS.group, versions: ['v1'], resource: 'gateways', kind: 'Gateway' },
];

export interface FakeProvisioning extends FakeCluster {
  /** Tells the server's answer to an apply of that `resource/namespace/name`; undefined: it takes it. */
  refuse: (what: string, object: KubeObject, isDryRun: boolean) => number | undefined;
  /** `apply|delete resource/namespace/name` in their order. */
  readonly writes: string[];
}

/** Server-side apply makes what is not there; a dry run stores nothing. */
export async function fakeProvisioning(clock?: Clock): Promise<FakeProvisioning> {
  const fake = await fakeCluster(FAKE_KINDS, clock);
  const { server } = fake;
  const patches = server.intercept;
  const provisioning: FakeProvisioning = Object.assign(fake, {
    refuse: () => undefined,
    writes: [],
  });
  server.intercept = (request, response) => {
    if (request.method === 'GET') return false;
    const [, resource = '', name = ''] = /\/([a-z]+)\/([^/]+)$/.exec(request.url.pathname) ?? [];
    const namespace = /\/namespaces\/([^/]+)\//.exec(request.url.pathname)?.[1] ?? '';
    const what = `${resource}/${namespace}/${name}`;
    const isDryRun = request.url.searchParams.has('dryRun');
    if (request.method !== 'PATCH') {
      provisioning.writes.push(`delete ${what}`);
      return false;
    }
    const object = JSON.parse(request.body) as KubeObject;
    const status = provisioning.refuse(what, object, isDryRun);
    if (status !== undefined) {
      const reason = { 403: 'Forbidden', 422: 'Invalid' }[status] ?? 'InternalError';
      const details = { causes: [{ field: 'spec.x', reason: 'R', message: 'not so' }] };
      answer(response, status, {
        kind: 'Status',
        status: 'Failure',
        code: status,
        reason,
        message: 'no',
        details,
      });
      return true;
    }
    if (isDryRun) {
      answer(response, 200, object);
      return true;
    }
    provisioning.writes.push(`apply ${what}`);
    if (server.get(resource, `${namespace}/${name}`) !== undefined)
      return patches(request, response);
    answer(response, 201, server.put(resource, object));
    return true;
  };
  return provisioning;
}
