/**
 * What crosses the wires between nodes, as a pcap file and as bytes to search: the proof that nothing is in clear.
 *
 * It taps the fabric's namespace, where every frame between two nodes, or a node and the controller, passes.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@ambit/core';
import { closeFd, type Netns, packetSocket } from '@ambit/netns';
import { LabError } from './errors.ts';
import { type LabProcess, startProcess } from './process.ts';

/** For frames that are on their way to the file. */
const SETTLE_MS = 100;
const FILE_HEADER_BYTES = 24;
const FRAME_HEADER_BYTES = 16;

export class Capture {
  /** A pcap file, readable by tcpdump and Wireshark. */
  readonly file: string;
  readonly #process: LabProcess;
  readonly #clock: Clock;
  #stopped: Promise<void> | undefined;

  private constructor(file: string, process: LabProcess, clock: Clock) {
    this.file = file;
    this.#process = process;
    this.#clock = clock;
  }

  /** Resolves when frames are being recorded. */
  static async start(netns: Netns, folder: string, clock: Clock): Promise<Capture> {
    const file = join(folder, `${clock.wallNow()}.pcap`);
    const socket = packetSocket(netns);
    const main = join(import.meta.dirname, 'capture-main.ts');
    const options = {
      netns,
      argv: [process.execPath, main, file],
      cwd: folder,
      env: {},
      mounts: [],
      ownsPids: false,
    };
    let started: LabProcess;
    try {
      started = startProcess(options, ['ignore', 'pipe', 'inherit', socket]);
    } finally {
      closeFd(socket);
    }
    const ready = once(started.child.stdout ?? started.child, 'data').then(() => true);
    if (!(await Promise.race([ready, started.ended.then(() => false)]))) {
      throw new LabError('LAB_NETWORK_FAILED', 'the capture process ended before it was ready');
    }
    return new Capture(file, started, clock);
  }

  /** Ends the recording; the file stays until the lab is closed. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** True if a frame so far holds these bytes. */
  contains(text: string): boolean {
    return this.frames().some((frame) => frame.includes(text));
  }

  frames(): Buffer[] {
    const bytes = readFileSync(this.file);
    const frames: Buffer[] = [];
    let at = FILE_HEADER_BYTES;
    while (at + FRAME_HEADER_BYTES <= bytes.length) {
      const length = bytes.readUInt32LE(at + 8);
      at += FRAME_HEADER_BYTES;
      frames.push(bytes.subarray(at, at + length));
      at += length;
    }
    return frames;
  }

  async #stop(): Promise<void> {
    await this.#clock.sleep(SETTLE_MS);
    this.#process.signal('SIGKILL');
    await this.#process.ended;
  }
}
