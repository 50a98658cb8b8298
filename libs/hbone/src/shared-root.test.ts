/**
 * Two meshes with one root: each signs with an intermediate of its own (`cacerts`), and a proxy of one takes a proxy of the other
 * for whom its certificate names, in both directions. Keys of leaves are of the kinds that meshes use.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';

import { buildCa, buildLeaf, type Issuer } from '@ambit/identity';
import type { ByteConn } from '@ambit/proxy';
import type { TestIdentity } from '@ambit/testkit';

import type { ConnectAnswer } from './server-session.ts';
import { TunnelRig } from './testing/index.ts';

const HOUR_MS = 3_600_000;
const OURS = 'spiffe://cluster.local/ns/shop/sa/productpage';
const THEIRS = 'spiffe://cluster.local/ns/legacy/sa/reviews';

interface Authority extends Issuer {
  readonly pem: string;
}

const ecKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rsaKey = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

function validity() {
  const now = Date.now();
  return { notBeforeMs: now - HOUR_MS, notAfterMs: now + HOUR_MS };
}

function makeCa(
  commonName: string,
  { issuer, privateKey = ecKey() }: { issuer?: Issuer; privateKey?: KeyObject } = {},
): Authority {
  const { pem, certificate } = buildCa({
    privateKey,
    organization: 'shared',
    commonName,
    validity: validity(),
    ...(issuer === undefined ? {} : { issuer }),
  });
  return { pem, certificate, privateKey };
}

/** As a CA answers a request: the leaf, then what leads up to the root. */
function identityOf(
  identity: string,
  { issuer, root }: { readonly issuer: Authority; readonly root: Authority },
): TestIdentity {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = buildLeaf({
    issuer,
    publicKey: pair.publicKey,
    names: [{ kind: 'uri', value: identity }],
    validity: validity(),
  });
  return {
    identity,
    privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chainPem: leaf.pem + issuer.pem,
    rootsPem: root.pem,
    notAfterMs: Date.now() + HOUR_MS,
  };
}

function echo(conn: ByteConn): void {
  conn.start({
    onData: (chunk) => void conn.write(chunk),
    onEnd: () => conn.end(),
    onDrain: () => undefined,
    onClose: () => undefined,
  });
}

const accept = (): ConnectAnswer => ({ status: 200, serve: echo });
const TARGET = { authority: '10.0.0.7:80' };

const root = makeCa('root');
const ours = identityOf(OURS, { issuer: makeCa('ambit', { issuer: root }), root });
/** The other mesh's own CAs are of RSA by habit. */
const istiod = makeCa('istiod', { issuer: root, privateKey: rsaKey() });
const theirs = identityOf(THEIRS, { issuer: istiod, root });

describe('proxies of two meshes with one root', () => {
  for (const [title, server, client] of [
    ['takes a caller of the other mesh', ours, theirs],
    ['is taken by a server of the other mesh', theirs, ours],
  ] as const) {
    it(title, async () => {
      const callers: string[] = [];
      await using rig = await TunnelRig.start({
        server,
        client,
        onConnect: ({ peer }) => {
          callers.push(peer.uri);
          return accept();
        },
      });
      const { peer } = await rig.pool.connect(rig.key(), TARGET);
      assert.equal(peer.uri, server.identity);
      assert.deepEqual(callers, [client.identity]);
    });
  }

  it('is refused where the identity is not the one that is wanted', async () => {
    await using rig = await TunnelRig.start({ server: theirs, client: ours, onConnect: accept });
    await assert.rejects(rig.pool.connect(rig.key([OURS]), TARGET), {
      code: 'HBONE_PEER_IDENTITY',
    });
  });

  it('is refused without the intermediate of its mesh, and below another root', async () => {
    const other = makeCa('other root');
    const stranger = identityOf(THEIRS, { issuer: makeCa('i', { issuer: other }), root });
    const [leaf = ''] = theirs.chainPem.split(/(?<=-----END CERTIFICATE-----\n)/);
    for (const client of [stranger, { ...theirs, chainPem: leaf }]) {
      await using rig = await TunnelRig.start({ server: ours, client, onConnect: accept });
      await assert.rejects(rig.pool.connect(rig.key(), TARGET));
      assert.equal(rig.rejected.length, 1);
    }
  });
});
