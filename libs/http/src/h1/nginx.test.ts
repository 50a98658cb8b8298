/**
 * Against nginx's parser, which takes more than ours: what we accept, it splits into the same requests; what we write, it reads
 * as it was meant.
 *
 * Either may refuse what the other takes. Where both take it, they agree where it ends: each conversation ends in a request
 * that must be the last one for both.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { mutated, runs } from './fixtures/arbitraries.ts';
import { sendable, writeRequests } from './fixtures/check.ts';
import { collectRequests, type Message } from './fixtures/collect.ts';
import { Nginx } from './fixtures/nginx.ts';
import { REQUEST_SEEDS, WHOLE_REQUESTS } from './fixtures/seeds.ts';
import type { H1RequestHead } from './message.ts';

const LAST = Buffer.from('GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n');
const LAST_SEEN = 'GET /last last';
/** It reads no tunnels, and answers TRACE by itself. */
const REFUSED_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE']);

/** Whole requests behind which another one may come. */
function lasting(bytes: Uint8Array): Message<H1RequestHead>[] {
  const { messages } = collectRequests([bytes], { stopsAtUpgrade: true });
  const end = messages.findIndex(
    ({ head, isWhole }) => !isWhole || !head.keepAlive || !isPlain(head),
  );
  return end === -1 ? messages : messages.slice(0, end);
}

function isPlain({ form, upgrade, method, connection }: H1RequestHead): boolean {
  // Any option that has it inside closes the connection there.
  const closes = connection.some((option) => option.includes('close'));
  return form === 'origin' && upgrade === undefined && !closes && !REFUSED_METHODS.has(method);
}

/** It decodes and resolves paths, and refuses those that lead nowhere; its methods have no digits. */
const isOdd = ({ head }: Message<H1RequestHead>): boolean =>
  /%|\.\./.test(head.path) || !/^[A-Z_-]+$/.test(head.method);

const seenOf = ({ head }: Message<H1RequestHead>): string =>
  `${head.method} ${head.target} ${head.authority}`.trimEnd();

describe('nginx', () => {
  let nginx: Nginx;
  before(async () => {
    nginx = await Nginx.start();
  });
  after(() => nginx.stop());

  async function compare(
    bytes: Uint8Array,
    messages: readonly Message<H1RequestHead>[],
    mayRefuse: (message: Message<H1RequestHead>) => boolean,
  ): Promise<void> {
    const answers = await nginx.read(Buffer.concat([bytes, LAST]));
    const wanted = [...messages.map(seenOf), LAST_SEEN];
    for (const [index, { status, seen }] of answers.entries()) {
      if (status !== 204) {
        const message = messages[index];
        assert.ok(
          message !== undefined && mayRefuse(message),
          `it says ${status} to ${wanted[index]}`,
        );
        assert.equal(index, answers.length - 1, 'it goes on behind what it refuses');
        return;
      }
      assert.equal(seen?.trimEnd(), wanted[index]);
    }
    assert.equal(answers.length, wanted.length);
  }

  async function compareRead(bytes: Uint8Array): Promise<void> {
    const messages = lasting(bytes);
    const last = messages.at(-1);
    if (last !== undefined) {
      await compare(bytes.subarray(0, last.end), messages, () => true);
    }
  }

  it('splits every seed that we accept as we do', async () => {
    for (const seed of REQUEST_SEEDS) {
      await compareRead(Buffer.from(seed, 'latin1'));
    }
  });

  it('splits what we accept as we do', async () => {
    await fc.assert(
      fc.asyncProperty(mutated(REQUEST_SEEDS, WHOLE_REQUESTS), compareRead),
      runs(300),
    );
  });

  it('reads what we write as it was meant', async () => {
    await fc.assert(
      fc.asyncProperty(mutated(REQUEST_SEEDS, WHOLE_REQUESTS), async (bytes) => {
        const accepted = sendable(collectRequests([bytes], { stopsAtUpgrade: true })).filter(
          ({ head }) => isPlain(head),
        );
        if (accepted.length > 0) {
          await compare(writeRequests(accepted), accepted, isOdd);
        }
      }),
      runs(300),
    );
  });
});
