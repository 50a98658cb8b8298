/**
 * Whatever callers, servers and settings do, in whatever order: everybody hears of one end, gets the answer to what they asked,
 * on a connection of their own, and nothing stays held.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { MESH_LIMITS, ServerSession, type ServerStream } from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';
import fc from 'fast-check';
import { HttpError } from '../errors.ts';
import { Answer, GivenBody, requestOf, ScriptedServer, settle } from '../fixtures/upstream.ts';
import { Http1Pool } from './http1-pool.ts';
import { Http2Pool } from './http2-pool.ts';
import type { UpstreamLink } from './message.ts';
import type { Try, TryPool } from './try.ts';

const SCENARIOS = [
  'ok',
  'close',
  'hang-up',
  'break-off',
  'more',
  'early',
  'never',
  'junk',
] as const;
type Scenario = (typeof SCENARIOS)[number];

interface Step {
  readonly caller: number;
  readonly scenario: Scenario;
  readonly hasBody: boolean;
  readonly reads: 'reads' | 'later' | 'cancels';
  readonly aborts: 'never' | 'at-once' | 'soon';
  readonly settings: number;
  readonly turns: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  caller: fc.nat({ max: 2 }),
  scenario: fc.oneof(
    { weight: 4, arbitrary: fc.constant('ok' as const) },
    fc.constantFrom(...SCENARIOS),
  ),
  hasBody: fc.boolean(),
  reads: fc.constantFrom('reads', 'reads', 'later', 'cancels'),
  aborts: fc.constantFrom('never', 'never', 'never', 'at-once', 'soon'),
  settings: fc.nat({ max: 1 }),
  turns: fc.nat({ max: 2 }),
});
const ABORTED = new HttpError('HTTP_TRY_TIMEOUT', 'aborted', { side: 'upstream' });

/** Says what it is asked to by the path, which it also sends back. */
class Http1Server {
  readonly #conn: ByteConn;
  #text = '';
  readonly paths: string[] = [];

  constructor(conn: ByteConn) {
    this.#conn = conn;
    conn.start({
      onData: (chunk) => this.#onText(Buffer.from(chunk).toString('latin1')),
      onEnd: () => conn.end(),
      onDrain: () => undefined,
      onClose: () => undefined,
    });
  }

  #onText(text: string): void {
    this.#text += text;
    const whole =
      /^[A-Z]+ (\/\d+\/([a-z-]+)\/\d+) HTTP\/1\.1\r\n(?:.+\r\n)*\r\n(?:3\r\nabc\r\n0\r\n\r\n)?/;
    const isChunked = this.#text.includes('transfer-encoding: chunked');
    if (isChunked && !this.#text.endsWith('0\r\n\r\n')) {
      return;
    }
    const [all, path = '', scenario = ''] = whole.exec(this.#text) ?? [];
    if (all === undefined) {
      return;
    }
    this.#text = this.#text.slice(all.length);
    this.paths.push(path);
    this.#answer(path, scenario as Scenario);
  }

