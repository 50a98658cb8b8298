import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ConnectionRow, TrackedInbound, TrackedOutbound } from './pod-context.ts';
import { workload } from './testing/fixtures.ts';

const CLIENT = { address: '10.0.0.1', port: 40_000 };
const ORIGINAL = { address: '10.96.0.7', port: 80 };

function inbound(how: Partial<TrackedInbound['inbound']>): TrackedInbound {
  const pod = {
    uid: 'u',
    name: 'web',
    namespace: 'shop',
    serviceAccount: 'web',
    ips: ['10.0.0.2'],
    netnsPath: '',
    listeners: { outbound: 0, inbound: 0, hbone: 0 },
  };
  return new TrackedInbound({ pod, local: workload('web', {}), source: CLIENT, ...how });
}

function sent(host: string, isTunnel: boolean): TrackedOutbound {
  const tracked = new TrackedOutbound(CLIENT, ORIGINAL);
  tracked.sendTo({ host, port: 15_008 }, isTunnel);
  return tracked;
}

const ROWS: readonly (readonly [string, { readonly row: ConnectionRow }, ConnectionRow])[] = [
  [
    'plaintext in',
    inbound({ original: ORIGINAL }),
    {
      src: '10.0.0.1:40000',
      originalDst: '10.96.0.7:80',
      actualDst: '10.96.0.7:80',
      protocol: 'TCP',
    },
  ],
  [
    'a tunnel in',
    inbound({
      tunnel: {
        authority: '[fd00::2]:8080',
        localIp: 'fd00::2',
        peer: {
          uri: 'spiffe://cluster.local/ns/shop/sa/client',
          trustDomain: 'cluster.local',
          namespace: 'shop',
          serviceAccount: 'client',
        },
      },
    }),
    {
      src: '10.0.0.1:40000',
      originalDst: '[fd00::2]:8080',
      actualDst: '[fd00::2]:8080',
      protocol: 'HBONE',
    },
  ],
  [
    'out, not decided yet',
    new TrackedOutbound(CLIENT, ORIGINAL),
    { src: '10.0.0.1:40000', originalDst: '10.96.0.7:80', actualDst: '', protocol: 'TCP' },
  ],
  [
    'out in clear',
    sent('10.0.0.9', false),
    {
      src: '10.0.0.1:40000',
      originalDst: '10.96.0.7:80',
      actualDst: '10.0.0.9:15008',
      protocol: 'TCP',
    },
  ],
  [
    'out by a tunnel',
    sent('fd00::9', true),
    {
      src: '10.0.0.1:40000',
      originalDst: '10.96.0.7:80',
      actualDst: '[fd00::9]:15008',
      protocol: 'HBONE',
    },
  ],
];

describe('rows of the admin dump', () => {
  for (const [name, tracked, row] of ROWS) {
    it(`has ${name}`, () => assert.deepEqual(tracked.row, row));
  }
});
