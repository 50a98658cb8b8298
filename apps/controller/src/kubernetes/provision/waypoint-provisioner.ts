/**
 * Keeps what the cluster runs for waypoints as it should be, while this replica leads.
 *
 * A waypoint that nobody wrote a Gateway for gets none made: a Gateway is what people want, and one made here would be wanted because
 * it is there. Its parts carry the labels of a Gateway of that name, and go when no object needs them.
 */
import type { WaypointSpec } from '@ambit/model';
import type { KubernetesContext, LeaderDuty } from '../context.ts';
import type { WaypointState } from './observed.ts';
import { ProvisionRun } from './provision-run.ts';
import type { WaypointSettings } from './waypoint-parts.ts';

export interface WaypointProvisionerOptions {
  readonly context: KubernetesContext;
  readonly settings: WaypointSettings;
  /** Its state may be another; ask `stateOf`. Must not throw. */
  readonly onChange: (waypoint: string) => void;
  /** How long a waypoint outlives its last use. Default 10 s. */
  readonly lingerMs?: number;
}

const LINGER_MS = 10_000;

export class WaypointProvisioner implements LeaderDuty {
  readonly #options: WaypointProvisionerOptions;
  #wanted: ReadonlyMap<string, WaypointSpec> | undefined;
  #run: ProvisionRun | undefined;
  #ending: Promise<void> = Promise.resolve();

  constructor(options: WaypointProvisionerOptions) {
    this.#options = options;
  }

  /** The waypoints that should run, by `namespace/name`; not before everything was read once. Returns at once. */
  set(waypoints: ReadonlyMap<string, WaypointSpec>): void {
    this.#wanted = waypoints;
    this.#run?.set(waypoints);
  }

  /** Nothing is known of it while another replica leads. */
  stateOf(waypoint: string): WaypointState | undefined {
    return this.#run?.stateOf(waypoint);
  }

  lead(signal: AbortSignal): void {
    if (signal.aborted) return;
    const { lingerMs = LINGER_MS, ...options } = this.#options;
    const run = new ProvisionRun({ ...options, lingerMs, signal });
    const before = this.#ending;
    this.#run = run;
    if (this.#wanted !== undefined) run.set(this.#wanted);
    this.#ending = Promise.all([before, this.#follow(run, signal)]).then(() => undefined);
  }

  async idle(): Promise<void> {
    await this.#ending;
  }

  async #follow(run: ProvisionRun, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => resolve(), { once: true });
    run.start();
    await promise;
    if (this.#run === run) this.#run = undefined;
    await run.stop();
  }
}
