/**
 * Connections of the caller that stay, by a name of the test's: `ping` sends a word over one and waits for its echo; how and when
 * each ended is kept.
 */
import { connect } from 'node:net';

const PING = 'ping\n';
const HEAD_END = '\r\n\r\n';
const headOf = (...lines) => `${lines.join('\r\n')}${HEAD_END}`;

/** What is asked for first, if anything is, and how a word is sent afterwards. */
const KINDS = {
  tcp: { word: PING },
  upgraded: {
    opening: (host) =>
      headOf(
        'GET / HTTP/1.1',
        `host: ${host}`,
        'connection: Upgrade',
        'upgrade: websocket',
        'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version: 13',
      ),
    word: PING,
  },
  /** A request whose answer comes as its body does. */
  streaming: {
    opening: (host) =>
      headOf('POST /?stream HTTP/1.1', `host: ${host}`, 'transfer-encoding: chunked'),
    word: `${PING.length}\r\n${PING}\r\n`,
  },
  /** One request, and no other. */
  idle: { opening: (host) => headOf('GET / HTTP/1.1', `host: ${host}`), word: '' },
};

const held = new Map();

/** Opens one: it is there when it is connected, or when what was asked for first is answered. */
export function hold({ host, port, name, as = 'tcp' }) {
  return new Promise((resolve) => {
    const { opening, word } = KINDS[as];
    const socket = connect({ host, port });
    const entry = { socket, word, error: undefined, endedAtMs: undefined, waiting: undefined };
    held.set(name, entry);
    let isOpen = opening === undefined;
    let text = '';
    const fail = (error) => {
      entry.error ??= error;
      entry.endedAtMs ??= Date.now();
      entry.waiting?.({ ok: false, error: entry.error });
      resolve({ ok: false, error: entry.error });
    };
    socket.on('connect', () => {
      if (isOpen) resolve({ ok: true, port: socket.localPort });
      else socket.write(opening(host));
    });
    socket.on('error', (error) => fail(error.code));
    // Ended in order, if no error came before.
    socket.on('close', () => fail('CLOSED'));
    socket.on('data', (chunk) => {
      text += chunk;
      if (!isOpen && text.includes(HEAD_END)) {
        isOpen = true;
        const [line] = text.split('\r\n', 1);
        const isServed = /^HTTP\/1\.1 (101|200) /.test(line);
        resolve(isServed ? { ok: true, port: socket.localPort } : { ok: false, error: line });
      }
      if (text.includes(PING)) {
        text = '';
        entry.waiting?.({ ok: true });
      }
    });
  });
}

export function ping({ name, timeoutMs }) {
  const entry = held.get(name);
  return new Promise((resolve) => {
    if (entry === undefined || entry.error !== undefined) {
      resolve({ ok: false, error: entry?.error ?? 'NO_SUCH_CONNECTION' });
      return;
    }
    const timer = setTimeout(() => resolve({ ok: false, error: 'TIMEOUT' }), timeoutMs);
    entry.waiting = (answer) => {
      clearTimeout(timer);
      resolve(answer);
    };
    entry.socket.write(entry.word);
  });
}

/** By name, of each that has ended: how, and when by wall time. */
export function ends() {
  const ended = [...held].filter(([, { error }]) => error !== undefined);
  return Object.fromEntries(
    ended.map(([name, { error, endedAtMs }]) => [name, { error, endedAtMs }]),
  );
}

export function releaseHeld() {
  for (const { socket } of held.values()) socket.destroy();
  held.clear();
}
