/**
 * Sets and removes the taint `ambit.io/agent-not-ready`, so that pods are scheduled where an agent is.
 *
 * Rules: taints are a list of everybody's; ours is changed only against the version that was read. The label finds pods, and its
 * maker and account say whether one is an agent.
 */
import {
  type GroupVersionResource,
  isKubeError,
  RateLimiter,
  Reflector,
  type ReflectorEvent,
  WorkQueue,
} from '@ambit/kube';

import type { DutyMetrics } from '../../metrics.ts';
import type { KubernetesContext } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';
import { agentRunsOn } from './agent-runs-on.ts';
import {
  type AgentPodFacts,
  type AgentSetFacts,
  agentPodFacts,
  agentSetFacts,
  isAgentOf,
  isTainted,
  type NodeFacts,
  nodeFacts,
  TAINT_KEY,
  taintsOf,
} from './node-facts.ts';
import { TaintPlan } from './taint-plan.ts';

const NODES: GroupVersionResource = { group: '', version: 'v1', resource: 'nodes' };
const PER_SECOND = 10;
const BURST = 50;
const CONCURRENCY = 4;

export interface NodeTaintDutyOptions {
  readonly context: KubernetesContext;
  /** False: the taint is removed wherever it is, and set nowhere. */
  readonly isEnabled: boolean;
  /** The agents' DaemonSet, in the namespace of the controller; also the value of its pods' label `app.kubernetes.io/name`. */
  readonly daemonSet: string;
  readonly metrics?: DutyMetrics;
  /** Default 30 s. */
  readonly graceMs?: number;
}

export class NodeTaintDuty extends LeaderDuty {
  readonly #options: NodeTaintDutyOptions;

  constructor(options: NodeTaintDutyOptions) {
    super();
    this.#options = options;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    await new Term(this.#options, signal).run();
  }
}

/** One time of leading. */
class Term {
  readonly #options: NodeTaintDutyOptions;
  readonly #signal: AbortSignal;
  readonly #nodes: Reflector<NodeFacts>;
  readonly #pods: Reflector<AgentPodFacts>;
  readonly #sets: Reflector<AgentSetFacts>;
  readonly #queue: WorkQueue;
  readonly #limiter: RateLimiter;
  readonly #plan: TaintPlan;
  /** Agent pods by node, by key. */
  readonly #agents = new Map<string, Map<string, AgentPodFacts>>();

