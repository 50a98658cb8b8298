/** Bad input: every invalid object is refused alone, with path and fix, and everything else stays in force. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  clientYaml,
  conditionsOf,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';
import type { Caller } from './caller.ts';

const object = (kind: string, group: string, name: string, spec: object): string =>
  yaml({ apiVersion: `${group}/v1`, kind, metadata: { name, namespace: 'shop' }, spec });
const networking = 'networking.istio.io';
const security = 'security.istio.io';

/** What is refused of a policy closes its scope: here nobody is in it. */
const ELSEWHERE = { selector: { matchLabels: { app: 'elsewhere' } } };

/** Each is wrong at one place; the message must name it. */
const WRONG: readonly (readonly [string, string, RegExp])[] = [
  [
    'VirtualService/shop/weights',
    object('VirtualService', networking, 'weights', {
      hosts: ['web'],
      http: [{ route: [{ destination: { host: 'web' }, weight: -5 }] }],
    }),
    /spec\.http\[0\]\.route\[0\]\.weight/,
  ],
  [
    'VirtualService/shop/unknown-field',
    object('VirtualService', networking, 'unknown-field', {
      hosts: ['web'],
      http: [{ rout: [{ destination: { host: 'web' } }] }],
    }),
    /spec\.http\[0\]\.rout/,
  ],
  [
    'DestinationRule/shop/balancer',
    object('DestinationRule', networking, 'balancer', {
      host: 'web',
      trafficPolicy: { loadBalancer: { simple: 'FASTEST' } },
    }),
    /spec\.trafficPolicy\.loadBalancer\.simple/,
  ],
  [
    'AuthorizationPolicy/shop/action',
    object('AuthorizationPolicy', security, 'action', {
      ...ELSEWHERE,
      action: 'PERHAPS',
      rules: [{}],
    }),
    /spec\.action/,
  ],
  [
    'AuthorizationPolicy/shop/deny-without-rules',
    object('AuthorizationPolicy', security, 'deny-without-rules', { ...ELSEWHERE, action: 'DENY' }),
    /rules/,
  ],
  [
    'PeerAuthentication/shop/mode',
    object('PeerAuthentication', security, 'mode', { mtls: { mode: 'SOMETIMES' } }),
    /spec\.mtls\.mode/,
  ],
];

describe('bad input', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
        object('AuthorizationPolicy', security, 'good', {
          selector: { matchLabels: { app: 'web' } },
          action: 'DENY',
          rules: [{ to: [{ operation: { ports: ['9000'] } }] }],
        }),
      ].join(''),
    );
    client = bed.caller('shop/client');
    await inForce(bed.lab, 'AuthorizationPolicy/shop/good');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  for (const [key, text, message] of WRONG) {
    it(`${key} is refused, with its path`, async () => {
      bed.lab.apply(text);
      await bed.lab.waitFor(
        () => conditionsOf(bed.lab, key).some(({ type }) => type === 'Accepted'),
        {
          what: 'a condition',
          timeoutMs: 10_000,
        },
      );
      const accepted = conditionsOf(bed.lab, key).find(({ type }) => type === 'Accepted');
      assert.equal(accepted?.status, 'False');
      assert.match(accepted.message, message);
      assert.equal((await client.http({ url: 'http://web/' })).status, 200, 'the rest goes on');
      assert.notEqual(
        (await client.tcp({ host: 'web', port: 9000, send: 'x' })).received.slice(0, 1),
        'x',
        'the good policy stays',
      );
      bed.lab.delete(key);
    });
  }

  it('a policy that was never right closes its scope until it goes', async () => {
    const key = 'AuthorizationPolicy/shop/never-right';
    const isOpen = async (): Promise<boolean> =>
      (await client.http({ url: 'http://web/' })).status === 200;
    assert.ok(await isOpen());
    bed.lab.apply(object('AuthorizationPolicy', security, 'never-right', { action: 'DENNY' }));
    await bed.lab.waitFor(async () => !(await isOpen()), { what: 'closed', timeoutMs: 10_000 });
    bed.lab.delete(key);
    await bed.lab.waitFor(isOpen, { what: 'open again', timeoutMs: 10_000 });
  });

  it('a document that is no YAML at all harms only its file', async () => {
    const file = `${bed.lab.paths.applied}/broken.yaml`;
    writeFileSync(file, 'kind: [unclosed\n');
    bed.lab.cluster.filesChanged();
    await bed.lab.clock.sleep(500);
    assert.equal((await client.http({ url: 'http://web/' })).status, 200);
    rmSync(file);
  });

  it('what is valid but not served yet says so, and fails closed', async () => {
    const key = 'RequestAuthentication/shop/tokens';
    bed.lab.apply(
      object('RequestAuthentication', security, 'tokens', {
        selector: { matchLabels: { app: 'web' } },
        jwtRules: [{ issuer: 'someone', jwksUri: 'https://example.com/keys' }],
      }),
    );
    bed.lab.apply(
      object('AuthorizationPolicy', security, 'with-token', {
        selector: { matchLabels: { app: 'web' } },
        action: 'ALLOW',
        rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }],
      }),
    );
    await bed.lab.waitFor(
      () =>
        conditionsOf(bed.lab, key).some(
          ({ reason, message }) => reason.startsWith('Unsupported') && message !== '',
        ),
      { what: 'a condition that says so' },
    );
    // Refusals while the waypoint is being made are not meant: it decides, and admits nobody.
    await bed.lab.waitFor(async () => (await client.http({ url: 'http://web/' })).status === 403, {
      what: 'a rule on tokens to admit nobody',
    });
    await inForce(bed.lab, 'AuthorizationPolicy/shop/with-token');
    assert.equal((await client.http({ url: 'http://web/' })).status, 403);
    bed.lab.delete('AuthorizationPolicy/shop/with-token');
    bed.lab.delete(key);
    await bed.lab.waitFor(async () => (await client.http({ url: 'http://web/' })).status === 200, {
      what: 'the service to be open again',
    });
  });

  it('old spellings work as they were meant, with a finding', async () => {
    bed.lab.apply(
      object('DestinationRule', networking, 'old', {
        host: 'web',
        trafficPolicy: { loadBalancer: { simple: 'LEAST_CONN' } },
      }),
    );
    await inForce(bed.lab, 'DestinationRule/shop/old');
    assert.equal((await client.http({ url: 'http://web/' })).status, 200);
  });
});
