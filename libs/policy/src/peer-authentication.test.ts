import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MtlsMode, PeerAuthentication } from '@ambit/api';
import { evaluate } from './evaluate.ts';
import { connection, meta, OPTIONS, peerAuthentication, plaintext } from './fixtures/objects.ts';
import { compilePeerAuthentication } from './peer-authentication.ts';

const ROOT = 'istio-system';
const TARGET = { namespace: 'shop', labels: { app: 'reviews' } };
const selector = { matchLabels: { app: 'reviews' } };

const mesh = (mode: MtlsMode): PeerAuthentication =>
  peerAuthentication({ mtls: { mode } }, meta('default', ROOT));
const namespace = (mode: MtlsMode, age = 0, name = 'default'): PeerAuthentication =>
  peerAuthentication({ mtls: { mode } }, meta(name, 'shop', age));
const workload = (
  mode: MtlsMode,
  portLevelMtls: PeerAuthentication['spec']['portLevelMtls'] = {},
): PeerAuthentication =>
  peerAuthentication({ selector, mtls: { mode }, portLevelMtls }, meta('reviews'));

/** [claim, objects, mode of 8080, mode of 9090, names of the policies] */
const TABLE: readonly (readonly [
  string,
  readonly PeerAuthentication[],
  string,
  string,
  readonly string[],
])[] = [
  ['nothing: permissive', [], 'P', 'P', []],
  ['mesh', [mesh('STRICT')], 'S', 'S', ['istio_converted_static_strict']],
  ['namespace over mesh', [mesh('STRICT'), namespace('PERMISSIVE')], 'P', 'P', []],
  [
    'unset namespace inherits',
    [mesh('STRICT'), namespace('UNSET')],
    'S',
    'S',
    ['istio_converted_static_strict'],
  ],
  ['disable is permissive', [mesh('STRICT'), namespace('DISABLE')], 'P', 'P', []],
  ['workload over namespace', [namespace('STRICT'), workload('PERMISSIVE')], 'P', 'P', []],
  [
    'unset workload inherits',
    [namespace('STRICT'), workload('UNSET')],
    'S',
    'S',
    ['istio_converted_static_strict'],
  ],
  [
    'oldest of a level wins',
    [namespace('STRICT', 2, 'a'), namespace('PERMISSIVE', 1, 'b')],
    'P',
    'P',
    [],
  ],
  [
    'a tie goes by name',
    [namespace('STRICT', 1, 'b'), namespace('PERMISSIVE', 1, 'a')],
    'P',
    'P',
    [],
  ],
  [
    'strict with an exception',
    [workload('STRICT', { 9090: { mode: 'PERMISSIVE' } })],
    'S',
    'P',
    ['converted_peer_authentication_reviews'],
  ],
  [
    'an inherited strict with an exception',
    [mesh('STRICT'), workload('UNSET', { 9090: { mode: 'DISABLE' }, 8080: { mode: 'UNSET' } })],
    'S',
    'P',
    ['converted_peer_authentication_reviews'],
  ],
  [
    'permissive with a strict port',
    [workload('PERMISSIVE', { 8080: { mode: 'STRICT' } })],
    'S',
    'P',
    ['converted_peer_authentication_reviews'],
  ],
  [
    'strict ports of a strict workload',
    [workload('STRICT', { 1: { mode: 'STRICT' } })],
    'S',
    'S',
    ['istio_converted_static_strict'],
  ],
  [
    'a selector in the root namespace is ignored',
    [peerAuthentication({ selector, mtls: { mode: 'STRICT' } }, meta('x', ROOT))],
    'P',
    'P',
    [],
  ],
  [
    'another namespace does not matter',
    [peerAuthentication({ mtls: { mode: 'STRICT' } }, meta('x', 'other'))],
    'P',
    'P',
    [],
  ],
  [
    'a selector that does not select',
    [
      peerAuthentication(
        { selector: { matchLabels: { app: 'x' } }, mtls: { mode: 'STRICT' } },
        meta('x'),
      ),
    ],
    'P',
    'P',
    [],
  ],
];

describe('compilePeerAuthentication', () => {
  for (const [claim, objects, at8080, at9090, names] of TABLE) {
    it(claim, () => {
      const effective = compilePeerAuthentication(objects, TARGET, OPTIONS);
      assert.deepEqual(
        effective.authorizations.map((policy) => policy.name),
        names,
      );
      for (const [destinationPort, wanted] of [
        [8080, at8080],
        [9090, at9090],
      ] as const) {
        const mode = effective.ports[destinationPort] ?? effective.mode;
        assert.equal(mode.charAt(0), wanted, `mode of ${destinationPort}`);
        const refused = !evaluate(effective.authorizations, {
          connection: { ...plaintext(), destinationPort },
        }).allowed;
        assert.equal(refused, wanted === 'S', `plaintext to ${destinationPort}`);
        const mtls = { connection: connection({ destinationPort }) };
        assert.equal(
          evaluate(effective.authorizations, mtls).allowed,
          true,
          `mTLS to ${destinationPort}`,
        );
      }
    });
  }

  it('takes the mode of the mesh from the root namespace, whatever it is called', () => {
    const objects = [
      peerAuthentication({ mtls: { mode: 'STRICT' } }, meta('default', 'mesh-config')),
      peerAuthentication({ selector, mtls: { mode: 'STRICT' } }, meta('x', 'mesh-config')),
    ];
    const modeIn = (rootNamespace: string, namespaceName: string): string =>
      compilePeerAuthentication(
        objects,
        { namespace: namespaceName, labels: TARGET.labels },
        { ...OPTIONS, rootNamespace },
      ).mode;
    assert.equal(modeIn('mesh-config', 'shop'), 'STRICT');
    assert.equal(modeIn(ROOT, 'shop'), 'PERMISSIVE');
    const [, selecting] = objects;
    const own = compilePeerAuthentication(
      selecting === undefined ? [] : [selecting],
      { namespace: 'mesh-config', labels: TARGET.labels },
      { ...OPTIONS, rootNamespace: 'mesh-config' },
    );
    assert.equal(own.mode, 'PERMISSIVE', 'a selector there has no effect');
  });
});
