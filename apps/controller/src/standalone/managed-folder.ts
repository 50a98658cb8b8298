/**
 * What the controller wants the cluster to run, as YAML files that it owns: one for each waypoint.
 *
 * The folder is brought to the wanted state, whatever an earlier process left there; files of others in
 * it are left alone. Each file is replaced whole. A waypoint that is no longer wanted stays for a while: proxies
 * must stop using it first, and an edit that takes one policy away and brings another must not restart it.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { formatYaml } from '@ambit/api';
import type { Clock } from '@ambit/core';
import type { WaypointSpec } from '@ambit/model';
import { type Logger, OnceUntil } from '@ambit/telemetry';

import { waypointObjects } from '../provision/waypoint-objects.ts';

const PREFIX = 'waypoint.';
const SUFFIX = '.yaml';
const RETRY_MS = 1_000;
const LINGER_MS = 10_000;

export class ManagedFolder {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #outage = new OnceUntil();
  readonly #stopping = new AbortController();
  readonly #lingerMs: number;
  /** File → when it was first seen without being wanted. */
  readonly #unwantedSince = new Map<string, number>();
  #isLingering = false;
  #last: ReadonlyMap<string, WaypointSpec> = new Map();
  #wanted: ReadonlyMap<string, WaypointSpec> | undefined;
  #running: Promise<void> | undefined;

  constructor(options: {
    readonly folder: string;
    readonly clock: Clock;
    readonly log: Logger;
    /** How long a waypoint outlives its last use. Default 10 s. */
    readonly lingerMs?: number;
  }) {
    this.#lingerMs = options.lingerMs ?? LINGER_MS;
    this.#folder = options.folder;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** The waypoints that should run, by `namespace/name`. Returns at once. */
  set(waypoints: ReadonlyMap<string, WaypointSpec>): void {
    this.#wanted = waypoints;
    this.#last = waypoints;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#wanted !== undefined && !this.#stopping.signal.aborted) {
      const wanted = this.#wanted;
      this.#wanted = undefined;
      try {
        await this.#reconcile(wanted);
        this.#outage.succeeded();
      } catch (error) {
        if (this.#outage.failed()) this.#log.error('waypoints cannot be written', { error });
        this.#wanted ??= wanted;
        await this.#clock.sleep(RETRY_MS, this.#stopping.signal).catch(() => {
          // Stopping: what is not written now is written by the next process.
        });
      }
    }
  }

  async #reconcile(wanted: ReadonlyMap<string, WaypointSpec>): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const files = new Map([...wanted.values()].map((spec) => [fileOf(spec), textOf(spec)]));
    for (const name of await readdir(this.#folder)) {
      const isOurs = name.startsWith(PREFIX) && name.endsWith(SUFFIX);
      if (!isOurs || files.has(name)) {
        this.#unwantedSince.delete(name);
      } else if (this.#lingersOn(name)) {
        this.#lookAgain();
      } else {
        this.#unwantedSince.delete(name);
        await rm(join(this.#folder, name), { force: true });
        this.#log.info('waypoint is no longer needed', { file: name });
      }
    }
    for (const spec of wanted.values()) await this.#write(spec);
  }

  async #write(spec: WaypointSpec): Promise<void> {
    const name = fileOf(spec);
    const text = textOf(spec);
    const path = join(this.#folder, name);
    if ((await readIfThere(path)) === text) return;
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
    this.#log.info('waypoint is wanted', { file: name });
    const parameters = spec.infrastructure?.parametersRef;
    if (parameters !== undefined) {
      const why = 'overlays are for objects of a cluster';
      this.#log.warn('parameters have no effect here', { file: name, parameters, why });
    }
  }

  #lingersOn(name: string): boolean {
    const now = this.#clock.now();
    const since = this.#unwantedSince.get(name) ?? now;
    this.#unwantedSince.set(name, since);
    return now - since < this.#lingerMs;
  }

  /** When the time of those that linger is over. */
  #lookAgain(): void {
    if (this.#isLingering) return;
    this.#isLingering = true;
    this.#clock.sleep(this.#lingerMs, this.#stopping.signal).then(
      () => {
        this.#isLingering = false;
        this.set(this.#last);
      },
      () => undefined, // stopping: the next process looks
    );
  }
}

function fileOf({ namespace, name }: WaypointSpec): string {
  return `${PREFIX}${namespace}.${name}${SUFFIX}`;
}

function textOf(spec: WaypointSpec): string {
  return waypointObjects(spec).map(formatYaml).join('---\n');
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined; // written below, or the write says why it cannot be
  }
}
