/** A pod on this node as the caller of `agent.sock` describes it. Parsed once, here. */

import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { AgentError } from '../errors.ts';

export interface Pod {
  /** `metadata.uid`. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** A path that opens the network namespace for as long as the pod lives. */
  readonly netnsPath: string;
  readonly ips: readonly string[];
  /** Absent where no container runtime made it. */
  readonly sandbox?: Sandbox;
}

/** The attachment of a container runtime that the pod is served by. */
export interface Sandbox {
  readonly containerId: string;
  readonly ifname: string;
  /** Of the CNI configuration. */
  readonly network: string;
}

/** RFC 1123 names, which also cannot leave a folder. */
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
const UID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;
/** Kubernetes allows 256 KiB of annotations; labels are much less. */
const TEXT_BYTES_MAX = 512 * 1024;
const ADDRESSES_MAX = 16;

/** Throws AGENT_POD_INVALID with every problem. */
export function parsePod(value: unknown): Pod {
  if (!isRecord(value)) {
    throw new AgentError('AGENT_POD_INVALID', 'a pod is an object', { retryable: false });
  }
  const problems: string[] = [];
  const text = (key: string, isValid: (text: string) => boolean): string => {
    const found = value[key];
    if (typeof found === 'string' && isValid(found)) {
      return found;
    }
    problems.push(`${key}: found ${JSON.stringify(found)?.slice(0, 80) ?? 'nothing'}`);
    return '';
  };
  const sandbox = parseSandbox(value['sandbox'], problems);
  const pod: Pod = {
    uid: text('uid', (uid) => UID.test(uid)),
    name: text('name', (name) => NAME.test(name)),
    namespace: text('namespace', (name) => NAME.test(name)),
    serviceAccount:
      value['serviceAccount'] === undefined
        ? 'default'
        : text('serviceAccount', (name) => NAME.test(name)),
    labels: parseStrings(value['labels'], 'labels', problems),
    annotations: parseStrings(value['annotations'], 'annotations', problems),
    netnsPath: text('netnsPath', (path) => isAbsolute(path) && !path.includes('\0')),
    ips: parseAddresses(value['ips'], problems),
    ...(sandbox === undefined ? {} : { sandbox }),
  };
  if (problems.length > 0) {
    throw new AgentError('AGENT_POD_INVALID', `not a pod: ${problems.join('; ')}`, {
      retryable: false,
    });
  }
  return pod;
}

function parseStrings(
  value: unknown,
  key: string,
  problems: string[],
): Readonly<Record<string, string>> {
  if (value === undefined) {
    return {};
  }
  const entries = isRecord(value) ? Object.entries(value) : [];
  const size = entries.reduce((sum, [name, text]) => sum + name.length + String(text).length, 0);
  if (
    !isRecord(value) ||
    size > TEXT_BYTES_MAX ||
    !entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')
  ) {
    problems.push(`${key}: want an object of strings of at most ${TEXT_BYTES_MAX} bytes`);
    return {};
  }
  return Object.fromEntries(entries);
}

function parseAddresses(value: unknown, problems: string[]): readonly string[] {
  if (value === undefined) {
    return [];
  }
  if (
    !Array.isArray(value) ||
    value.length > ADDRESSES_MAX ||
    !value.every((ip): ip is string => typeof ip === 'string' && isIP(ip) !== 0)
  ) {
    problems.push(`ips: want at most ${ADDRESSES_MAX} IP addresses`);
    return [];
  }
  return value;
}

function parseSandbox(value: unknown, problems: string[]): Sandbox | undefined {
  if (value === undefined) {
    return undefined;
  }
  const { containerId, ifname, network } = isRecord(value) ? value : {};
  if (
    typeof containerId !== 'string' ||
    typeof ifname !== 'string' ||
    typeof network !== 'string'
  ) {
    problems.push('sandbox: want containerId, ifname and network');
    return undefined;
  }
  return { containerId, ifname, network };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The uid that the mesh gives a pod. */
export function workloadUid(clusterId: string, pod: Pod): string {
  return `${clusterId}//Pod/${pod.namespace}/${pod.name}`;
}
