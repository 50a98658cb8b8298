/**
 * Changes of a cluster at a fixed rate, and when each was seen: by a bare watch, and by the last of the agents.
 *
 * The schedule does not wait for answers, and a change counts from when it was due: a stall shows as latency. What the API
 * server cannot take at that rate waits, so the rate that was reached is a value of the sample.
 */
import { systemClock } from '@ambit/core';
import type { ApiCalls, WatchedEvent, Written } from '../cluster/api-calls.ts';
import type { World } from './controller-world.ts';

/** After the last was due. */
const DRAIN_MS_MAX = 120_000;
const NANOSECONDS_PER_MS = 1_000_000n;

interface Change {
  /** The resource that agents get. */
  readonly name: string;
  readonly dueNs: bigint;
  /** What the watch shows it by: the version written, or that the object is gone. */
  mark: string | undefined;
  writtenNs: bigint | undefined;
  seenNs: bigint | undefined;
  answeredNs: bigint | undefined;
}

/** In the order of a hundred: which kind the next change is. */
const KINDS = [
  'ready',
  'ready',
  'added',
  'ready',
  'policy',
  'ready',
  'ready',
  'removed',
  'ready',
  'ready',
] as const;

export class ChangeLoad {
  readonly #api: ApiCalls;
  readonly #world: World;
  readonly #changes: Change[] = [];
  readonly #byName = new Map<string, Change>();
  readonly #seen = new Map<string, bigint>();
  #error: Error | undefined;
  #nextFlip = 0;
  #nextAdded: number;
  #nextRemoved: number;
  #nextPolicy = 0;
  #policyPort = 9_000;

  constructor(api: ApiCalls, world: World) {
    this.#api = api;
    this.#world = world;
    this.#nextAdded = world.size.pods;
    // From the end of what was made, so that nothing that is flipped is gone.
    this.#nextRemoved = world.size.pods - 1;
  }

  /** To be called for what the agents say. */
  answered(name: string, atNs: bigint): void {
    const change = this.#byName.get(name);
    if (change === undefined) return;
    this.#byName.delete(name);
    change.answeredNs = atNs;
  }

  watched({ type, object }: WatchedEvent): void {
    const { namespace = '', name = '', resourceVersion = '' } = object.metadata ?? {};
    const mark = type === 'DELETED' ? `gone ${namespace}/${name}` : resourceVersion;
    this.#seen.set(mark, process.hrtime.bigint());
  }

  /** Values of one sample. Throws when the rate cannot be held or a change never arrives. */
  async run(perSecond: number, seconds: number): Promise<Record<string, number>> {
    this.#changes.length = 0;
    this.#seen.clear();
    const beginNs = process.hrtime.bigint();
    const count = perSecond * seconds;
    const stepNs = 1_000_000_000n / BigInt(perSecond);
    for (let index = 0; index < count; index += 1) {
      const dueNs = beginNs + BigInt(index) * stepNs;
      const waitMs = Number((dueNs - process.hrtime.bigint()) / NANOSECONDS_PER_MS);
      if (waitMs > 0) await systemClock.sleep(waitMs);
      this.#throwIfLost();
      this.#start(KINDS[index % KINDS.length] ?? 'ready', dueNs);
    }
    await this.#drain();
    return { ...this.#values(), ...this.#rate(beginNs) };
  }

  #throwIfLost(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  #start(kind: (typeof KINDS)[number], dueNs: bigint): void {
    const { name, write } = this.#next(kind);
    const change: Change = {
      ...{ name, dueNs, mark: undefined, writtenNs: undefined },
      ...{ seenNs: undefined, answeredNs: undefined },
    };
    this.#changes.push(change);
    this.#byName.set(name, change);
    write().then(
      ({ metadata }) => {
        change.writtenNs = process.hrtime.bigint();
        change.mark ??= metadata?.resourceVersion;
      },
      (error: unknown) => {
        this.#error ??= error instanceof Error ? error : new Error(String(error));
      },
    );
    if (kind === 'removed') change.mark = `gone ${name.slice(name.indexOf('/Pod/') + 5)}`;
  }

