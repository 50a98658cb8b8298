/**
 * The conformance suite of HTTP/2, strict, against port 15008 of a captured pod. It knows no client certificates, so a shim
 * speaks TLS for it, with those of a pod of the mesh.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { systemClock } from '@ambit/core';
import { h2specProgram, runH2spec } from '@ambit/h2/testing';
import type { TestIdentity } from '@ambit/testkit';

import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

/** The first run on a machine builds the program. */
const TIMEOUT_MS = 300_000;
const HBONE_PORT = 15_008;
const CASES = 146;

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const DATA = 0;
const HEADERS = 1;
const END_STREAM = 1;
/** Longer than h2spec takes from frame to frame, less than the 2 s that it waits for an answer. */
const HOLD_MS = 200;

/** Whether `chunk`, whole frames, ends within a request. */
function endsWithinRequest(chunk: Buffer): boolean {
  let at = chunk.subarray(0, 3).toString('latin1') === 'PRI' ? PREFACE_BYTES : 0;
  let isOpen = false;
  while (at + FRAME_HEAD_BYTES <= chunk.length) {
    const type = chunk[at + 3];
    isOpen = (type === HEADERS || type === DATA) && ((chunk[at + 4] ?? 0) & END_STREAM) === 0;
    at += FRAME_HEAD_BYTES + chunk.readUIntBE(at, 3);
  }
  return isOpen && at === chunk.length;
}

/**
 * Sends the frames of a request together. The answer, 400, needs no more than the head, and the stream is over with it
 * (RFC 9113 §8.1): what is wrong with a frame that crosses the answer is not said.
 */
class WholeRequests extends Transform {
  #held: Buffer[] = [];
  #chunks = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#held.push(chunk);
    this.#chunks += 1;
    if (endsWithinRequest(chunk)) {
      void this.#releaseAfter(this.#chunks);
    } else {
      this.#release();
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#release();
    done();
  }

  async #releaseAfter(chunks: number): Promise<void> {
    await systemClock.sleep(HOLD_MS);
    if (this.#chunks === chunks) {
      this.#release();
    }
  }

  #release(): void {
    if (this.#held.length > 0) {
      this.push(Buffer.concat(this.#held));
      this.#held = [];
    }
  }
}

async function forward(
  plain: Socket,
  to: { readonly host: string; readonly identity: TestIdentity },
): Promise<void> {
  const { identity, host } = to;
  const socket = connectTls({
    host,
    port: HBONE_PORT,
    key: identity.privateKeyPem,
    cert: identity.chainPem,
    ca: identity.rootsPem,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  await Promise.all([pipeline(plain, new WholeRequests(), socket), pipeline(socket, plain)]);
}

describe('h2spec', () => {
  it('passes against the tunnels of a pod', { timeout: TIMEOUT_MS }, async () => {
    const program = h2specProgram();
    await using rig = new WorkerRig();
    const server = rig.address(2);
    rig.workloads(workload('server', { addresses: [server] }));
    rig.certify('server');
    await rig.addPod(2, 'server');
    const to = { host: server, identity: rig.ca.workload('shop', 'client') };
    const shim = createServer({ allowHalfOpen: true }, (plain) => {
      forward(plain, to).catch(() => plain.destroy());
    });
    shim.listen(0, '127.0.0.1');
    await once(shim, 'listening');
    const address = shim.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    try {
      const result = await runH2spec(program, { host: '127.0.0.1', port });
      assert.deepEqual(
        { ...result, report: result.report.trim() },
        { passed: CASES, skipped: 0, failed: 0, report: '' },
      );
    } finally {
      shim.close();
    }
  });
});
