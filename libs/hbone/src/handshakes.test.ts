import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import fc from 'fast-check';

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
    [
      'is the oldest of the address with most of the network of who comes',
      'fd00::9',
      ['fd00::1', 'fd00::2', 'fd00::bad', 'fd00::bad', 'fd00::bad', 'fd00::2'],
      2,
    ],
    [
      'is of another network with more first',
      'fd00::9',
      [
        'fd00::bad',
        'fd00::bad',
        'fd00::bad',
        'fd01::1',
        'fd01::2',
        'fd01::3',
        'fd01::4',
        'fd01::5',
      ],
      3,
    ],
    [
      'is none of an address with one more',
      'fd00::9',
      ['fd00::9', 'fd00::1', 'fd00::1'],
      undefined,
    ],
    [
      'is none of a network with many addresses that have one each, for one more of them',
      'fd00::9',
      ['fd00::1', 'fd00::2', 'fd00::3', 'fd00::4'],
      undefined,
    ],
    [
      'is of these the oldest after a while',
      'fd00::9',
      ['fd00::1+999', 'fd00::2+1', 'fd00::3', 'fd00::4'],
      0,
    ],
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

  /** The pods of a node commonly have one network of 64 bits. */
  function ofOneNode(addresses: number, each: number) {
    const clock = new FakeClock();
    const handshakes = new Handshakes(clock);
    for (let at = 0; at < addresses * each; at += 1) {
      handshakes.begin(socketFrom(`fd00:0:0:1::bad:${(at % addresses).toString(16)}`));
    }
    clock.advance(500);
    return handshakes;
  }

  it('is one of a pod that has all of them, for another pod of its node, and not the other way', () => {
    const handshakes = ofOneNode(1, 1_024);
    const neighbour = socketFrom('fd00:0:0:1::9');
    const found = handshakes.displaceFor(neighbour);
    assert.equal(found?.remoteAddress, 'fd00:0:0:1::bad:0');
    handshakes.begin(neighbour);
    assert.equal(handshakes.displaceFor(socketFrom('fd00:0:0:1::bad:0')), undefined);
  });

  it('is one of some addresses that have more than a 256th of all each', () => {
    const handshakes = ofOneNode(204, 5);
    assert.notEqual(handshakes.displaceFor(socketFrom('fd00:0:0:1::9')), undefined);
  });

  it('is none of a neighbour that has a 256th of all, for an address that nobody has used yet', () => {
    const handshakes = ofOneNode(1_020, 1);
    for (let at = 0; at < 4; at += 1) {
      handshakes.begin(socketFrom('fd00:0:0:1::9'));
    }
    assert.equal(handshakes.displaceFor(socketFrom('fd00:0:0:1::bad:ffff')), undefined);
    assert.equal(handshakes.size, 1_024);
  });
});

describe('handshakes, whoever begins and ends them', () => {
  const PLACES = 12;
  const networks: Readonly<Record<string, string>> = {
    '10.0.0.1': '10.0.0.1',
    '::ffff:10.0.0.1': '10.0.0.1',
    '10.0.0.2': '10.0.0.2',
    'fd00::1': 'fd00::',
    'fd00::2': 'fd00::',
    'fd00::3': 'fd00::',
    'fd00:0:0:1::1': 'fd00:0:0:1::',
  };
  const step = fc.record({
    address: fc.constantFrom(...Object.keys(networks)),
    waitMs: fc.constantFrom(0, 0, 0, 400),
    ends: fc.option(fc.nat(PLACES), { freq: 3 }),
  });

  interface Begun {
    readonly socket: Socket;
    readonly address: string;
    readonly network: string;
    readonly sinceMs: number;
  }

  function begun(address: string, sinceMs: number): Begun {
    const network = networks[address] ?? '';
    return {
      socket: socketFrom(address),
      address: address.replace('::ffff:', ''),
      network,
      sinceMs,
    };
  }

  it('take no place from who has less, and leave nothing that is counted', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 200, size: 'max' }), (steps) => {
        const clock = new FakeClock();
        const handshakes = new Handshakes(clock);
        let pending: Begun[] = [];
        const leave = (one: Begun | undefined): void => {
          pending = pending.filter((other) => other !== one);
        };
        const count = (key: 'address' | 'network', { [key]: value }: Begun): number =>
          pending.filter((other) => other[key] === value).length;
        const distinct = (key: 'address' | 'network'): number =>
          new Set(pending.map((one) => one[key])).size;
        for (const { address, waitMs, ends } of steps) {
          clock.advance(waitMs);
          const over = ends === null ? undefined : pending[ends];
          if (over !== undefined) {
            handshakes.over(over.socket);
            handshakes.over(over.socket);
            leave(over);
          }
          const newcomer = begun(address, clock.now());
          if (pending.length === PLACES) {
            const socket = handshakes.displaceFor(newcomer.socket);
            const mayLeave = (one: Begun): boolean => {
              const key = one.network === newcomer.network ? 'address' : 'network';
              const isOld = clock.now() - one.sinceMs >= 1_000;
              return (
                count(key, one) > count(key, newcomer) + 1 ||
                (isOld && count('network', one) >= count('network', newcomer))
              );
            };
            const found = pending.find((one) => one.socket === socket);
            assert.equal(socket === undefined, !pending.some(mayLeave), `for ${address}`);
            if (found === undefined) {
              continue;
            }
            assert.ok(mayLeave(found), `${found.address} for ${address}`);
            handshakes.over(found.socket);
            leave(found);
          }
          handshakes.begin(newcomer.socket);
          pending.push(newcomer);
          assert.equal(handshakes.counted, 2 * distinct('network') + distinct('address'));
        }
        for (const { socket } of pending) {
          handshakes.over(socket);
        }
        assert.deepEqual([handshakes.size, handshakes.counted], [0, 0]);
      }),
    );
  });
});
