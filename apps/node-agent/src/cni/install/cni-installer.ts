/**
 * Keeps the plugin on the host and in its network configuration for as long as the agent runs.
 *
 * Rule: an agent that ends leaves everything, so that pods wait for the next one; only `uninstallCni` takes it away.
 * Who else writes the configuration is answered, but never in a fight: after some rounds we wait longer and say so.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import { Backoff, type Clock } from '@ambit/core';
import { describeError, type Logger } from '@ambit/telemetry';
import { PLUGIN_TYPE, type PluginEntry } from './conflist.ts';
import type { LauncherArch } from './launcher.ts';
import { type ConfigState, installEntry, removeEntries } from './network-config.ts';
import {
  installPlugin,
  type PluginPayload,
  removeOldVersions,
  removePlugin,
} from './plugin-files.ts';

/** Others write several files, or one in parts. */
const DEBOUNCE_MS = 500;
/** Where no event comes (an overlay, a network file system). */
const POLL_MS = 15_000;
/** Longer than any plugin of an older version still runs. */
const OLD_VERSIONS_MS = 120_000;
/** So many times may others write the configuration over within the window. */
const ROUNDS_MAX = 5;
const WINDOW_MS = 60_000;
const FIGHT = { initialMs: 10_000, maxMs: 300_000, jitter: 0.2 } as const;

export interface CniPlaces {
  readonly binDir: string;
  readonly hostBinDir: string;
  readonly confDir: string;
}

export interface CniInstallerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly places: CniPlaces;
  readonly payload: () => PluginPayload;
  readonly entry: PluginEntry;
  readonly arch: LauncherArch;
  /** Whether the agent could answer for a pod: a plugin before that would hold back every pod of the node. */
  readonly isNeeded: () => boolean;
  /** Another agent serves this node now: what is on the host is its own. */
  readonly isSuperseded: () => boolean;
  /** Called at each change of `problem`. */
  readonly onChange: () => void;
}

export class CniInstaller {
  /** How often the entry was put in again because somebody had written the file over. */
  readonly counters = { inserted: 0, reinserted: 0 };
  readonly #options: CniInstallerOptions;
  readonly #stopped = new AbortController();
  readonly #fight = new Backoff(FIGHT);
  #rounds: number[] = [];
  #isOnHost = false;
  #wake = Promise.withResolvers<void>();
  #watcher: FSWatcher | undefined;
  #problem: string | undefined = 'the plugin is not installed yet';
  #running: Promise<void> | undefined;

  constructor(options: CniInstallerOptions) {
    this.#options = options;
  }

  /** Why pods would not come to the agent; undefined when they do. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Goes on in the background until `stop`. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Looks again now. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Leaves everything as it is. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#watcher?.close();
    this.#wake.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, isSuperseded } = this.#options;
    const oldVersionsAt = clock.now() + OLD_VERSIONS_MS;
    let hasRemovedOld = false;
    while (!this.#stopped.signal.aborted) {
      const waitMs = this.#attempt();
      if (!hasRemovedOld && clock.now() >= oldVersionsAt && !isSuperseded()) {
        hasRemovedOld = true;
        this.#removeOld();
      }
      await this.#waitForChange(waitMs);
    }
  }

  /** Returns how long nothing is to be done, whatever happens in the folder. */
  #attempt(): number {
    const { places, payload, arch, entry, log, isSuperseded, isNeeded } = this.#options;
    if (isSuperseded()) {
      return 0;
    }
    if (!isNeeded()) {
      this.#say('no controller has told this node which namespaces are enrolled');
      return 0;
    }
    try {
      // Once: the content of a hundred megabytes is compared.
      if (!this.#isOnHost || !existsSync(join(places.binDir, PLUGIN_TYPE))) {
        const version = installPlugin(payload(), places, arch);
        this.#isOnHost = true;
        log.info('plugin is on the host', { version });
      }
      this.#watch();
      const state = installEntry(places.confDir, entry);
      return this.#judge(state);
    } catch (error) {
      this.#say(`cannot install the plugin: ${describeError(error)}`);
      return 0;
    }
  }

  #judge(state: ConfigState): number {
    const { log, clock } = this.#options;
    if (state.kind !== 'installed') {
      this.#say(state.kind === 'waiting' ? state.reason : `${state.file}: ${state.reason}`);
      return 0;
    }
    if (!state.isChanged) {
      this.counters.inserted ||= 1;
      this.#say(undefined);
      return 0;
    }
    const isAgain = this.counters.inserted > 0;
    this.counters.inserted += 1;
    log.info('plugin is in the network configuration', { file: state.file, isAgain });
    const now = clock.now();
    this.#rounds = this.#rounds.filter((at) => now - at < WINDOW_MS);
    if (isAgain) {
      this.counters.reinserted += 1;
      this.#rounds.push(now);
    }
    if (this.#rounds.length <= ROUNDS_MAX) {
      this.#fight.reset();
      this.#say(undefined);
      return 0;
    }
    const waitMs = this.#fight.next();
    this.#say(
      `another program keeps writing ${state.file} over without ${PLUGIN_TYPE} ` +
        `(${this.#rounds.length} times in ${WINDOW_MS / 1000} s)`,
    );
    return waitMs;
  }

  #say(problem: string | undefined): void {
    const { log, onChange } = this.#options;
    if (problem === this.#problem) {
      return;
    }
    this.#problem = problem;
    if (problem !== undefined) {
      log.warn('pods do not come to this agent', { problem });
    }
    onChange();
  }

  #removeOld(): void {
    const { places, log } = this.#options;
    try {
      const versions = removeOldVersions(places.binDir);
      if (versions.length > 0) {
        log.info('older plugins are removed', { versions });
      }
    } catch (error) {
      log.warn('older plugins cannot be removed', { error });
    }
  }

  /** A folder that is not there yet is looked for at the next poll. */
  #watch(): void {
    const { places, log } = this.#options;
    if (this.#watcher !== undefined || !existsSync(places.confDir)) {
      return;
    }
    const watcher = watch(places.confDir, { persistent: false }, () => this.#wake.resolve());
    watcher.on('error', (error) => {
      log.warn('cannot watch the network configuration', { error });
      watcher.close();
      this.#watcher = undefined;
    });
    this.#watcher = watcher;
  }

  async #waitForChange(quietMs: number): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopped;
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const pause = async (ms: number): Promise<void> => {
      try {
        await clock.sleep(ms, either);
      } catch {
        // Stopped, or woken by the other of the two.
      }
    };
    await pause(quietMs);
    await Promise.race([this.#wake.promise, pause(POLL_MS)]);
    await pause(DEBOUNCE_MS);
    done.abort();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** Takes the plugin off the host: first out of the configuration, then its files. Only what is ours. Idempotent. */
export function uninstallCni(places: Pick<CniPlaces, 'binDir' | 'confDir'>): readonly string[] {
  const changed = removeEntries(places.confDir);
  removePlugin(places.binDir);
  return changed;
}
