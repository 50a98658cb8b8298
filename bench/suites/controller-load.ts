/**
 * Changes of a cluster at a fixed rate, and when each was seen: by a bare watch, and by the last of the agents.
 *
 * The schedule does not wait for answers, and a change counts from when it was due: a stall shows as latency. What the API
 * server cannot take at that rate waits, so the rate that was reached is a value of the sample.
 */
import { systemClock } from '@ambit/core';
import type { ApiCalls, WatchedEvent, Written } from '../cluster/api-calls.ts';
import { type Change, ChangeLog } from './change-log.ts';
import { lostError } from './controller-truth.ts';
import type { World } from './controller-world.ts';
import { GONE, isHealthy, isUnhealthy, policyState } from './held-state.ts';

/** After the last was due. */
const DRAIN_MS_MAX = 120_000;
/** So long without another answer, and what agents hold is compared. */
const QUIET_MS = 5_000;
const NANOSECONDS_PER_MS = 1_000_000n;
/** More that no agent ever held by itself, and the sample says too little about the others. */
const OVERTAKEN_SHARE_MAX = 0.01;

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

interface Next {
  readonly name: string;
  readonly isMade: (state: string) => boolean;
  write(): Promise<Written>;
}

export interface LoadOptions {
  readonly perSecond: number;
  readonly seconds: number;
  /** Pods that are not ready as it begins: what is flipped must change. */
  readonly unready: ReadonlySet<number>;
  /** Where agents do not hold what the API server says, now. */
  readonly differences: () => Promise<readonly string[]>;
}

export class ChangeLoad {
  readonly #api: ApiCalls;
  readonly #world: World;
  #log = new ChangeLog();
  #unready = new Set<number>();
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

  /** To be called for what all agents hold. */
  answered(name: string, state: string, atNs: bigint): void {
    this.#log.answered(name, state, atNs);
  }

  watched({ type, object }: WatchedEvent): void {
    const { namespace = '', name = '', resourceVersion = '' } = object.metadata ?? {};
    const mark = type === 'DELETED' ? `gone ${namespace}/${name}` : resourceVersion;
    this.#log.watched(mark, process.hrtime.bigint());
  }

  /** Values of one sample. Throws when the rate cannot be held or a change never arrives. */
  async run({
    perSecond,
    seconds,
    unready,
    differences,
  }: LoadOptions): Promise<Record<string, number>> {
    this.#log = new ChangeLog();
    this.#unready = new Set(unready);
    this.#error = undefined;
    const beginNs = process.hrtime.bigint();
    const count = perSecond * seconds;
    const stepNs = 1_000_000_000n / BigInt(perSecond);
    for (let index = 0; index < count; index += 1) {
      const dueNs = beginNs + BigInt(index) * stepNs;
      const waitMs = Number((dueNs - process.hrtime.bigint()) / NANOSECONDS_PER_MS);
      if (waitMs > 0) await systemClock.sleep(waitMs);
      this.#throwIfFailed();
      this.#start(KINDS[index % KINDS.length] ?? 'ready', dueNs);
    }
    await this.#drain(differences);
    return { ...this.#values(), ...this.#rate(beginNs) };
  }

  #throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  #start(kind: (typeof KINDS)[number], dueNs: bigint): void {
    const { name, isMade, write } = this.#next(kind);
    const change = this.#log.add({ name, dueNs, isMade });
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

  #next(kind: (typeof KINDS)[number]): Next {
    const world = this.#world;
    switch (kind) {
      case 'ready':
        return this.#flip();
      case 'added': {
        const index = this.#nextAdded;
        this.#nextAdded += 1;
        const write = async (): Promise<Written> => {
          await world.createPod(index);
          return await world.writeReady(index, true);
        };
        // Ready or not: the cluster's node controller may have marked it already.
        return { name: world.podUid(index), isMade: (state) => state !== GONE, write };
      }
      case 'removed': {
        const index = this.#nextRemoved;
        this.#nextRemoved -= 1;
        const write = () => this.#api.delete(world.podPath(index));
        return { name: world.podUid(index), isMade: (state) => state === GONE, write };
      }
      case 'policy': {
        const app = this.#nextPolicy;
        this.#nextPolicy = (app + 1) % world.size.policies;
        this.#policyPort += 1;
        const spec = world.policySpec(app, this.#policyPort);
        const made = policyState('ALLOW', [this.#policyPort]);
        const write = () => this.#api.mergePatch(world.policyPath(app), { spec });
        const name = `${world.namespaceOf(app)}/callers-${app}`;
        return { name, isMade: (state) => state === made, write };
      }
    }
  }

  #flip(): Next {
    const world = this.#world;
    const { services, pods } = world.size;
    const turn = this.#nextFlip;
    // Half of the pods, one service after the other, as rollouts do; none again before it arrived.
    this.#nextFlip = (turn + 1) % (pods / 2);
    const each = pods / services / 2;
    const index = Math.floor(turn / each) + services * (turn % each);
    const isReady = this.#unready.delete(index);
    if (!isReady) this.#unready.add(index);
    return {
      name: world.podUid(index),
      isMade: isReady ? isHealthy : isUnhealthy,
      write: () => world.writeReady(index, isReady),
    };
  }

  /**
   * Until the watch and all agents have seen everything, or, where what agents hold in the end is right, until only changes are left
   * that were overtaken on their way.
   */
  async #drain(differences: LoadOptions['differences']): Promise<void> {
    const begun = systemClock.now();
    let left = Number.POSITIVE_INFINITY;
    for (let since = begun; ; await systemClock.sleep(100)) {
      this.#throwIfFailed();
      const unseen = this.#log.unseen();
      const unanswered = this.#log.unanswered();
      if (unseen.length + unanswered.length === 0) return;
      const now = systemClock.now();
      if (unseen.length + unanswered.length < left) since = now;
      left = unseen.length + unanswered.length;
      const isLate = now - begun > DRAIN_MS_MAX;
      if (unseen.length > 0) {
        if (isLate) throw unseenError(unseen);
        continue;
      }
      if (!isLate && now - since < QUIET_MS) continue;
      const wrong = await differences();
      if (wrong.length === 0) break;
      if (isLate) throw lostError(wrong);
      since = systemClock.now();
    }
    if (left > this.#log.changes.length * OVERTAKEN_SHARE_MAX) {
      throw new Error(`${left} changes were overtaken on their way to the agents: too many`);
    }
  }

  #rate(beginNs: bigint): Record<string, number> {
    const { changes } = this.#log;
    const last = changes.reduce(
      (latest, { writtenNs = 0n }) => (writtenNs > latest ? writtenNs : latest),
      beginNs,
    );
    return { changesPerSecond: changes.length / (Number(last - beginNs) / 1e9) };
  }

  #values(): Record<string, number> {
    const arrived = this.#log.changes.filter(({ answeredNs }) => answeredNs !== undefined);
    const ms = (from: (change: Change) => bigint, to: (change: Change) => bigint): number[] =>
      arrived.map((change) => Number(to(change) - from(change)) / 1e6);
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
      overtaken: this.#log.changes.length - arrived.length,
    };
  }
}

function unseenError(unseen: readonly Change[]): Error {
  const [first] = unseen;
  return new Error(`${unseen.length} changes never came to the watch, such as ${first?.name}`);
}

/** By rank, of at least one sample. */
export function quantiles(samples: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
