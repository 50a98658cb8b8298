import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';

import { Handshakes } from './handshakes.ts';

function socketFrom(remoteAddress: string): Socket {
  return Object.defineProperty(new Socket(), 'remoteAddress', { value: remoteAddress });
}

describe('the handshake that gives way', () => {
  /** `10.0.0.1+500`: begins 500 ms before the next. */
  const cases: readonly (readonly [
    name: string,
    newcomer: string,
    pending: readonly string[],
    displaced: number | undefined,
  ])[] = [
    ['is the oldest of the address with most', '10.0.0.9', ['10.0.0.1', '10.0.0.2', '10.0.0.2'], 1],
    [
      'is one of an IPv6 network of 64 bits with many addresses',
      '10.0.0.9',
      ['10.0.0.1', 'fd00:0:0:1::1', 'fd00::1:8:0:0:2', 'fd00:0:0:1:a:b:c:d'],
      1,
    ],
    [
      'is not one of several such networks',
      '10.0.0.9',
      ['fd00::1', 'fd00:0:0:1::1', 'fd00:0:1::1', 'fd01::1'],
      undefined,
    ],
    ['is that of an IPv4 address as IPv6', '10.0.0.9', ['::ffff:10.0.0.1', '10.0.0.1'], 0],
    [
      'is the oldest one after a while, where all have one',
      '10.0.0.9',
      ['::1+999', '::2:0:0:0:1+1'],
      0,
    ],
    ['is not one that is younger', '10.0.0.9', ['10.0.0.1+998', '10.0.0.2+1'], undefined],
    [
      'is of the network with most even if another is older',
      '10.0.0.9',
      ['10.0.0.1+5000', '10.0.0.2', '10.0.0.2'],
      1,
    ],
    [
      'is one of who comes, where nobody has as many',
      '10.0.0.2',
      ['10.0.0.1+2000', '10.0.0.2+1000', '10.0.0.2'],
      1,
    ],
    [
      'is none of others for who has most, and whose own are young',
      '10.0.0.2',
      ['10.0.0.1+2000', '10.0.0.2', '10.0.0.2'],
      undefined,
    ],
    ['is none where there is none', '10.0.0.9', [], undefined],
  ];
  for (const [name, newcomer, pending, displaced] of cases) {
    it(name, () => {
      const clock = new FakeClock();
      const handshakes = new Handshakes(clock);
      const sockets = pending.map((text) => {
        const [address = '', waitMs = '0'] = text.split('+');
        const socket = socketFrom(address);
        handshakes.begin(socket);
        clock.advance(Number(waitMs));
        return socket;
      });
      const found = handshakes.displaceFor(socketFrom(newcomer));
      assert.equal(found, displaced === undefined ? undefined : sockets[displaced]);
      assert.equal(handshakes.size, pending.length - (displaced === undefined ? 0 : 1));
    });
  }

  it('leaves a place to a newcomer, whoever holds the others for as long as they like', () => {
    const clock = new FakeClock();
    const handshakes = new Handshakes(clock);
    const sockets = Array.from({ length: 64 }, (_, at) => socketFrom(`10.0.1.${at}`));
    for (const socket of sockets) handshakes.begin(socket);
    clock.advance(1_000);
    const displaced = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((address) => {
      const newcomer = socketFrom(address);
      const found = handshakes.displaceFor(newcomer);
      handshakes.begin(newcomer);
      return found;
    });
    assert.deepEqual(displaced, sockets.slice(0, 3));
    assert.equal(handshakes.size, sockets.length);
  });
});
