/** What asks for anything but a tunnel at the port for tunnels is refused, and told why. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { block, frame, SETTINGS_ACK, settings, windowUpdate } from '@ambit/h2/testing';
import { TestCa } from '@ambit/testkit';

import {
  END_HEADERS,
  END_STREAM,
  eventually,
  FramePeer,
  PREFACE,
  settle,
  TunnelRig,
} from './testing/index.ts';

const CA = new TestCa();
const HEADERS = 1;
const DATA = 0;
const INITIAL_WINDOW = 4;
const TEXT = 'only CONNECT is served here: this is the port for tunnels of the mesh (HBONE)\n';
const HEAD = `HEADERS 1 :status=400 content-type=text/plain; charset=utf-8 content-length=${TEXT.length}`;

async function start() {
  const clock = new FakeClock();
  const rig = await TunnelRig.start({
    server: CA.workload('shop', 'server'),
    client: CA.workload('shop', 'client'),
    clock,
    onConnect: () => assert.fail('nobody is asked'),
  });
  const peer = await FramePeer.connect(rig.port, rig.clientIdentity);
  return { clock, rig, peer, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

function request(method: string, flags: number): Buffer {
  const fields = [':method', method, ':scheme', 'https', ':path', '/', ':authority', 'a'];
  return frame(HEADERS, 1, block(fields), END_HEADERS | flags);
}

describe('a request that is no CONNECT', () => {
  for (const method of ['GET', 'OPTIONS', 'connect', 'CONNECTED']) {
    it(`is refused with a text that says why: ${method}`, async () => {
      await using world = await start();
      const { peer, rig } = world;
      peer.send(PREFACE, settings(), SETTINGS_ACK, request(method, END_STREAM));
      await peer.heard(`DATA 1 ${TEXT.length} end`);
      assert.ok(peer.frames.includes(HEAD), peer.frames.join('; '));
      assert.equal(peer.textOf(1), TEXT);
      assert.equal(rig.server.counters.badRequests, 1);
      assert.equal(rig.server.live, 1, 'the session goes on');
    });
  }

  it('has no text in answer to HEAD', async () => {
    await using world = await start();
    const { peer } = world;
    peer.send(PREFACE, settings(), SETTINGS_ACK, request('HEAD', END_STREAM));
    await peer.heard(`${HEAD} end`);
    await settle();
    assert.equal(peer.textOf(1), '');
  });

  it('is not read to its end', async () => {
    await using world = await start();
    const { peer } = world;
    peer.send(PREFACE, settings(), SETTINGS_ACK, request('POST', 0), frame(DATA, 1, 'a body'));
    await peer.heard('RST_STREAM 1 NO_ERROR');
    assert.equal(peer.textOf(1), TEXT, 'and the text comes before');
  });

  it('has its text as the window opens', async () => {
    await using world = await start();
    const { peer } = world;
    peer.send(PREFACE, settings([INITIAL_WINDOW, 3]), SETTINGS_ACK, request('GET', END_STREAM));
    await peer.heard('DATA 1 3');
    assert.equal(peer.textOf(1), TEXT.slice(0, 3));
    peer.send(windowUpdate(1, TEXT.length));
    await peer.heard(`DATA 1 ${TEXT.length - 3} end`);
  });

  it('is not waited for by a text that it leaves no window for', async () => {
    await using world = await start();
    const { peer, clock, rig } = world;
    peer.send(PREFACE, settings([INITIAL_WINDOW, 0]), SETTINGS_ACK, request('GET', END_STREAM));
    await peer.heard(HEAD);
    const drained = rig.server.drain();
    clock.advance(4_999);
    await settle();
    assert.ok(!peer.frames.some((said) => said.startsWith('RST_STREAM')));
    clock.advance(1);
    await peer.heard('RST_STREAM 1 NO_ERROR');
    peer.end();
    await drained;
    await eventually(() => rig.server.live === 0);
  });
});
