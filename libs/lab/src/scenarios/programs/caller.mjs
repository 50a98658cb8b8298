/**
 * The client of the scenarios: reads one JSON request a line from standard input and writes one JSON answer a line,
 * in any order, with the request's `id`. One process for many calls, because starting one takes 40 ms.
 */
import { lookup } from 'node:dns/promises';
import { Agent, request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { ends, hold, ping, releaseHeld } from './held.mjs';
import { show, tunnels } from './impostor.mjs';

const keepAlive = new Agent({ keepAlive: true, maxSockets: 64 });
const TIMEOUT_MS = 10_000;

function http(call, kept = keepAlive) {
  const { url, method = 'GET', headers = {}, body, reuse = false, timeoutMs = TIMEOUT_MS } = call;
  return new Promise((resolve) => {
    const none = (error) =>
      resolve({ status: 0, error: error.code ?? error.message, headers: {}, body: '' });
    const agent = reuse ? kept : new Agent({ keepAlive: false });
    const outgoing = httpRequest(
      url,
      { method, headers, agent, timeout: timeoutMs },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('error', none);
        response.on('end', () => {
          resolve({
            status: response.statusCode,
            headers: response.headers,
            body: text,
            trailers: response.trailers,
          });
        });
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })));
    outgoing.on('error', none);
    outgoing.on('upgrade', (response, socket, head) => {
      let text = head.toString();
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('close', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: text }),
      );
      socket.end('through the upgrade');
    });
    outgoing.end(body);
  });
}

/** Sessions of HTTP/2 that stay, by origin and turn. */
const sessions = new Map();
const SESSIONS_OF_ORIGIN = 8;
let turn = 0;

function keptSession(origin) {
  turn += 1;
  const key = `${origin} ${turn % SESSIONS_OF_ORIGIN}`;
  let session = sessions.get(key);
  if (session === undefined || session.closed || session.destroyed) {
    session = connectHttp2(origin);
    // Its streams say what went wrong.
    session.on('error', () => session.destroy());
    session.on('goaway', () => session.close());
    sessions.set(key, session);
  }
  return session;
}

/** HTTP/2 with prior knowledge; `grpc` sends one empty message and reads the trailers; `reuse` over sessions that stay. */
function http2({ url, method = 'GET', headers = {}, grpc = false, reuse = false }) {
  return new Promise((resolve) => {
    const { origin, pathname, search } = new URL(url);
    const session = reuse ? keptSession(origin) : connectHttp2(origin);
    const none = (error) => {
      if (!reuse) session.destroy();
      resolve({ status: 0, error: error.code ?? error.message, headers: {}, body: '' });
    };
    if (!reuse) {
      session.on('error', none);
      session.setTimeout(TIMEOUT_MS, () => none({ code: 'TIMEOUT' }));
    }
    const stream = session.request({
      ':method': grpc ? 'POST' : method,
      ':path': pathname + search,
      ...(grpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
      ...headers,
    });
    let answer = { status: 0, headers: {} };
    let trailers = {};
    let body = '';
    stream.on('response', (received) => {
      answer = { status: received[':status'], headers: { ...received } };
    });
    stream.on('trailers', (received) => {
      trailers = { ...received };
    });
    stream.setEncoding('utf8').on('data', (chunk) => {
      body += chunk;
    });
    stream.on('error', none);
    if (reuse) {
      stream.setTimeout(TIMEOUT_MS, () => {
        none({ code: 'TIMEOUT' });
        stream.close();
      });
    }
    stream.on('close', () => {
      if (!reuse) session.close();
      resolve({ ...answer, body, trailers });
    });
    stream.end(grpc ? Buffer.from([0, 0, 0, 0, 0]) : undefined);
  });
}

/** Sends, half-closes, and collects everything until the other side ends. */
function tcp({ host, port, send = '', wait = false }) {
  return new Promise((resolve) => {
    let received = '';
    let bytes = 0;
    const socket = connect({ host, port, allowHalfOpen: true });
    const finish = (error) => {
      socket.destroy();
      resolve({
        received: received.slice(0, 4_096),
        bytes,
        ...(error === undefined ? {} : { error }),
      });
    };
    socket.setTimeout(TIMEOUT_MS, () => finish('TIMEOUT'));
    socket.on('error', (error) => finish(error.code));
    socket.on('connect', () => {
      if (!wait) {
        socket.end(send);
      }
    });
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (received.length < 4_096) {
        received += chunk;
      }
      if (wait && received.includes('\n')) {
        wait = false;
        socket.end(send);
      }
    });
    socket.on('end', () => finish());
  });
}

/** Closes the connections of `hold`, and those of `reuse` that no request is on. */
async function release() {
  releaseHeld();
  for (const sockets of Object.values(keepAlive.freeSockets)) {
    for (const socket of sockets) socket.destroy();
  }
  return {};
}

