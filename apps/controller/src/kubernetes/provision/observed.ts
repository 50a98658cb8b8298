/** What the cluster says of a waypoint's parts, and what Gateways and people are told of it. Pure. */
import type { KubeObject } from '@ambit/kube';
import { valueAt } from './overlays.ts';
import type { PartKind } from './parts.ts';

export interface WaypointAddress {
  readonly type: 'IPAddress' | 'Hostname';
  readonly value: string;
}

export interface Observed {
  /** Of a Service, as its clients reach it. */
  readonly addresses?: readonly WaypointAddress[];
  /** Of a Deployment. */
  readonly readyPods?: number;
  /** Why it has no pods, where the server says so: a quota, a refused pod. */
  readonly failure?: string;
}

/** Reasons of the condition `Programmed` that Gateway API has. */
export type ProgrammedReason =
  | 'Programmed'
  | 'Pending'
  | 'AddressNotAssigned'
  | 'NoResources'
  | 'Invalid';

export interface WaypointState {
  /** Empty while it has none. */
  readonly addresses: readonly WaypointAddress[];
  /** It has an address and a pod that is ready. */
  readonly programmed: boolean;
  readonly reason: ProgrammedReason;
  readonly message: string;
  /** Why its parameters are not in force: for `Accepted: False, InvalidParameters`. The last good ones stay. */
  readonly invalidParameters?: string;
}

/** What kept the parts from being as they should. */
export interface Outcome {
  readonly reason: Extract<ProgrammedReason, 'Pending' | 'NoResources' | 'Invalid'>;
  readonly message: string;
}

const MESSAGE_MAX = 1_000;

export function observedOf(kind: PartKind, object: KubeObject): Observed {
  if (kind === 'service') return { addresses: addressesOf(object) };
  if (kind !== 'deployment') return {};
  const ready = valueAt(object, 'status.readyReplicas');
  const failure = failureOf(object);
  return {
    readyPods: typeof ready === 'number' ? ready : 0,
    ...(failure === undefined ? {} : { failure }),
  };
}

function addressesOf(service: KubeObject): readonly WaypointAddress[] {
  const external = listAt(service, 'status.loadBalancer.ingress').flatMap((one) => [
    ...addressOf('IPAddress', valueAt(one, 'ip')),
    ...addressOf('Hostname', valueAt(one, 'hostname')),
  ]);
  if (external.length > 0) return external;
  return listAt(service, 'spec.clusterIPs')
    .filter((ip) => ip !== 'None')
    .flatMap((ip) => addressOf('IPAddress', ip));
}

function addressOf(type: WaypointAddress['type'], value: unknown): readonly WaypointAddress[] {
  return typeof value === 'string' && value !== '' ? [{ type, value }] : [];
}

function failureOf(deployment: KubeObject): string | undefined {
  const failed = listAt(deployment, 'status.conditions').find(
    (condition) =>
      valueAt(condition, 'type') === 'ReplicaFailure' && valueAt(condition, 'status') === 'True',
  );
  const message = valueAt(failed, 'message');
  return typeof message === 'string' ? message.slice(0, MESSAGE_MAX) : undefined;
}

function listAt(root: unknown, path: string): readonly unknown[] {
  const value = valueAt(root, path);
  return Array.isArray(value) ? value : [];
}

export interface StateInput {
  readonly namespace: string;
  /** Of its Service. */
  readonly serviceName: string;
  readonly clusterDomain: string;
  readonly addressType: WaypointAddress['type'];
  readonly observed: readonly Observed[];
  readonly outcome: Outcome | undefined;
  readonly invalidParameters: string | undefined;
}

export function stateFrom(input: StateInput): WaypointState {
  const { outcome, invalidParameters } = input;
  const addresses = shownAddresses(input);
  const readyPods = input.observed.reduce((sum, { readyPods: pods = 0 }) => sum + pods, 0);
  const failure = input.observed.find((one) => one.failure !== undefined)?.failure;
  const isProgrammed = addresses.length > 0 && readyPods > 0 && outcome?.reason !== 'Invalid';
  return {
    addresses,
    programmed: isProgrammed,
    ...(isProgrammed
      ? { reason: 'Programmed', message: programmedMessage(readyPods, outcome) }
      : missing({ addresses, failure, outcome, invalidParameters })),
    ...(invalidParameters === undefined ? {} : { invalidParameters }),
  };
}

function shownAddresses(input: StateInput) {
  const { namespace, serviceName, clusterDomain, addressType, observed } = input;
  const addresses = observed.flatMap((one) => one.addresses ?? []);
  if (addressType === 'IPAddress' || addresses.length === 0) return addresses;
  const value = `${serviceName}.${namespace}.svc.${clusterDomain}`;
  return [{ type: 'Hostname', value } as const];
}

function programmedMessage(readyPods: number, outcome: Outcome | undefined): string {
  const pods = readyPods === 1 ? '1 pod is ready' : `${readyPods} pods are ready`;
  return outcome === undefined ? pods : `${pods}; not as it should be: ${outcome.message}`;
}

/** What is missing, the cause before its consequences. */
function missing(input: {
  readonly addresses: readonly WaypointAddress[];
  readonly failure: string | undefined;
  readonly outcome: Outcome | undefined;
  readonly invalidParameters: string | undefined;
}): Pick<WaypointState, 'reason' | 'message'> {
  const { addresses, failure, outcome, invalidParameters } = input;
  if (outcome !== undefined) return outcome;
  if (failure !== undefined) return { reason: 'NoResources', message: failure };
  if (invalidParameters !== undefined && addresses.length === 0) {
    return { reason: 'Invalid', message: invalidParameters };
  }
  if (addresses.length === 0) {
    return { reason: 'AddressNotAssigned', message: 'its Service has no address yet' };
  }
  return { reason: 'Pending', message: 'no pod of it is ready yet: whoever needs it is refused' };
}
