/**
 * Keeps the node's rule for kubelet's probes in step with the captured pods.
 *
 * Rule: the whole table is written anew at every change, in one transaction, so that what is there never depends on what
 * was. Changes that come while one is written are written together.
 */
import { canonicalIp } from '@ambit/api';
import { applyNft, type Netns, NetnsError, runNft } from '@ambit/netns';
import { describeError, type Logger } from '@ambit/telemetry';
import { addressesIn, HOST_TABLE, hostRules, removeHostRules } from './host-rules.ts';
import type { CaptureOptions } from './rules.ts';

export interface ProbedPod {
  readonly uid: string;
  readonly ips: readonly string[];
}

export interface HostProbesOptions {
  readonly log: Logger;
  readonly probeSources: CaptureOptions['probeSources'];
  /** The node's rule is another agent's by now: nothing is written. */
  readonly isSuperseded: () => boolean;
  /** Defaults to the kernel's, of the namespace given to `open`. */
  readonly table?: (ns: Netns) => HostTable;
}

/** The node's table; tests put memory here. */
export interface HostTable {
  /** What `nft -j` lists of it; empty when there is none. */
  read(): Promise<string>;
  write(rules: string): Promise<void>;
}

export class HostProbes {
  readonly #options: HostProbesOptions;
  readonly #pods = new Map<string, readonly string[]>();
  readonly #opened = Promise.withResolvers<HostTable>();
  #written = '';
  /** Never rejects. */
  #running: Promise<void> = Promise.resolve();
  /** The write that has not begun, which takes in every change until it does. */
  #queued: Promise<void> | undefined;

  constructor(options: HostProbesOptions) {
    this.#options = options;
  }

  /**
   * `ns` is the node's own and stays open from now on. Keeps the addresses of those `pods` that an earlier agent left there,
   * whose captures go on, and forgets every other. What is said before takes effect now. Rejects where rules cannot be
   * written; the next change then tries again.
   */
  async open(ns: Netns, pods: readonly ProbedPod[]): Promise<void> {
    const table = (this.#options.table ?? kernelTable)(ns);
    let left: ReadonlySet<string> = new Set();
    try {
      left = addressesIn(await table.read());
    } finally {
      for (const { uid, ips } of pods) {
        if (!this.#pods.has(uid) && canonical(ips).some((ip) => left.has(ip))) {
          this.#pods.set(uid, ips);
        }
      }
      this.#opened.resolve(table);
    }
    await this.#sync();
  }

  /** Resolves when probes of the pod pass. Rejects when the rules cannot be written; may be repeated. */
  async add({ uid, ips }: ProbedPod): Promise<void> {
    this.#pods.set(uid, ips);
    await this.#sync();
  }

  /** Never rejects: an address too many changes the source of the node's own connections there, and the next write drops it. */
  async remove(uid: string): Promise<void> {
    if (!this.#pods.delete(uid)) {
      return;
    }
    try {
      await this.#sync();
    } catch (error) {
      this.#options.log.warn("a pod stays in the node's rule for probes until the next change", {
        pod: uid,
        error: describeError(error),
      });
    }
  }

  async #sync(): Promise<void> {
    this.#queued ??= this.#writeAfter(this.#running);
    await this.#queued;
  }

  async #writeAfter(before: Promise<void>): Promise<void> {
    await before;
    const table = await this.#opened.promise;
    this.#queued = undefined;
    const write = this.#write(table);
    this.#running = write.catch(() => undefined);
    await write;
  }

  async #write(table: HostTable): Promise<void> {
    const { probeSources, isSuperseded } = this.#options;
    if (isSuperseded()) {
      this.#written = '';
      return;
    }
    const addresses = [...new Set([...this.#pods.values()].flatMap(canonical))].sort();
    const rules = hostRules({ addresses, probeSources });
    if (rules !== this.#written) {
      this.#written = '';
      await table.write(rules);
      this.#written = rules;
    }
  }
}

/** Nothing of ours remains in the node's namespace. May be repeated. */
export async function removeHostProbes(ns: Netns): Promise<void> {
  await applyNft(ns, removeHostRules());
}

function kernelTable(ns: Netns): HostTable {
  return {
    read: async () => {
      try {
        return await runNft(ns, ['-j', 'list', 'table', 'inet', HOST_TABLE]);
      } catch (error) {
        if (error instanceof NetnsError && /No such file/.test(error.message)) {
          return '';
        }
        throw error;
      }
    },
    write: async (rules) => await applyNft(ns, rules),
  };
}

function canonical(ips: readonly string[]): readonly string[] {
  return ips.map((ip) => canonicalIp(ip) ?? ip);
}
