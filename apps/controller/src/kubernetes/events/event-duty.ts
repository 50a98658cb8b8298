/**
 * Tells people by Kubernetes Events what is wrong with their objects.
 *
 * Never a flood: one series for each object and reason, told again at most every ten minutes, a few a second over all; what is more
 * than that is dropped and counted. Events are a convenience: conditions say the same and are always right.
 */
import type { ObjectKey } from '@ambit/api';
import { isKubeError, RateLimiter, WorkQueue } from '@ambit/kube';
import type { ObjectStatus } from '@ambit/model';

import type { DutyMetrics } from '../../metrics.ts';
import type { KubernetesContext } from '../context.ts';
import { LeaderDuty } from '../leader-duty.ts';
import {
  EVENTS,
  eventName,
  eventNamespace,
  eventObject,
  microTime,
  type Regarded,
} from './event-object.ts';
import { HOLD_MS, NOT_CAPTURED, type Problem, problemsOf } from './problems.ts';

/** How often it is seen who has lasted long enough, and which pods are not captured. */
const TICK_MS = 5_000;
const REPEAT_MS = 10 * 60_000;
const PER_SECOND = 5;
const BURST = 25;
/** Series that are remembered; and those that wait to be written. */
const SERIES_MAX = 10_000;
const WAITING_MAX = 1_000;
/** Asking again would not help. */
const FINAL = ['KUBE_FORBIDDEN', 'KUBE_INVALID', 'KUBE_NOT_FOUND'] as const;

export interface EventDutyOptions {
  readonly context: KubernetesContext;
  readonly book: {
    readonly of: (key: ObjectKey) => ObjectStatus | undefined;
    readonly all: () => readonly ObjectStatus[];
  };
  /** Undefined for what is not in the cluster. */
  readonly regardedOf: (key: ObjectKey) => Regarded | undefined;
  /** Keys of pods that are enrolled and run, and that no agent has captured. Asked every few seconds. */
  readonly uncaptured: () => Iterable<ObjectKey>;
  readonly metrics?: DutyMetrics;
}

/** One problem of one object. */
interface Series {
  readonly key: ObjectKey;
  problem: Problem;
  /** Monotonic; undefined while the problem is not there. */
  sinceMs: number | undefined;
  toldAtMs: number | undefined;
  isWaiting: boolean;
}

export class EventDuty extends LeaderDuty {
  readonly #options: EventDutyOptions;
  #term: Term | undefined;

  constructor(options: EventDutyOptions) {
    super();
    this.#options = options;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    this.#term = new Term(this.#options, signal);
    try {
      await this.#term.run();
    } finally {
      this.#term = undefined;
    }
  }

  /** Their status may be another than before. */
  changed(keys: Iterable<ObjectKey>): void {
    this.#term?.changed(keys);
  }
}

/** One time of leading. */
class Term {
  readonly #options: EventDutyOptions;
  readonly #signal: AbortSignal;
  readonly #queue: WorkQueue;
  readonly #limiter: RateLimiter;
  /** By object and reason. Those that were told stay for a while after they are over. */
  readonly #series = new Map<string, Series>();
  #uncaptured: ReadonlySet<ObjectKey> = new Set();

