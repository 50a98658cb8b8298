/**
 * `attacker.ts TARGET`: attacks what the target (JSON) says on loopback. Reads the name of an attack a line, or an empty line for
 * none, and goes on with it until the next line: each time on a new connection, a moment after the one before was ended. Those
 * that are slow keep as many connections as an attack has.
 */
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { systemClock } from '@ambit/core';
import { attackByHttp2, H2_ATTACKS, type H2Attack } from '@ambit/h2/testing';
import type { ByteConn } from '@ambit/proxy';
import { H1_ATTACKS, type H1Attack } from '../../libs/http/src/fixtures/attacks.ts';
import { type AttackTarget, dialConn, dialRaw } from '../measure/attack-targets.ts';
import { REQUEST } from '../peers/http-rules.ts';

const PAUSE_MS = 20;
/** The record header of a ClientHello of 512 bytes, and nothing of it. */
const HELLO_BEGINS = Buffer.from([0x16, 3, 1, 2, 0]);
const target = JSON.parse(process.argv[2] ?? '') as AttackTarget;

/** One that is allowed, so that everything behind works for it. */
const { Host: _host, ...fields } = REQUEST.headers;
const ASKED =
  target.kind === 'tunnel'
    ? [':method', 'CONNECT', ':authority', target.authority]
    : [
        ...[':method', 'GET', ':scheme', 'http', ':path', REQUEST.path, ':authority', 'app'],
        ...Object.entries(fields).flat(),
      ];

let current = '';

/** Each attack comes from an address of its own: what is remembered of one is not the next one's. */
function from(): string {
  const [a, b, c, d] = target.attacker.split('.');
  return [a, b, c, Number(d) + [...attacks.keys()].indexOf(current)].join('.');
}

async function byHttp2(attack: H2Attack): Promise<void> {
  const conn = await dialConn(target, from());
  try {
    await attackByHttp2(conn, attack, ASKED);
  } finally {
    conn.destroy();
  }
}

async function byHttp1({ begin, more }: H1Attack): Promise<void> {
  const socket = await dialRaw(target, from());
  let isOver = false;
  for (const event of ['end', 'close'] as const) {
    socket.once(event, () => {
      isOver = true;
    });
  }
  socket.resume();
  socket.write(begin);
  while (!isOver) {
    socket.write(more);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  socket.destroy();
}

/** As many connections as that, each with its beginning and nothing more, until another attack is asked for. */
async function bySilence(name: string, count: number, begin: string | Uint8Array): Promise<void> {
  const open: Socket[] = [];
  for (let n = 0; n < count && current === name; n += 1) {
    const socket = await dialRaw(target, from());
    socket.resume();
    socket.write(begin);
    open.push(socket);
  }
  while (current === name) {
    await systemClock.sleep(PAUSE_MS);
  }
  for (const socket of open) {
    socket.destroy();
  }
}

async function bySilentTunnels(name: string, count: number): Promise<void> {
  const open: ByteConn[] = [];
  for (let n = 0; n < count && current === name; n += 1) {
    open.push(await dialConn(target, from()));
  }
  while (current === name) {
    await systemClock.sleep(PAUSE_MS);
  }
  for (const conn of open) {
    conn.destroy();
  }
}

const SLOW_HEAD = 'GET / HTTP/1.1\r\nHost: app\r\nX-Slow: ';
const attacks = new Map<string, () => Promise<void>>([
  ...H2_ATTACKS.map((attack) => [attack.name, async () => await byHttp2(attack)] as const),
  ...H1_ATTACKS.map((attack) => [attack.name, async () => await byHttp1(attack)] as const),
  ['slowloris', async () => await bySilence('slowloris', 200, SLOW_HEAD)],
  ['half-open handshakes', async () => await bySilence('half-open handshakes', 200, HELLO_BEGINS)],
  ['slow preface', async () => await bySilentTunnels('slow preface', 100)],
]);

createInterface({ input: process.stdin }).on('line', (line) => {
  current = line;
});
for (;;) {
  try {
    await attacks.get(current)?.();
  } catch {
    // Requests that are answered at once have a wider bound: the next connection adds to them.
  }
  await systemClock.sleep(PAUSE_MS);
}
