/**
 * The pods that run, brought towards those that should run. One pass at a time; it never waits for a pod.
 *
 * A Deployment's old pods stay until every new one is available, as a rolling update leaves them.
 */
import type { LabNode } from './network.ts';
import { LabPod, type PodSurroundings } from './pod.ts';
import { chooseNode, type PodPlan } from './workloads.ts';

export interface PodSetOptions {
  readonly nodes: readonly LabNode[];
  readonly surroundings: (plan: PodPlan, node: LabNode) => PodSurroundings;
  /** A pod is gone, so another pass has something to do. */
  readonly onGone: (pod: LabPod) => void;
}

export class PodSet {
  readonly #options: PodSetOptions;
  readonly #pods = new Map<string, LabPod>();
  /** Pods that no node can take, by key. */
  readonly #unplaced = new Map<string, string>();

  constructor(options: PodSetOptions) {
    this.#options = options;
  }

  get all(): readonly LabPod[] {
    return [...this.#pods.values()];
  }

  get unplaced(): ReadonlyMap<string, string> {
    return this.#unplaced;
  }

  get(key: string): LabPod | undefined {
    return this.#pods.get(key);
  }

  reconcile(plans: ReadonlyMap<string, PodPlan>): void {
    this.#unplaced.clear();
    for (const [key, plan] of plans) {
      const pod = this.#pods.get(key);
      if (pod === undefined) {
        this.#create(key, plan);
      } else if (pod.plan.revision !== plan.revision) {
        this.#remove(pod);
      } else if (hasOtherMetadata(pod.plan, plan)) {
        pod.relabel(plan);
      }
    }
    for (const pod of this.#pods.values()) {
      if (!plans.has(pod.key) && !this.#isStillNeeded(pod, plans)) {
        this.#remove(pod);
      }
    }
  }

  /** Ends a pod that is planned still: the next pass makes a new one, with the same name and another uid. */
  recreate(key: string): boolean {
    const pod = this.#pods.get(key);
    if (pod !== undefined) {
      this.#remove(pod);
    }
    return pod !== undefined;
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.all.map((pod) => pod.stop()));
  }

  #create(key: string, plan: PodPlan): void {
    const names = this.#options.nodes.map(({ name }) => name);
    const placed = this.all.map((pod) => ({ node: pod.node.name, owner: pod.plan.owner }));
    const name = chooseNode(plan, names, placed);
    const node = this.#options.nodes.find((one) => one.name === name);
    if (node === undefined) {
      this.#unplaced.set(key, `no node "${plan.spec.nodeName}"; there are ${names.join(', ')}`);
      return;
    }
    const pod = new LabPod(plan, node, this.#options.surroundings(plan, node));
    this.#pods.set(key, pod);
    pod.start();
  }

  #remove(pod: LabPod): void {
    void pod.stop().finally(() => {
      if (this.#pods.get(pod.key) === pod) {
        this.#pods.delete(pod.key);
        this.#options.onGone(pod);
      }
    });
  }

  #isStillNeeded(pod: LabPod, plans: ReadonlyMap<string, PodPlan>): boolean {
    if (pod.phase === 'Terminating') {
      return true;
    }
    for (const [key, plan] of plans) {
      const isSuccessor = plan.owner === pod.plan.owner && plan.revision !== pod.plan.revision;
      if (isSuccessor && this.#pods.get(key)?.isAvailable !== true) {
        return true;
      }
    }
    return false;
  }
}

function hasOtherMetadata(a: PodPlan, b: PodPlan): boolean {
  return JSON.stringify([a.labels, a.annotations]) !== JSON.stringify([b.labels, b.annotations]);
}
