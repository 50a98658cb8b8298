/** What the taint of a node depends on, out of the objects of the cluster. */
import type { KubeObject } from '@ambit/kube';

/** On nodes where no agent is ready: pods of the mesh would wait there for their network. */
export const TAINT_KEY = 'ambit.io/agent-not-ready';

export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

export interface NodeFacts {
  readonly name: string;
  readonly uid: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
}

export interface AgentPodFacts {
  readonly node: string;
  readonly isReady: boolean;
  /** Of the object that made it; empty: somebody. */
  readonly owner: string;
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
}

export interface NodeRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

/** Its requirements must all hold. */
export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeRequirement[] | null;
  readonly matchFields?: readonly NodeRequirement[] | null;
}

/** Where the agents' DaemonSet wants to be. */
export interface AgentSetFacts {
  readonly uid: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** One of them must hold; undefined: every node. */
  readonly terms: readonly NodeSelectorTerm[] | undefined;
  readonly tolerations: readonly Toleration[];
}

interface RawNode {
  readonly spec?: { readonly taints?: readonly Taint[] | null };
}

interface RawPod {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[] | null;
  };
}

interface RawDaemonSet {
  readonly spec?: {
    readonly template?: {
      readonly spec?: {
        readonly nodeSelector?: Readonly<Record<string, string>> | null;
        readonly tolerations?: readonly Toleration[] | null;
        readonly affinity?: {
          readonly nodeAffinity?: {
            readonly requiredDuringSchedulingIgnoredDuringExecution?: {
              readonly nodeSelectorTerms?: readonly NodeSelectorTerm[];
            } | null;
          } | null;
        } | null;
      };
    };
  };
}

export function taintsOf(node: KubeObject): readonly Taint[] {
  return (node as RawNode).spec?.taints ?? [];
}

export function isTainted(taints: readonly Taint[]): boolean {
  return taints.some(({ key }) => key === TAINT_KEY);
}

export function nodeFacts(object: KubeObject): NodeFacts {
  const { name, uid = '', creationTimestamp = '', labels = {} } = object.metadata;
  const createdAtMs = Date.parse(creationTimestamp) || 0;
  return { name, uid, createdAtMs, labels, taints: taintsOf(object) };
}

/** Undefined while it has no node. */
export function agentPodFacts(object: KubeObject): AgentPodFacts | undefined {
  const { spec, status } = object as RawPod;
  const node = spec?.nodeName ?? '';
  if (node === '') return undefined;
  // One that is being deleted takes no new pods in.
  const isReady =
    object.metadata.deletionTimestamp === undefined &&
    (status?.conditions ?? []).some((each) => each.type === 'Ready' && each.status === 'True');
  const maker = object.metadata.ownerReferences?.find(({ controller }) => controller === true);
  return { node, isReady, owner: maker?.uid ?? '' };
}

export function agentSetFacts(object: KubeObject): AgentSetFacts {
  const spec = (object as RawDaemonSet).spec?.template?.spec;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return {
    uid: object.metadata.uid ?? '',
    nodeSelector: spec?.nodeSelector ?? {},
    terms: required?.nodeSelectorTerms,
    tolerations: spec?.tolerations ?? [],
  };
}

/**
 * A label is anybody's to write: an agent is what the DaemonSet made. Its account is not asked for: while a new one rolls out, agents
 * that are still of the old one capture pods as before. Who can forge an owner can make pods in the mesh's own namespace, and so
 * run one as either account.
 */
export function isAgentOf({ uid }: AgentSetFacts, { owner }: AgentPodFacts): boolean {
  return owner !== '' && owner === uid;
}
