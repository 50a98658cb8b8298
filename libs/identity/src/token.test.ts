import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

import { JwksTokenVerifier, PodTokenIssuer } from './token.ts';

const folder = await mkdtemp(join(tmpdir(), 'ambit-token-'));
after(() => rm(folder, { recursive: true }));

const POD = {
  namespace: 'istio-system',
  serviceAccount: 'ztunnel',
  pod: { name: 'ztunnel-abc', uid: 'u-1' },
  node: 'node1',
  ttlSeconds: 600,
};

describe('PodTokenIssuer', () => {
  it('mints what it verifies', async () => {
    const clock = new FakeClock();
    const issuer = await PodTokenIssuer.create({ clock });
    const { ttlSeconds, ...caller } = POD;
    assert.deepEqual(await issuer.verify(await issuer.mint(POD)), {
      ...caller,
      expiresAtMs: clock.wallNow() + ttlSeconds * 1000,
    });
  });

  it('continues with the key of an earlier run', async () => {
    const clock = new FakeClock();
    const first = await PodTokenIssuer.create({ clock });
    const second = await PodTokenIssuer.create({ clock, privateKeyPem: first.privateKeyPem });
    await second.verify(await first.mint(POD));
    assert.deepEqual(second.jwks(), first.jwks());
    assert.equal(JSON.stringify(first.jwks()).includes('"d"'), false, 'no private part');
  });
});

describe('JwksTokenVerifier', () => {
  const path = join(folder, 'jwks.json');
  const clock = new FakeClock();

  it('verifies ES256 and RS256, refuses all that is not quite right', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    const issuer = await PodTokenIssuer.create({ clock });
    const stranger = await PodTokenIssuer.create({ clock });
    await writeFile(
      path,
      JSON.stringify({
        keys: [...issuer.jwks().keys, { ...(await exportJWK(publicKey)), kid: 'rsa' }],
      }),
    );
    const verifier = new JwksTokenVerifier({ path, clock });
    const nowSeconds = Math.floor(clock.wallNow() / 1000);
    const claims = {
      sub: 'system:serviceaccount:istio-system:ztunnel',
      aud: ['istio-ca'],
      exp: nowSeconds + 60,
      'kubernetes.io': {
        namespace: 'istio-system',
        serviceaccount: { name: 'ztunnel' },
        pod: { name: 'p', uid: 'u' },
      },
    };
    const signed = async (payload: object, header: object = {}): Promise<string> =>
      await new SignJWT({ ...payload })
        .setProtectedHeader({ alg: 'RS256', kid: 'rsa', ...header })
        .sign(privateKey);
    assert.deepEqual(
      (await verifier.verify(await signed(claims))).node,
      '',
      'a token without a node',
    );
    await verifier.verify(await issuer.mint(POD));

    const { exp: _exp, ...noExpiry } = claims;
    const kube = claims['kubernetes.io'];
    const [head = '', body = ''] = (await signed(claims)).split('.');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`;
    const refused: Record<string, string> = {
      empty: '',
      garbage: 'garbage',
      'algorithm none': none,
      'cut signature': `${head}.${body}.`,
      'a stranger’s key with our key id': await stranger.mint(POD),
      'another audience': await issuer.mint({ ...POD, audience: 'kubernetes' }),
      'expired long ago': await signed({ ...claims, exp: nowSeconds - 120 }),
      'without expiry': await signed(noExpiry),
      'without claims': await signed({ ...claims, 'kubernetes.io': undefined }),
      'without a pod': await signed({ ...claims, 'kubernetes.io': { ...kube, pod: undefined } }),
      'without a pod uid': await signed({
        ...claims,
        'kubernetes.io': { ...kube, pod: { name: 'p' } },
      }),
      'of another subject': await signed({
        ...claims,
        sub: 'system:serviceaccount:istio-system:other',
      }),
      'with a name that is no name': await signed({
        ...claims,
        sub: 'system:serviceaccount:a/b:ztunnel',
        'kubernetes.io': { ...kube, namespace: 'a/b' },
      }),
      'not valid yet': await signed({ ...claims, nbf: nowSeconds + 120 }),
      'too long': `${await signed(claims)}${'A'.repeat(20_000)}`,
    };
    for (const [name, token] of Object.entries(refused)) {
      await assert.rejects(verifier.verify(token), { code: 'IDENTITY_TOKEN_INVALID' }, name);
    }
  });

  it('follows the file, keeps good keys when it breaks, and refuses while there is none', async () => {
    const other = join(folder, 'other.json');
    const verifier = new JwksTokenVerifier({ path: other, clock });
    const first = await PodTokenIssuer.create({ clock });
    const second = await PodTokenIssuer.create({ clock });
    await assert.rejects(verifier.verify(await first.mint(POD)), {
      code: 'IDENTITY_TOKEN_KEYS_UNAVAILABLE',
    });
    await writeFile(other, JSON.stringify(first.jwks()));
    await verifier.verify(await first.mint(POD));
    await writeFile(other, '{"keys": []}');
    await verifier.verify(await first.mint(POD));
    await rm(other);
    await verifier.verify(await first.mint(POD));
    await writeFile(other, JSON.stringify(second.jwks()));
    await verifier.verify(await second.mint(POD));
    await assert.rejects(verifier.verify(await first.mint(POD)), {
      code: 'IDENTITY_TOKEN_INVALID',
    });
  });
});
