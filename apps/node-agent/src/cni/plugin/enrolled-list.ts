/**
 * What the agent left on the node for the time in which it does not answer: namespaces whose pods must wait for it.
 *
 * Rule: no list, or one that cannot be read, holds every pod back but those that the mesh itself needs to come up.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PluginConfig } from './cni-protocol.ts';

export type Hold =
  | { readonly isHeld: true; readonly reason: string }
  | { readonly isHeld: false; readonly reason: string };

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

/** Whether a pod has to wait for an agent that does not answer. */
export function holdOf(pod: PodName, config: PluginConfig): Hold {
  if (isAgent(pod, config.agentPods)) {
    return { isHeld: false, reason: 'it is the agent itself' };
  }
  const list = readList(join(config.runDir, 'enrolled.json'));
  if (list === undefined) {
    return config.exemptNamespaces.includes(pod.namespace)
      ? { isHeld: false, reason: `namespace ${pod.namespace} is exempt` }
      : { isHeld: true, reason: 'it is not known which namespaces are enrolled' };
  }
  return list.has(pod.namespace)
    ? { isHeld: true, reason: `namespace ${pod.namespace} is enrolled` }
    : { isHeld: false, reason: `namespace ${pod.namespace} is not enrolled` };
}

/** `istio-system/ambit-node-agent-`: any pod of that namespace whose name begins so. */
function isAgent({ namespace, name }: PodName, agentPods: string): boolean {
  const at = agentPods.indexOf('/');
  const prefix = agentPods.slice(at + 1);
  return at > 0 && prefix !== '' && namespace === agentPods.slice(0, at) && name.startsWith(prefix);
}

function readList(path: string): ReadonlySet<string> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    const isList = Array.isArray(value) && value.every((name) => typeof name === 'string');
    return isList ? new Set(value) : undefined;
  } catch {
    // Missing or cut short: nothing is known, and unknown never opens.
    return undefined;
  }
}