  #answer(path: string, scenario: Scenario): void {
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n`;
    const say = (text: string): void => void this.#conn.write(Buffer.from(text));
    switch (scenario) {
      case 'never':
        return;
      case 'hang-up':
        this.#conn.destroy();
        return;
      case 'break-off':
        say(`${head}\r\n${path.slice(2)}`);
        this.#conn.end();
        return;
      case 'close':
        say(`${head}connection: close\r\n\r\n${path}`);
        this.#conn.end();
        return;
      case 'more':
        say(`${head}\r\n${path}${head}\r\n${path}`);
        return;
      case 'junk':
        say('220 hello\r\n');
        return;
      case 'early':
      case 'ok':
        say(`${head}\r\n${path}`);
        return;
    }
  }
}

function serveHttp2(conn: ByteConn): { readonly paths: string[] } {
  const paths: string[] = [];
  const session = new ServerSession({
    transport: conn,
    clock: new FakeClock(),
    limits: { ...MESH_LIMITS, streamsMax: 3 },
    onStream: (stream) => {
      const path = stream.request.path ?? '';
      paths.push(path);
      answerHttp2(stream, session, path);
    },
  });
  return { paths };
}

function answerHttp2(stream: ServerStream, session: ServerSession, path: string): void {
  const scenario = path.split('/')[2] as Scenario;
  const answer = (): void => {
    stream.respond({ status: 200, fields: ['content-length', String(path.length)] });
    stream.write(Buffer.from(path));
    stream.endEarly();
  };
  switch (scenario) {
    case 'never':
      return;
    case 'hang-up':
      session.destroy();
      return;
    case 'break-off':
      stream.respond({ status: 200, fields: ['content-length', String(path.length)] });
      stream.write(Buffer.from(path.slice(2)));
      stream.end();
      return;
    case 'close':
      answer();
      session.drain();
      return;
    case 'junk':
      stream.reset(7);
      return;
    case 'more':
      stream.sendInformational({ status: 103, fields: [] });
      answer();
      return;
    case 'early':
    case 'ok':
      answer();
      return;
  }
}

interface Asked {
  readonly path: string;
  readonly step: Step;
  readonly answer: Answer;
  readonly attempt: Try;
  readonly body: GivenBody | undefined;
  readonly link: UpstreamLink;
}

const SETTINGS = [
  { tcp: { maxConnections: 2 }, http: { http1MaxPendingRequests: 4, maxConcurrentStreams: 2 } },
  { tcp: { maxConnections: 3 }, http: { http1MaxPendingRequests: 2, maxRequestsPerConnection: 2 } },
];

function ask(pool: TryPool, server: ScriptedServer, one: Step, id: number): Asked {
  const { caller, scenario, hasBody, reads, settings } = one;
  const path = `/${caller}/${scenario}/${id}`;
  const isOpen = hasBody && scenario === 'early';
  const body = hasBody ? new GivenBody(['abc'], { staysOpen: isOpen }) : undefined;
  const answer = new Answer({ reads: reads === 'reads' });
  if (reads === 'cancels') {
    answer.onResponded = (response) => response.body.cancel();
  }
  const link = server.endpoint.link(SETTINGS[settings], `caller ${caller}`);
  const attempt = pool.request(link, requestOf({ path, body }), answer);
  if (one.aborts === 'at-once') {
    attempt.abort(ABORTED);
  }
  return { path, step: one, answer, attempt, body, link };
}

function checkEnd({ path, step: { aborts, reads, scenario }, answer }: Asked): void {
  assert.ok(answer.ends <= 1, `${path} heard ${answer.ends} ends`);
  const isWaiting = scenario === 'never' || scenario === 'early';
  if (aborts === 'never' && reads === 'reads' && !isWaiting) {
    assert.equal(answer.ends, 1, `${path} heard nothing: ${answer.summary}`);
  }
  if (aborts === 'at-once') {
    assert.equal(answer.summary, 'nothing');
  }
  if (answer.trailers !== undefined) {
    assert.equal(answer.body, path, 'the answer to something else, or not all of it');
  }
}

async function converse(
  pool: TryPool & { readonly size: number },
  serve: (conn: ByteConn) => { readonly paths: readonly string[] },
  steps: readonly Step[],
): Promise<void> {
  const server = new ScriptedServer({ records: false });
  const served: { readonly paths: readonly string[] }[] = [];
  const accept = (): void => {
    for (const conn of server.conns.slice(served.length)) {
      served.push(serve(conn));
    }
  };
  const asked: Asked[] = [];
  for (const [id, one] of steps.entries()) {
    asked.push(ask(pool, server, one, id));
    for (let turn = 0; turn < one.turns; turn += 1) {
      await settle(1);
      accept();
    }
    if (one.aborts === 'soon') {
      asked.at(-1)?.attempt.abort(ABORTED);
    }
  }
  for (let round = 0; round < 8; round += 1) {
    await settle(2);
    accept();
    for (const {
      answer,
      step: { reads },
    } of round === 2 ? asked : []) {
      if (reads === 'later' && answer.response !== undefined) {
        answer.response.body.start(answer);
      }
    }
    // Who asks for ever would keep the others from their turn.
    for (const {
      attempt,
      step: { scenario, reads },
    } of round >= 3 ? asked : []) {
      if (scenario === 'never' || scenario === 'early' || reads === 'later') {
        attempt.abort(ABORTED);
      }
    }
  }
  asked.forEach(checkEnd);
  for (const { paths } of served) {
    assert.ok(new Set(paths.map((path) => path.split('/')[1])).size <= 1, 'callers shared it');
  }
  pool.destroy();
  await settle(4);
  assert.equal(pool.size, 0);
  for (const { link, path, body } of asked) {
    const { breaker } = link.cluster;
    assert.deepEqual([breaker.held('connections'), breaker.held('pending')], [0, 0]);
    assert.ok(
      body === undefined || body.isOver,
      `the body of ${path} is neither sent nor cancelled`,
    );
  }
}

describe('conversations', () => {
  const steps = fc.array(step, { minLength: 1, maxLength: 12 });
  const numRuns = Math.ceil(60 * Number(process.env['AMBIT_FUZZ_FACTOR'] ?? 1));

  it('over HTTP/1', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const pool = new Http1Pool({ clock: new FakeClock(), idleMax: 2 });
        await converse(pool, (conn) => new Http1Server(conn), all);
      }),
      { numRuns },
    );
  });

  it('over HTTP/2', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const pool = new Http2Pool({ clock: new FakeClock(), sessionsMax: 4 });
        await converse(pool, serveHttp2, all);
      }),
      { numRuns },
    );
  });
});