  constructor(options: NodeTaintDutyOptions, signal: AbortSignal) {
    const { context, daemonSet, graceMs } = options;
    const { http, discovery, clock, metrics, namespace } = context;
    const log = context.log.scoped('nodes');
    this.#options = options;
    this.#signal = signal;
    this.#plan = new TaintPlan({ clock, ...(graceMs === undefined ? {} : { graceMs }) });
    this.#limiter = new RateLimiter({ clock, perSecond: PER_SECOND, burst: BURST });
    this.#queue = new WorkQueue({
      name: 'node-taint',
      clock,
      metrics,
      concurrency: CONCURRENCY,
      reconcile: async (name) => await this.#reconcile(name),
      onFailure: (node, error, failures) => {
        if (failures > 1) log.warn('the taint of a node cannot be written', { node, error });
      },
    });
    const common = { http, discovery, clock, metrics };
    this.#nodes = new Reflector({
      ...common,
      resource: { group: '', resource: 'nodes', versions: ['v1'] },
      prune: nodeFacts,
      onEvent: (event) => {
        if ('key' in event && event.key !== undefined) this.#queue.add(event.key);
      },
    });
    this.#pods = new Reflector({
      ...common,
      namespace,
      labelSelector: `app.kubernetes.io/name=${daemonSet}`,
      resource: { group: '', resource: 'pods', versions: ['v1'] },
      prune: agentPodFacts,
      onEvent: (event) => this.#onPod(event),
    });
    this.#sets = new Reflector({
      ...common,
      namespace,
      fieldSelector: `metadata.name=${daemonSet}`,
      resource: { group: 'apps', resource: 'daemonsets', versions: ['v1'] },
      prune: agentSetFacts,
      onEvent: () => this.#judgeAll(),
    });
  }

  async run(): Promise<void> {
    const all = [this.#nodes, ...(this.#options.isEnabled ? [this.#pods, this.#sets] : [])];
    for (const reflector of all) reflector.start();
    // Judged by half of the world, every node would have lost its agent.
    const synced = Promise.all(all.map(async (reflector) => await reflector.whenSynced())).then(
      () => this.#queue.start(),
      () => undefined,
    );
    await untilAborted(this.#signal);
    await Promise.all(all.map(async (reflector) => await reflector.stop()));
    await synced;
    await this.#queue.stop();
  }

  #onPod(event: ReflectorEvent<AgentPodFacts>): void {
    if (event.kind !== 'added' && event.kind !== 'updated' && event.kind !== 'deleted') return;
    if (event.kind !== 'added') {
      const { node } = event.old;
      const agents = this.#agents.get(node);
      agents?.delete(event.key);
      if (agents?.size === 0) this.#agents.delete(node);
      this.#queue.add(node);
    }
    if (event.kind === 'deleted') return;
    const { node } = event.object;
    const agents = this.#agents.get(node) ?? new Map<string, AgentPodFacts>();
    this.#agents.set(node, agents.set(event.key, event.object));
    this.#queue.add(node);
  }

  #judgeAll(): void {
    for (const [name] of this.#nodes.entries()) this.#queue.add(name);
  }

  async #reconcile(name: string): Promise<number | undefined> {
    const wasAnyReady = this.#plan.isAnyReady;
    const node = this.#nodes.get(name);
    if (node === undefined || this.#signal.aborted) this.#plan.forget(name);
    const verdict =
      node === undefined || this.#signal.aborted
        ? undefined
        : this.#plan.judge(node, this.#presenceOn(node));
    if (this.#plan.isAnyReady !== wasAnyReady) this.#judgeAll();
    if (node === undefined || verdict === undefined) return undefined;
    if (verdict.isTainted !== isTainted(node.taints)) {
      await this.#limiter.take(this.#signal);
      await this.#write(node, verdict.isTainted);
    }
    return verdict.againInMs;
  }

  #presenceOn(node: NodeFacts) {
    const { isEnabled, daemonSet, context } = this.#options;
    const set = this.#sets.get(`${context.namespace}/${daemonSet}`);
    const isWanted = isEnabled && set !== undefined && agentRunsOn(set, node);
    const agents = [...(this.#agents.get(node.name)?.values() ?? [])];
    const isReady = agents.some((one) => one.isReady && set !== undefined && isAgentOf(set, one));
    return { isWanted, isReady };
  }

  /** Throws KUBE_CONFLICT when somebody else was faster; then it is judged again. */
  async #write({ name, uid }: NodeFacts, isWanted: boolean): Promise<void> {
    const { context, metrics } = this.#options;
    const signal = this.#signal;
    const node = await context.client.find(NODES, { name }, { signal });
    if (node === undefined || node.metadata.uid !== uid) return;
    const before = taintsOf(node);
    if (isTainted(before) === isWanted) return;
    const taints = isWanted
      ? [...before, { key: TAINT_KEY, effect: 'NoSchedule' }]
      : before.filter(({ key }) => key !== TAINT_KEY);
    const { resourceVersion } = node.metadata;
    signal.throwIfAborted();
    try {
      await context.client.patch(
        NODES,
        { name },
        { type: 'merge', patch: { metadata: { resourceVersion, uid }, spec: { taints } }, signal },
      );
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return;
      throw error;
    }
    const change = isWanted ? 'set' : 'removed';
    metrics?.taintChanges.inc({ change });
    context.log.scoped('nodes').info('the taint of a node changed', { node: name, change });
  }
}
