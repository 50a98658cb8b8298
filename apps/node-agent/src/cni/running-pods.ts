/**
 * Pods that were there before the plugin: the container runtime's CNI library keeps a record of each attachment.
 *
 * The record (`cniCacheV1` of libcni, used by containerd and CRI-O) says what the plugin would have been told. What is
 * no such record is left out: nothing is guessed.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isRecord } from '../pods/pod.ts';
import { type AddRequest, parseAdd } from './cni-request.ts';
import { addressesOf } from './plugin/prev-result.ts';

const KIND = 'cniCacheV1';
/** A record holds the whole configuration and the pod's annotations. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FILES_MAX = 10_000;
/** What Kubernetes calls the interface of a pod's own network. */
const POD_INTERFACE = 'eth0';

/** One attachment a pod, that of its own network. Empty when there is no such folder. */
export function readRunningPods(folder: string): readonly AddRequest[] {
  const pods = new Map<string, AddRequest>();
  for (const name of list(folder)) {
    const request = readRecord(join(folder, name));
    if (request === undefined) {
      continue;
    }
    const known = pods.get(request.containerId);
    if (known === undefined || request.ifname === POD_INTERFACE) {
      pods.set(request.containerId, request);
    }
  }
  return [...pods.values()];
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort().slice(0, FILES_MAX);
  } catch {
    // Another runtime, or no pod so far.
    return [];
  }
}

function readRecord(path: string): AddRequest | undefined {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) {
      return undefined;
    }
    return parseRecord(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    // Gone with its pod, being written, or not of a pod.
    return undefined;
  }
}

/** Throws AGENT_POD_INVALID for what is not complete. */
function parseRecord(value: unknown): AddRequest | undefined {
  if (!isRecord(value) || value['kind'] !== KIND || value['ifName'] === 'lo') {
    return undefined;
  }
  const args = argsOf(value['cniArgs']);
  const result = isRecord(value['result']) ? value['result'] : {};
  return parseAdd({
    containerId: value['containerId'],
    ifname: value['ifName'],
    network: value['networkName'],
    netns: value['netns'] ?? sandboxOf(result),
    namespace: args.get('K8S_POD_NAMESPACE'),
    name: args.get('K8S_POD_NAME'),
    uid: args.get('K8S_POD_UID'),
    ips: addressesOf(result).ips,
  });
}

function argsOf(value: unknown): ReadonlyMap<string, string> {
  const pairs: readonly unknown[] = Array.isArray(value) ? value : [];
  return new Map(
    pairs.flatMap((pair): readonly (readonly [string, string])[] =>
      Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'string'
        ? [[pair[0], pair[1]]]
        : [],
    ),
  );
}

/** Older records name the namespace only in their result. */
function sandboxOf(result: Readonly<Record<string, unknown>>): unknown {
  const interfaces: readonly unknown[] = Array.isArray(result['interfaces'])
    ? result['interfaces']
    : [];
  const inside = interfaces.find(
    (entry) => isRecord(entry) && typeof entry['sandbox'] === 'string' && entry['sandbox'] !== '',
  );
  return isRecord(inside) ? inside['sandbox'] : undefined;
}
