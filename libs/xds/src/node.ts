/**
 * The node of a stream: who says to be where, and whether its token agrees.
 *
 * `type~ip~pod.namespace~namespace.svc.domain`, and metadata. A token of one node must
 * not get another node's view, so what the token says wins over nothing and contradicts everything.
 */
import type { TokenCaller } from '@ambit/identity';
import { create, type JsonObject } from '@bufbuild/protobuf';

import { XdsError } from './errors.ts';
import { type Node, NodeSchema } from './gen/envoy/service/discovery/v3/discovery_pb.ts';

export interface XdsNode {
  /** As sent. */
  readonly id: string;
  /** `ztunnel` is a node agent, ours or foreign; `waypoint` one of ours. */
  readonly type: string;
  readonly ip: string;
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Empty if nobody says. */
  readonly nodeName: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface NodeFields {
  readonly type: 'ztunnel' | 'waypoint';
  readonly ip: string;
  readonly podName: string;
  readonly namespace: string;
  readonly clusterDomain?: string;
  /** NAME, NAMESPACE, INSTANCE_IPS are added. */
  readonly metadata: JsonObject;
}

/** Metadata of a node: version of the program. Foreign control planes skip it, foreign agents do not send it. */
export const VERSION_METADATA = 'AMBIT_VERSION';

const NODE_TYPES: readonly string[] = ['ztunnel', 'waypoint'];

/** The node that a client sends with its first request of each type. */
export function buildNode(fields: NodeFields): Node {
  const { type, ip, podName, namespace, clusterDomain = 'cluster.local', metadata } = fields;
  return create(NodeSchema, {
    id: `${type}~${ip}~${podName}.${namespace}~${namespace}.svc.${clusterDomain}`,
    metadata: { NAME: podName, NAMESPACE: namespace, INSTANCE_IPS: ip, ...metadata },
  });
}

/** Throws XDS_REQUEST_INVALID for a node that is none, XDS_FORBIDDEN for one that is not the caller's. */
export function authorizeNode(message: Node | undefined, caller: TokenCaller): XdsNode {
  if (message === undefined || message.id === '') {
    throw new XdsError('XDS_REQUEST_INVALID', 'missing node information', { side: 'downstream' });
  }
  const parts = message.id.split('~');
  const [type = '', ip = '', workload = '', domain = ''] = parts;
  if (parts.length !== 4) {
    throw invalid(`missing parts in the service node ${JSON.stringify(message.id.slice(0, 200))}`);
  }
  if (!NODE_TYPES.includes(type)) {
    throw invalid(`unknown node type ${JSON.stringify(type.slice(0, 40))}`);
  }
  const metadata = message.metadata ?? {};
  const dot = workload.lastIndexOf('.');
  const podName = dot === -1 ? workload : workload.slice(0, dot);
  const namespace = textOf(metadata['NAMESPACE']) ?? workload.slice(dot + 1);
  const serviceAccount = textOf(metadata['SERVICE_ACCOUNT']) ?? caller.serviceAccount;
  const nodeName = textOf(metadata['NODE_NAME']) ?? caller.node;
  requireSame('namespace', namespace, caller.namespace);
  requireSame('namespace', workload.slice(dot + 1), caller.namespace);
  requireSame('namespace', domain.split('.')[0] ?? '', caller.namespace);
  requireSame('service account', serviceAccount, caller.serviceAccount);
  // Whose acknowledgement it is: by another's name it would stand for a proxy that is away.
  requireSame('pod', podName, caller.pod.name);
  if (caller.node !== '') {
    requireSame('node', nodeName, caller.node);
  }
  return { id: message.id, type, ip, podName, namespace, serviceAccount, nodeName, metadata };
}

function requireSame(what: string, claimed: string, actual: string): void {
  if (claimed !== actual) {
    throw new XdsError(
      'XDS_FORBIDDEN',
      `authorization failed: the token's ${what} is not ${JSON.stringify(claimed.slice(0, 80))}`,
      { side: 'downstream' },
    );
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function invalid(why: string): XdsError {
  return new XdsError('XDS_REQUEST_INVALID', why, { side: 'downstream' });
}