async function dns({ name, family }) {
  try {
    const found = await lookup(name, { family, all: true });
    return { addresses: found.map(({ address }) => address).sort() };
  } catch (error) {
    return { addresses: [], error: error.code };
  }
}

/** Many requests; counts by status and by the version header of the answer. */
async function many({ request, count, parallel = 16, protocol = 'http' }) {
  const tally = { statuses: {}, versions: {}, pods: {}, errors: {} };
  const up = (counts, key) => {
    counts[key] = (counts[key] ?? 0) + 1;
  };
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const answer = await (protocol === 'http2' ? http2(request) : http(request));
      up(tally.statuses, answer.status);
      if (answer.status === 200) {
        up(tally.versions, answer.headers['x-version'] ?? 'none');
        up(tally.pods, podOf(answer.body));
      } else {
        up(tally.errors, answer.error ?? answer.body.slice(0, 200));
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return tally;
}

function podOf(body) {
  try {
    return JSON.parse(body).pod;
  } catch {
    return 'none';
  }
}

/** Requests at a steady rate until `stop`; then the tally, the first that failed, and the longest gap between two good answers. */
const loads = new Map();
const FAILURES_MAX = 10_000;
/** Of a load, under way at a time: a machine that cannot keep up is asked for no more. */
const RUNNING_MAX = 256;
/** `each`: over so many connections in turn, if the request is one that reuses them; else over as many as it takes. */
async function load({ name, request, everyMs = 20, each = 0 }) {
  const state = { isOn: true, sent: 0, ok: 0, errors: {}, failures: [], gapMs: 0, connections: 0 };
  const agents =
    each === 0
      ? [new Agent({ keepAlive: true, maxSockets: 64 })]
      : Array.from({ length: each }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  loads.set(name, state);
  let lastOk = performance.now();
  const running = new Set();
  const loop = (async () => {
    while (state.isOn) {
      state.sent += 1;
      const begunAtMs = Date.now();
      const id = `${name}-${begunAtMs}-${state.sent}`;
      const headers = { ...request.headers, 'x-request-id': id };
      const kept = agents[state.sent % agents.length];
      const one = http({ ...request, headers }, kept).then((answer) => {
        running.delete(one);
        if (answer.status === 200) {
          state.ok += 1;
          const now = performance.now();
          state.gapMs = Math.max(state.gapMs, now - lastOk);
          lastOk = now;
        } else {
          const key = answer.error ?? `${answer.status} ${answer.body.slice(0, 120)}`;
          state.errors[key] = (state.errors[key] ?? 0) + 1;
          if (state.failures.length < FAILURES_MAX) {
            const tookMs = Date.now() - begunAtMs;
            state.failures.push({ begunAtMs, tookMs, error: key, id });
          }
        }
      });
      running.add(one);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      if (running.size >= RUNNING_MAX) await Promise.race(running);
      const open = agents.flatMap(({ sockets, freeSockets }) =>
        [...Object.values(sockets), ...Object.values(freeSockets)].flat(),
      );
      state.connections = Math.max(state.connections, open.length);
    }
    await Promise.all(running);
    for (const agent of agents) agent.destroy();
  })();
  state.done = loop;
  return { ok: true };
}

async function stop({ name }) {
  const state = loads.get(name);
  state.isOn = false;
  await state.done;
  return look({ name });
}

function look({ name }) {
  const state = loads.get(name);
  const { sent, ok, errors, failures, gapMs, connections } = state;
  return { sent, ok, errors, failures, gapMs, connections };
}

/** CONNECT straight to an agent, with a certificate that the test brings, whoever answers. */
function tunnel({ host, authority, certificate, key }) {
  return new Promise((resolve) => {
    const address = host.includes(':') ? `[${host}]` : host;
    const session = connectHttp2(`https://${address}:15008`, {
      cert: certificate,
      key,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const timer = setTimeout(() => end({ status: 0, error: 'TIMEOUT' }), TIMEOUT_MS);
    const end = (answer) => {
      clearTimeout(timer);
      resolve(answer);
      session.destroy();
    };
    const fail = (error) => end({ status: 0, error: error.code ?? error.message });
    session.on('error', fail);
    session.on('close', () => end({ status: 0, error: 'closed' }));
    const stream = session.request({ ':method': 'CONNECT', ':authority': authority });
    stream.on('error', fail);
    stream.on('response', (headers) => end({ status: headers[':status'] }));
  });
}

const OPERATIONS = {
  http,
  http2,
  tcp,
  hold,
  ping,
  ends,
  release,
  dns,
  many,
  load,
  look,
  stop,
  tunnel,
  show,
  tunnels,
};

async function perform(line) {
  const { id, operation, ...options } = JSON.parse(line);
  const answer = await OPERATIONS[operation](options);
  process.stdout.write(`${JSON.stringify({ id, answer })}\n`);
}

createInterface({ input: process.stdin }).on('line', (line) => void perform(line));
