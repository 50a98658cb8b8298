/**
 * Keeps what the cluster runs for waypoints as it should be, while this replica leads.
 *
 * A waypoint that nobody wrote a Gateway for gets none made: a Gateway is what people want, and one made here would be wanted because
 * it is there. Its parts carry the labels of a Gateway of that name, and go when no object needs them.
 */
import type { WaypointSpec } from '@ambit/model';
import type { KubernetesContext } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';
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

export class WaypointProvisioner extends LeaderDuty {
  readonly #options: WaypointProvisionerOptions;
  #wanted: ReadonlyMap<string, WaypointSpec> | undefined;
  #run: ProvisionRun | undefined;

  constructor(options: WaypointProvisionerOptions) {
    super();
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

  protected override async run(signal: AbortSignal): Promise<void> {
    const { lingerMs = LINGER_MS, ...options } = this.#options;
    const run = new ProvisionRun({ ...options, lingerMs, signal });
    this.#run = run;
    if (this.#wanted !== undefined) run.set(this.#wanted);
    run.start();
    await untilAborted(signal);
    this.#run = undefined;
    await run.stop();
  }
}
