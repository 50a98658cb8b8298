/**
 * Leader election by a Lease object (coordination.k8s.io/v1).
 *
 * The holder gives up `renewDeadlineMs` after the beginning of its last successful renewal; others take
 * the lease no sooner than its duration after they saw it change. Both measure on their own monotonic
 * clock, so clocks that differ do no harm, and the first is over before the second.
 */
import type { Clock } from '@ambit/core';
import type { KubeClient } from './client.ts';
import { Deadline } from './deadline.ts';
import { isKubeError, KubeError } from './errors.ts';
import type { KubeObject, ObjectMeta } from './resources.ts';

const LEASES = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' };
const DURATION_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;
const RETRY_JITTER = 0.2;
const RELEASE_MS_MAX = 5_000;

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly namespace: string;
  readonly name: string;
  /** Of this process and no other: the pod's name and something random. */
  readonly identity: string;
  /** Of the Lease when it is made: by them an uninstallation finds it. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Others wait this long. Default 15 s, whole seconds. */
  readonly durationMs?: number;
  /** The holder gives up after this; shorter than the duration. Default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Between two tries. Default 2 s. */
  readonly retryMs?: number;
  /** The signal aborts when leadership ends, before anyone else can have it. */
  readonly onAcquired: (signal: AbortSignal) => void;
  /** After the signal. On `stop` the lease is released when this has settled. */
  readonly onLost?: (reason: string) => void | Promise<void>;
  readonly random?: () => number;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

interface LeaseObject {
  readonly metadata: ObjectMeta;
  readonly spec: LeaseSpec;
}

