/**
 * `attacker.ts PORT`: attacks the HTTP engine on loopback. Reads the name of an attack a line, or an empty line for none, and
 * goes on with it until the next line: each time on a new connection, a moment after the one before was ended.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { systemClock } from '@ambit/core';
import { attackByHttp2, H2_ATTACKS, type H2Attack } from '@ambit/h2/testing';
import { SocketConn } from '@ambit/proxy';
import { H1_ATTACKS, type H1Attack } from '../../libs/http/src/fixtures/attacks.ts';

const PAUSE_MS = 20;
const REQUEST = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'app'];
const port = Number(process.argv[2]);

async function dial(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

async function byHttp2(attack: H2Attack): Promise<void> {
  const conn = new SocketConn(await dial(), { side: 'upstream' });
  try {
    await attackByHttp2(conn, attack, REQUEST);
  } finally {
    conn.destroy();
  }
}

async function byHttp1({ begin, more }: H1Attack): Promise<void> {
  const socket = await dial();
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

const attacks = new Map<string, () => Promise<void>>([
  ...H2_ATTACKS.map((attack) => [attack.name, async () => await byHttp2(attack)] as const),
  ...H1_ATTACKS.map((attack) => [attack.name, async () => await byHttp1(attack)] as const),
]);

let current = '';
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
