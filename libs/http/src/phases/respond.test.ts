/** An upstream's answer on its way to a client that does not always take it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { HttpError } from '../errors.ts';
import { TestSource } from '../fixtures/bodies.ts';
import { CALLER } from '../fixtures/harness.ts';
import { HeaderList } from '../headers.ts';
import { HTTP_LIMITS } from '../limits.ts';
import type { Exchange } from '../message.ts';
import type { MeshPlane } from '../plane.ts';
import { type EngineContext, Transaction } from '../transaction.ts';
import { ResponseRelay } from './respond.ts';

function rig(options: { readonly isEmpty?: boolean; readonly type?: string } = {}) {
  const calls: string[] = [];
  let takesMore = true;
  const say = (text: string): void => void calls.push(text);
  const exchange = {
    head: {
      version: '1.1',
      method: 'GET',
      scheme: 'http',
      target: '/',
      authority: 'a',
      fields: options.type === undefined ? [] : ['content-type', options.type],
      contentLength: undefined,
      upgrade: undefined,
      neverIndexed: undefined,
    },
    body: undefined,
    respond: ({ status }) => say(`respond ${status}`),
    begin: ({ status }) => say(`begin ${status}`),
    write: (bytes) => {
      say(`write ${Buffer.from(bytes).toString()}`);
      return takesMore;
    },
    end: (trailers) => say(`end ${trailers.join()}`),
    reset: () => say('reset'),
  } as Partial<Exchange> as Exchange;
  const context = { clock: new FakeClock(), limits: HTTP_LIMITS } as Partial<EngineContext>;
  const tx = new Transaction(exchange, { caller: CALLER } as MeshPlane, context as EngineContext);
  const source = new TestSource();
  const done: (HttpError | undefined)[] = [];
  const relay = new ResponseRelay(tx, (failure) => done.push(failure));
  const response = {
    status: 200,
    headers: new HeaderList(),
    body: source,
    isEmpty: options.isEmpty ?? false,
    contentLength: undefined,
  };
  relay.start(response, context as EngineContext);
  return {
    calls,
    source,
    done,
    relay,
    tx,
    block: () => {
      takesMore = false;
    },
  };
}

describe('ResponseRelay', () => {
  it('holds the upstream back while the client takes nothing', () => {
    const { calls, source, done, relay, tx, block } = rig();
    source.push('a');
    assert.equal(source.isHeld, false);
    block();
    source.push('b');
    assert.equal(source.isHeld, true);
    relay.onDrain();
    assert.equal(source.isHeld, false);
    source.end(['x-sum', '1']);
    assert.deepEqual(calls, ['begin 200', 'write a', 'write b', 'end x-sum,1']);
    assert.deepEqual(done, [undefined]);
    assert.equal(tx.bytesSent, 2);
  });

  it('sends an answer without a body at once, and is over when its connection is free', () => {
    const { calls, source, done } = rig({ isEmpty: true });
    assert.deepEqual([calls, done.length], [['respond 200'], 0]);
    source.end();
    assert.deepEqual(done, [undefined]);
  });

  it('cuts an answer that breaks off', () => {
    const { calls, source, done } = rig();
    source.push('half');
    source.fail();
    assert.deepEqual(calls.slice(1), ['write half', 'reset']);
    assert.equal(done[0]?.code, 'HTTP_UPSTREAM_CLOSED');
  });

  for (const [trailers, status] of [
    [['grpc-status', '0'], 0],
    [['x', 'y', 'grpc-status', '14'], 14],
    [['grpc-status', '0x0'], undefined],
    [['grpc-status', ''], undefined],
    [['grpc-status', '00'], undefined],
    [['grpc-status', '14', 'grpc-status', '0'], undefined],
  ] as const) {
    it(`notes ${status ?? 'nothing'} of the trailers ${trailers.join(' ')}`, () => {
      const { source, tx } = rig({ type: 'application/grpc' });
      source.end([...trailers]);
      assert.equal(tx.grpcStatus, status);
    });
  }

  it('tells the upstream when nobody wants the rest', () => {
    const { source, done, relay } = rig();
    relay.stop();
    assert.equal(source.calls.at(-1), 'cancel');
    assert.equal(done.length, 0);
  });
});