interface Leading {
  readonly abort: AbortController;
  lease: LeaseObject;
  /** Monotonic and wall time at which the last successful renewal was begun. */
  renewedAt: number;
  renewedWallAt: number;
}

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #durationMs: number;
  readonly #deadlineMs: number;
  readonly #retryMs: number;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #leading: Leading | undefined;
  #holder: string | undefined;
  #seen = '';
  #seenAt = 0;
  #lastError: string | undefined;

  /** Throws KUBE_CONFIG_INVALID for times that would let two lead at once. */
  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#durationMs = options.durationMs ?? DURATION_MS;
    this.#deadlineMs = options.renewDeadlineMs ?? RENEW_DEADLINE_MS;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    const isOrdered =
      this.#retryMs * (1 + RETRY_JITTER) < this.#deadlineMs && this.#deadlineMs < this.#durationMs;
    if (!isOrdered || this.#retryMs <= 0 || options.identity === '') {
      throw new KubeError(
        'KUBE_CONFIG_INVALID',
        `lease "${options.name}": retry ${this.#retryMs} ms, renew deadline ${this.#deadlineMs} ms and duration ${this.#durationMs} ms must rise, and the identity is not empty`,
      );
    }
  }

  /** Stands for election until `stop`. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends leadership, waits for `onLost`, then gives the lease back so that another need not wait. */
  async stop(): Promise<void> {
    this.#stop.abort(new KubeError('KUBE_STOPPED', 'the election has stopped'));
    await this.#running;
  }

  /** By the clock, so it is false in time even if this process was stopped or starved. */
  get isLeader(): boolean {
    return this.#leading !== undefined && this.#leftMs(this.#leading) > 0;
  }

  /** The last holder seen. */
  get holder(): string | undefined {
    return this.#holder;
  }

  /** Why the last try failed; undefined after a successful one. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#tryToLead();
        this.#lastError = undefined;
      } catch (error) {
        this.#lastError = error instanceof Error ? error.message : String(error);
      }
      if (this.#leading !== undefined) {
        await this.#lead(this.#leading);
      } else {
        await this.#pause(this.#retryMs);
      }
    }
  }

  /** Resolves also when stopped. */
  async #pause(ms: number): Promise<void> {
    const { clock, random = Math.random } = this.#options;
    try {
      await clock.sleep(ms * (1 + RETRY_JITTER * (2 * random() - 1)), this.#stop.signal);
    } catch {
      // Stopped: the loops see it.
    }
  }

  async #tryToLead(): Promise<void> {
    const { client, clock, namespace, name, identity, labels = {} } = this.#options;
    const { signal } = this.#stop;
    const found = await client.find(LEASES, { namespace, name }, { signal });
    const startedAt = { renewedAt: clock.now(), renewedWallAt: clock.wallNow() };
    if (found === undefined) {
      const created = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { namespace, name, labels },
        spec: this.#spec({ leaseTransitions: -1 }),
      };
      this.#acquired(toLease(await client.create(LEASES, created, { signal })), startedAt);
      return;
    }
    const lease = toLease(found);
    this.#observe(lease.spec);
    const { holderIdentity = '', leaseDurationSeconds = this.#durationMs / 1000 } = lease.spec;
    const isFree = holderIdentity === '' || holderIdentity === identity;
    // Also what is written in the lease is only believed to be as long as ours: 0 would be a theft.
    const waitMs = Math.max(leaseDurationSeconds * 1000, this.#durationMs);
    if (isFree || clock.now() - this.#seenAt > waitMs) {
      this.#acquired(await this.#write(lease, this.#spec(lease.spec), signal), startedAt);
    }
  }

  #observe(spec: LeaseSpec): void {
    const text = JSON.stringify(spec);
    this.#holder = spec.holderIdentity;
    if (text !== this.#seen) {
      this.#seen = text;
      this.#seenAt = this.#options.clock.now();
    }
  }

  #acquired(
    lease: LeaseObject,
    startedAt: { readonly renewedAt: number; readonly renewedWallAt: number },
  ): void {
    const leading: Leading = { abort: new AbortController(), lease, ...startedAt };
    this.#holder = this.#options.identity;
    this.#seen = '';
    if (this.#stop.signal.aborted || this.#leftMs(leading) <= 0) {
      // Too late to lead. If stopped, the loop ends; the next holder waits the duration out.
      return;
    }
    this.#leading = leading;
    this.#options.onAcquired(leading.abort.signal);
  }

  /** Renews until the deadline passes, another holds the lease, or `stop`. */
  async #lead(leading: Leading): Promise<void> {
    let reason: string | undefined;
    while (reason === undefined) {
      await this.#pause(Math.min(this.#retryMs, Math.max(0, this.#leftMs(leading))));
      reason = this.#stop.signal.aborted ? 'stopped' : await this.#renew(leading);
    }
    leading.abort.abort(new KubeError('KUBE_STOPPED', `leadership ended: ${reason}`));
    this.#leading = undefined;
    const settled = this.#tellLost(reason);
    if (reason === 'stopped') {
      await settled;
      await this.#release(leading);
    }
  }

  /** Never rejects. */
  async #tellLost(reason: string): Promise<void> {
    try {
      await this.#options.onLost?.(reason);
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error);
    }
  }

  /** Answers why leadership is over, or undefined if it goes on. */
  async #renew(leading: Leading): Promise<string | undefined> {
    const { clock, identity } = this.#options;
    const leftMs = this.#leftMs(leading);
    if (leftMs <= 0) {
      return 'not renewed in time';
    }
    const startedAt = { renewedAt: clock.now(), renewedWallAt: clock.wallNow() };
    try {
      using deadline = new Deadline(clock, leftMs, 'renewal of the lease', this.#stop.signal);
      const spec = { ...leading.lease.spec, renewTime: this.#microTime() };
      leading.lease = await this.#writeAgain(leading.lease, spec, deadline.signal);
      Object.assign(leading, startedAt);
      this.#lastError = undefined;
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error);
    }
    if (this.#stop.signal.aborted) {
      return 'stopped';
    }
    const holder = leading.lease.spec.holderIdentity ?? '';
    if (holder !== identity) {
      this.#observe(leading.lease.spec);
      return `held by "${holder.slice(0, 80)}"`;
    }
    return this.#leftMs(leading) > 0 ? undefined : 'not renewed in time';
  }

  /** Writes; after a conflict reads, and writes once more if the lease is still ours. Answers another's lease as it is. */
  async #writeAgain(
    lease: LeaseObject,
    spec: LeaseSpec,
    signal: AbortSignal,
  ): Promise<LeaseObject> {
    const { client, namespace, name, identity } = this.#options;
    try {
      return await this.#write(lease, spec, signal);
    } catch (error) {
      if (!isKubeError(error, 'KUBE_CONFLICT', 'KUBE_NOT_FOUND')) {
        throw error;
      }
    }
    const current = await client.find(LEASES, { namespace, name }, { signal });
    if (current === undefined) {
      return { ...lease, spec: { ...lease.spec, holderIdentity: '' } };
    }
    const read = toLease(current);
    return read.spec.holderIdentity === identity ? await this.#write(read, spec, signal) : read;
  }

  async #write(lease: LeaseObject, spec: LeaseSpec, signal: AbortSignal): Promise<LeaseObject> {
    const object = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease.metadata,
      spec,
    };
    return toLease(await this.#options.client.update(LEASES, object, { signal }));
  }

  async #release(leading: Leading): Promise<void> {
    const { clock } = this.#options;
    const spec = { ...leading.lease.spec, holderIdentity: '', leaseDurationSeconds: 1 };
    try {
      using deadline = new Deadline(clock, RELEASE_MS_MAX, 'release of the lease');
      await this.#write(leading.lease, { ...spec, renewTime: this.#microTime() }, deadline.signal);
    } catch (error) {
      // The next holder waits the duration out.
      this.#lastError = error instanceof Error ? error.message : String(error);
    }
  }

  /** Until we have to give up, by whichever clock says less: one of them may stand still in a sleeping machine. */
  #leftMs({ renewedAt, renewedWallAt }: Leading): number {
    const { clock } = this.#options;
    const elapsedMs = Math.max(clock.now() - renewedAt, clock.wallNow() - renewedWallAt);
    return this.#deadlineMs - elapsedMs;
  }

  #spec(before: LeaseSpec): LeaseSpec {
    const now = this.#microTime();
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#durationMs / 1000),
      acquireTime: now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + 1,
    };
  }

  #microTime(): string {
    return new Date(this.#options.clock.wallNow()).toISOString().replace('Z', '000Z');
  }
}

function toLease(object: KubeObject): LeaseObject {
  const spec = object['spec'];
  return {
    metadata: object.metadata,
    spec: typeof spec === 'object' && spec !== null ? spec : {},
  };
}
