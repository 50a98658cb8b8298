/**
 * What keeps the cluster from being read, in words: said once, and taken back when it is over.
 *
 * A watch that ends and begins again is no problem; one that stays broken is, because what is in force then is old.
 */
import type { ReflectorHealth } from '@ambit/kube';
import type { Logger } from '@ambit/telemetry';

/** How long a kind that was read once may fail before anybody is told. */
const PATIENCE_MS = 10_000;

export interface KindHealth extends ReflectorHealth {
  readonly kind: string;
  /** `httproutes.gateway.networking.k8s.io` */
  readonly resource: string;
}

export interface ReadingProblemsOptions {
  readonly log: Logger;
  /** All that there are, whenever that changed. */
  readonly onProblems: (problems: readonly string[]) => void;
}

export class ReadingProblems {
  readonly #options: ReadingProblemsOptions;
  /** By resource: since when it fails without a break. */
  readonly #since = new Map<string, number>();
  #told = '[]';

  constructor(options: ReadingProblemsOptions) {
    this.#options = options;
  }

  /** `now`: monotonic milliseconds. */
  update(kinds: readonly KindHealth[], now: number): void {
    this.tell(kinds.flatMap((health) => this.#problemOf(health, now) ?? []));
  }

  tell(problems: readonly string[]): void {
    const text = JSON.stringify(problems);
    if (text === this.#told) return;
    this.#told = text;
    const { log, onProblems } = this.#options;
    if (problems.length === 0) log.info('the cluster can be read again');
    else log.error('the cluster cannot be read as a whole', { problems });
    onProblems(problems);
  }

  #problemOf(
    { resource, isSynced, lastError, state }: KindHealth,
    now: number,
  ): string | undefined {
    if (lastError === undefined || (isSynced && state !== 'backing-off')) {
      this.#since.delete(resource);
      return undefined;
    }
    if (!isSynced) return `${resource} cannot be read: ${lastError}`;
    const since = this.#since.get(resource) ?? now;
    this.#since.set(resource, since);
    return now - since < PATIENCE_MS
      ? undefined
      : `${resource} cannot be followed, and what is known of them may be old: ${lastError}`;
  }
}
