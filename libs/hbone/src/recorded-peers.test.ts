/**
 * Replays hand-driven peers recorded against the reference's server; their bytes go to ours.
 *
 * Where ours answers otherwise, the difference is in `DIFFERS` with its reason.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { errorName } from '@ambit/h2';
import { TestCa } from '@ambit/testkit';
import recordings from './fixtures/recorded-peers.json' with { type: 'json' };
import type { ConnectAnswer, ConnectRequest } from './server-session.ts';
import { type RawFrame, RawPeer, TunnelRig } from './testing/index.ts';

const CA = new TestCa();

/** What the agent of the recordings decided, by authority. */
const REFUSALS: Readonly<Record<string, 400 | 401 | 503>> = {
  '10.91.0.99:8080': 400,
  '10.91.9.9:80': 400,
  'nobody.example:80': 503,
  'server.default.svc.cluster.local:81': 503,
  '10.91.0.2:15008': 503,
  '10.91.0.2:8081': 401,
  '10.91.0.2:8083': 503,
};

/** name → what we answer instead. */
const DIFFERS: Readonly<Record<string, readonly string[]>> = {
  // An answer says more than a reset: the client's log has the status and what it means.
  '23-authority-not-parsable': ['HEADERS 1 400 end', 'RST_STREAM 1 NO_ERROR'],
  // It is no peer of the mesh that asks so, and whoever it is, is told what the port is for.
  '24-method-get': [
    'HEADERS 1 400',
    'DATA 1 only CONNECT is served here: this is the port for tunnels of the mesh (HBONE)\n',
    'END 1',
    'RST_STREAM 1 NO_ERROR',
  ],
};

function onConnect(request: ConnectRequest): ConnectAnswer {
  const status = REFUSALS[request.authority];
  if (status !== undefined) {
    return { status, reason: 'recorded' };
  }
  const isCounter = request.target.port === 8050;
  let bytes = 0;
  return {
    status: 200,
    serve: (conn) =>
      conn.start({
        onData: (chunk) => {
          bytes += chunk.length;
          if (!isCounter) {
            conn.write(chunk);
          }
        },
        onEnd: () => {
          if (isCounter) {
            conn.write(Buffer.from(`${bytes} bytes\n`));
          }
          conn.end();
        },
        onDrain: () => undefined,
        onClose: () => undefined,
      }),
  };
}

/** Static table indices; the other statuses are literals, whose value is what the handler said. */
const STATUS_BY_INDEX: Readonly<Record<number, number>> = { 136: 200, 140: 400 };

function describeFrames(frames: readonly RawFrame[], statusOf: () => number): string[] {
  const events: string[] = [];
  for (const { type, flags, stream, payload } of frames) {
    if (type === 'HEADERS') {
      const status = STATUS_BY_INDEX[payload[0] ?? 0] ?? statusOf();
      events.push(`HEADERS ${stream} ${status}${(flags & 1) === 1 ? ' end' : ''}`);
    } else if (type === 'DATA') {
      if (payload.length > 0) {
        events.push(`DATA ${stream} ${payload.toString()}`);
      }
      if ((flags & 1) === 1) {
        events.push(`END ${stream}`);
      }
    } else if (type === 'RST_STREAM') {
      events.push(`RST_STREAM ${stream} ${errorName(payload.readUInt32BE(0))}`);
    } else if (type === 'PING' && (flags & 1) === 1) {
      events.push('PING ACK');
    } else if (type === 'GOAWAY') {
      events.push('GOAWAY');
    }
  }
  return events;
}

type Step = (typeof recordings)[number]['steps'][number];

function describeStep(step: Step): string[] {
  const { expect } = step as { expect?: Record<string, unknown> };
  if (expect === undefined) {
    return [];
  }
  const stream = Number(expect['stream']);
  switch (expect['type']) {
    case 'HEADERS':
      return [
        `HEADERS ${stream} ${String(expect['status'])}${expect['end'] === true ? ' end' : ''}`,
      ];
    case 'DATA': {
      const data = expect['text'] === '' ? [] : [`DATA ${stream} ${String(expect['text'])}`];
      return expect['end'] === true ? [...data, `END ${stream}`] : data;
    }
    case 'RST_STREAM':
      return [`RST_STREAM ${stream} ${String(expect['code'])}`];
    case 'PING':
      return ['PING ACK'];
    default:
      return ['GOAWAY'];
  }
}

describe('HboneServer, spoken to by recorded peers', () => {
  for (const { name, description, steps } of recordings) {
    it(`${name}: ${description}`, async () => {
      let lastStatus = 200;
      await using rig = await TunnelRig.start({
        server: CA.workload('default', 'server'),
        client: CA.workload('default', 'client'),
        onConnect: (request) => {
          const answer = onConnect(request);
          lastStatus = answer.status;
          return answer;
        },
      });
      const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
      const wanted: string[] = [];
      const seen = (): string[] => describeFrames(peer.frames, () => lastStatus);
      const override = DIFFERS[name];
      for (const step of steps) {
        const { send } = step as { send?: string };
        if (send !== undefined) {
          peer.send(Buffer.from(send, 'base64'));
          continue;
        }
        wanted.push(...describeStep(step));
        if (override === undefined) {
          await peer.next(() => seen().length >= wanted.length);
          assert.deepEqual(seen().slice(0, wanted.length), wanted);
        } else {
          await peer.next(() => seen().length >= Math.min(wanted.length, override.length));
        }
      }
      if (override === undefined) {
        assert.deepEqual(seen(), wanted);
      } else {
        await peer.next(() => seen().length >= override.length);
        assert.deepEqual([...seen()].sort(), [...override].sort());
      }
      peer.destroy();
    });
  }
});