  constructor(options: EventDutyOptions, signal: AbortSignal) {
    const { clock, metrics, log } = options.context;
    this.#options = options;
    this.#signal = signal;
    this.#limiter = new RateLimiter({ clock, perSecond: PER_SECOND, burst: BURST });
    this.#queue = new WorkQueue({
      name: 'events',
      clock,
      metrics,
      keysMax: WAITING_MAX,
      reconcile: async (id) => await this.#tell(id),
      onFailure: (id, error, failures) => {
        if (failures === 1) log.scoped('events').warn('an event cannot be written', { id, error });
      },
    });
  }

  async run(): Promise<void> {
    const { book, context } = this.#options;
    this.#queue.start();
    this.changed(book.all().map(({ key }) => key));
    try {
      while (!this.#signal.aborted) {
        this.#tick();
        await context.clock.sleep(TICK_MS, this.#signal);
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    } finally {
      await this.#queue.stop();
    }
  }

  changed(keys: Iterable<ObjectKey>): void {
    if (this.#signal.aborted) return;
    for (const key of keys) {
      const status = this.#options.book.of(key);
      const problems = status === undefined ? [] : problemsOf(status);
      for (const reason of ['Invalid', 'NotEnforced', 'WaypointNotReady'] as const) {
        this.#note(
          key,
          reason,
          problems.find((problem) => problem.reason === reason),
        );
      }
    }
  }

  #note(key: ObjectKey, reason: Problem['reason'], problem: Problem | undefined): void {
    const id = `${key}|${reason}`;
    const known = this.#series.get(id);
    if (problem === undefined) {
      if (known === undefined) return;
      known.sinceMs = undefined;
      if (known.toldAtMs === undefined && !known.isWaiting) this.#series.delete(id);
      return;
    }
    const now = this.#options.context.clock.now();
    if (known !== undefined) {
      known.problem = problem;
      known.sinceMs ??= now;
    } else if (this.#series.size >= SERIES_MAX) {
      this.#options.metrics?.events.inc({ result: 'dropped' });
      return;
    }
    const series: Series = known ?? {
      key,
      problem,
      sinceMs: now,
      toldAtMs: undefined,
      isWaiting: false,
    };
    this.#series.set(id, series);
    if (HOLD_MS[reason] === 0) this.#offer(id, series);
  }

  #tick(): void {
    const uncaptured = new Set(this.#options.uncaptured());
    for (const key of this.#uncaptured) {
      if (!uncaptured.has(key)) this.#note(key, 'NotCaptured', undefined);
    }
    for (const key of uncaptured) this.#note(key, 'NotCaptured', NOT_CAPTURED);
    this.#uncaptured = uncaptured;
    const now = this.#options.context.clock.now();
    for (const [id, series] of this.#series) {
      const isOver = series.sinceMs === undefined && !series.isWaiting;
      const isForgotten = now - (series.toldAtMs ?? Number.NEGATIVE_INFINITY) >= REPEAT_MS;
      if (isOver && isForgotten) this.#series.delete(id);
      else this.#offer(id, series);
    }
  }

  /** Makes it wait for its turn if it is due. */
  #offer(id: string, series: Series): void {
    const now = this.#options.context.clock.now();
    const { sinceMs, toldAtMs, isWaiting, problem } = series;
    if (isWaiting || sinceMs === undefined || now - sinceMs < HOLD_MS[problem.reason]) return;
    if (toldAtMs !== undefined && now - toldAtMs < REPEAT_MS) return;
    if (this.#queue.add(id)) {
      series.isWaiting = true;
      return;
    }
    // Not before the others have had their turn.
    series.toldAtMs = now;
    this.#options.metrics?.events.inc({ result: 'dropped' });
  }

  async #tell(id: string): Promise<undefined> {
    const series = this.#series.get(id);
    if (series === undefined) return;
    await this.#limiter.take(this.#signal);
    const regarded = this.#options.regardedOf(series.key);
    if (series.sinceMs !== undefined && regarded !== undefined) {
      const result = await this.#write(regarded, series.problem);
      this.#options.metrics?.events.inc({ result });
      series.toldAtMs = this.#options.context.clock.now();
    }
    series.isWaiting = false;
    if (series.sinceMs === undefined && series.toldAtMs === undefined) this.#series.delete(id);
  }

  /** Begins a series, or counts one up that is there. */
  async #write(regarded: Regarded, problem: Problem): Promise<'begun' | 'refused' | 'repeated'> {
    const { client, clock, log, podName } = this.#options.context;
    const signal = this.#signal;
    const ref = { namespace: eventNamespace(regarded), name: eventName(regarded, problem) };
    const wallNowMs = clock.wallNow();
    const before = await client.find(EVENTS, ref, { signal });
    signal.throwIfAborted();
    if (before !== undefined) {
      const { series: known } = before as { readonly series?: { readonly count?: number } | null };
      const count = (known?.count ?? 1) + 1;
      const series = { count, lastObservedTime: microTime(wallNowMs) };
      const { resourceVersion } = before.metadata;
      const patch = { metadata: { resourceVersion }, series };
      await client.patch(EVENTS, ref, { type: 'merge', patch, signal });
      return 'repeated';
    }
    try {
      const event = eventObject(regarded, problem, { podName, wallNowMs });
      await client.create(EVENTS, event, { signal });
    } catch (error) {
      // The namespace goes, and its objects with it; or the server will never take it.
      const isFinal = FINAL.some((code) => isKubeError(error, code));
      if (!isFinal) throw error;
      log.scoped('events').warn('an event was refused', { key: keyText(regarded), error });
      return 'refused';
    }
    return 'begun';
  }
}

function keyText({ kind, namespace, name }: Regarded): string {
  return `${kind}/${namespace}/${name}`;
}
