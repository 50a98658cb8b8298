/** What is said of one policy, by what streams and replicas have and what the model says of it. */
import assert from 'node:assert/strict';

import type { MeshDelta, MeshOutputs } from '@ambit/model';
import {
  type ReplicaAnswer,
  type ReplicaProxy,
  type StreamView,
  TYPE_URL,
  type TypeView,
  type XdsNode,
} from '@ambit/xds';

import type { RemoteReplica } from '../replicas/remote-book.ts';
import type { ExpectedProxy } from '../serve/proxy-identity.ts';
import { Enforcement } from './enforcement.ts';

export const KEY = 'AuthorizationPolicy/shop/p';
const NONE = { changed: new Set<string>(), removed: new Set<string>() };
export const NO_CHANGE = {
  ...{ addresses: NONE, authorizations: NONE, objects: NONE },
  ...{ scopes: NONE, statuses: NONE, waypoints: NONE },
};

export interface StreamState {
  readonly pod: string;
  readonly type?: 'ztunnel' | 'waypoint';
  readonly acked: Readonly<Record<string, string>>;
  readonly rejected?: Readonly<Record<string, { version: string; reason: string }>>;
  readonly isSettled?: boolean;
}

export function stream(state: StreamState): StreamView {
  const type: TypeView = {
    isWildcard: true,
    names: new Set(),
    acked: new Map(Object.entries(state.acked)),
    rejected: new Map(Object.entries(state.rejected ?? {})),
    isSettled: state.isSettled ?? false,
    lastSequence: 1,
    ackedSequence: 1,
  };
  const node: XdsNode = {
    id: state.pod,
    type: state.type ?? 'ztunnel',
    ip: '',
    podName: state.pod,
    namespace: 'shop',
    serviceAccount: 'waypoint',
    nodeName: 'n',
    metadata: {},
  };
  const types =
    node.type === 'waypoint'
      ? [TYPE_URL.address, TYPE_URL.object]
      : [TYPE_URL.address, TYPE_URL.authorization];
  const caller = {
    namespace: 'shop',
    serviceAccount: 'x',
    pod: { name: state.pod, uid: '' },
    node: 'n',
    expiresAtMs: 0,
  };
  return { id: 1, caller, node, connectedAtMs: 0, types: new Map(types.map((url) => [url, type])) };
}

export function condition(options: {
  readonly streams: readonly StreamState[];
  readonly unreachable?: readonly ExpectedProxy[];
  readonly inScope?: boolean;
  readonly conditions?: readonly object[];
  readonly findings?: readonly object[];
  readonly remote?: readonly RemoteReplica[];
}): string {
  const outputs = {
    statuses: new Map([
      [
        KEY,
        {
          key: KEY,
          conditions: [{ type: 'Accepted' }, ...(options.conditions ?? [])],
          findings: options.findings ?? [],
        },
      ],
    ]),
    scopes: new Map(options.inScope === true ? [['shop/waypoint', new Set([KEY])]] : []),
    objects: new Map([[KEY, {}]]),
  } as unknown as MeshOutputs;
  const enforcement = new Enforcement({
    outputs: () => outputs,
    generation: () => 7,
    uid: () => 'uid',
    remote: () => options.remote ?? [],
    version: () => 'v2',
    streams: () => options.streams.map(stream),
    unreachable: () => options.unreachable ?? [],
    waypointOf: (node) => (node.type === 'waypoint' ? 'shop/waypoint' : undefined),
  });
  const delta = {
    ...NO_CHANGE,
    authorizations: { changed: new Set(['shop/p']), removed: new Set() },
    scopes: { changed: new Set(outputs.scopes.keys()), removed: new Set() },
  } as unknown as MeshDelta;
  enforcement.note(new Set([KEY]), delta);
  assert.deepEqual([...enforcement.evaluate()], [KEY]);
  const found = enforcement.conditions.get(KEY);
  assert.equal(found?.observedGeneration, 7);
  return `${found.status} ${found.reason}: ${found.message}`;
}

export const IN_FORCE: StreamState = { pod: 'a', acked: { 'shop/p': 'v2', [KEY]: 'v2' } };
export const BEHIND: StreamState = { pod: 'b', acked: { 'shop/p': 'v1', [KEY]: 'v1' } };
export const REFUSED: StreamState = {
  pod: 'c',
  acked: { 'shop/p': 'v1' },
  rejected: { 'shop/p': { version: 'v2', reason: 'bad rule' } },
};
export const unattached = (reason: string) => ({
  ...{ type: 'Attached', status: 'False', reason, message: 'why' },
});
export const OUTSIDE = {
  type: 'Attached',
  status: 'False',
  reason: 'NotEnrolled',
  message: 'nobody',
};

export function replica(
  ids: readonly string[],
  answer: Partial<ReplicaAnswer> | undefined,
  fields: Partial<RemoteReplica> & { readonly waypoint?: string } = {},
): RemoteReplica {
  const { waypoint, ...rest } = fields;
  const none = { waiting: 0, waitingNames: [], refused: 0, refusals: [] };
  return {
    ...{ name: 'controller-2', isHeard: true, isServing: true },
    proxies: ids.map((id): ReplicaProxy => {
      const kind = waypoint === undefined ? 'node-agent' : 'waypoint';
      const place = { address: '', pod: `vm/${id}`, node: '', subscriptions: [] };
      return { id, kind, name: waypoint ?? id, connectedAtMs: 5, waypoint, ...place };
    }),
    answer: () =>
      answer === undefined
        ? undefined
        : { key: KEY, uid: 'uid', generation: 7, ...none, ...answer },
    ...rest,
  };
}

export const WAITS = { waiting: 1, waitingNames: ['x'] };
export const NODE: ExpectedProxy = { pod: 'Pod/x/y', kind: 'node-agent', name: 'node9' };