  #next(kind: (typeof KINDS)[number]): { readonly name: string; write(): Promise<Written> } {
    const world = this.#world;
    const api = this.#api;
    switch (kind) {
      case 'ready': {
        const { services, pods } = world.size;
        const turn = this.#nextFlip;
        // Half of the pods, one service after the other, as rollouts do; none again before it arrived.
        this.#nextFlip = (turn + 1) % (pods / 2);
        const each = pods / services / 2;
        const index = Math.floor(turn / each) + services * (turn % each);
        const isReady = this.#flips.has(index);
        if (isReady) this.#flips.delete(index);
        else this.#flips.add(index);
        const path = `${world.podPath(index)}/status`;
        const write = () => api.mergePatch(path, world.podStatus(index, isReady));
        return { name: podName(world, index), write };
      }
      case 'added': {
        const index = this.#nextAdded;
        this.#nextAdded += 1;
        const write = async (): Promise<Written> => {
          await world.createPod(index);
          return await api.mergePatch(
            `${world.podPath(index)}/status`,
            world.podStatus(index, true),
          );
        };
        return { name: podName(world, index), write };
      }
      case 'removed': {
        const index = this.#nextRemoved;
        this.#nextRemoved -= 1;
        return { name: podName(world, index), write: () => api.delete(world.podPath(index)) };
      }
      case 'policy': {
        const app = this.#nextPolicy;
        this.#nextPolicy = (app + 1) % world.size.policies;
        this.#policyPort += 1;
        const spec = world.policySpec(app, this.#policyPort);
        const write = () => api.mergePatch(world.policyPath(app), { spec });
        return { name: `${world.namespaceOf(app)}/callers-${app}`, write };
      }
    }
  }

  readonly #flips = new Set<number>();

  async #drain(): Promise<void> {
    const deadline = systemClock.now() + DRAIN_MS_MAX;
    for (;;) {
      this.#throwIfLost();
      for (const change of this.#changes) {
        if (change.mark !== undefined) change.seenNs ??= this.#seen.get(change.mark);
      }
      const missing = this.#changes.filter(
        ({ seenNs, answeredNs }) => seenNs === undefined || answeredNs === undefined,
      );
      const [first] = missing;
      if (first === undefined) return;
      if (systemClock.now() > deadline) {
        const which = first.seenNs === undefined ? 'the watch' : 'the agents';
        throw new Error(`${missing.length} changes never came to ${which}, such as ${first.name}`);
      }
      await systemClock.sleep(100);
    }
  }

  #rate(beginNs: bigint): Record<string, number> {
    const last = this.#changes.reduce(
      (latest, { writtenNs = 0n }) => (writtenNs > latest ? writtenNs : latest),
      beginNs,
    );
    return { changesPerSecond: this.#changes.length / (Number(last - beginNs) / 1e9) };
  }

  #values(): Record<string, number> {
    const ms = (from: (change: Change) => bigint, to: (change: Change) => bigint): number[] =>
      this.#changes.map((change) => Number(to(change) - from(change)) / 1e6);
    const due = ({ dueNs }: Change): bigint => dueNs;
    const seen = ({ seenNs, dueNs }: Change): bigint => seenNs ?? dueNs;
    const answered = ({ answeredNs, dueNs }: Change): bigint => answeredNs ?? dueNs;
    const watch = quantiles(ms(due, seen));
    const agents = quantiles(ms(due, answered));
    const controller = quantiles(ms(seen, answered));
    return {
      ...{ watchP50Ms: watch.p50, watchP99Ms: watch.p99 },
      ...{ agentsP50Ms: agents.p50, agentsP99Ms: agents.p99, agentsMaxMs: agents.max },
      ...{ addedP50Ms: controller.p50, addedP99Ms: controller.p99, addedMaxMs: controller.max },
    };
  }
}

function podName(world: World, index: number): string {
  const { namespace, name } = world.podRef(index);
  return `Kubernetes//Pod/${namespace}/${name}`;
}

/** By rank, of at least one sample. */
export function quantiles(samples: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
