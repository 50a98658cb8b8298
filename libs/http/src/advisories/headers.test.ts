/** Advisories about callers and header fields: repeated, forged, in any bytes, and what takes a caller's word. */
import assert from 'node:assert/strict';
import { connPair } from '@ambit/proxy/testing';
import { HttpError } from '../errors.ts';
import {
  assertDenied,
  assertPassed,
  assertRefused,
  type Bed,
  denyTo,
  row,
  valuesOf,
  when,
} from '../fixtures/advisory-bed.ts';
import { CALLER } from '../fixtures/harness.ts';

const ROLE = 'request.headers[x-role]';

/** Whether a TCP connection of the caller is let through. */
async function isTcpAllowed({ harness }: Bed): Promise<boolean> {
  const { engine, plane } = harness;
  try {
    const serve = await engine.openTcp(plane, new AbortController().signal);
    const [near, far] = connPair();
    near.destroy();
    await serve(far);
    return true;
  } catch (error) {
    assert.ok(error instanceof HttpError && error.answer.status === 403, String(error));
    return false;
  }
}

row(3, 'CVE-2020-16844: every shape of a principal, for HTTP and TCP', async (bed) => {
  for (const [principal, isCaller] of [
    ['cluster.local/ns/shop/sa/client', true],
    ['cluster.local/ns/shop/sa/other', false],
    ['cluster.local/ns/shop/*', true],
    ['cluster.local/ns/other/*', false],
    ['*/sa/client', true],
    ['*/ns/shop/sa/client', true],
    ['*/sa/other', false],
    ['*', true],
  ] as const) {
    for (const [action, list] of [
      ['ALLOW', 'principals'],
      ['ALLOW', 'notPrincipals'],
      ['DENY', 'principals'],
      ['DENY', 'notPrincipals'],
    ] as const) {
      const what = `${action} ${list} ${principal}`;
      const isMet = isCaller === (list === 'principals');
      const isAllowed = isMet === (action === 'ALLOW');
      bed.decideBy({ action, rules: [{ from: [{ source: { [list]: [principal] } }] }] });
      assert.equal(await bed.ask({}), isAllowed ? 200 : 403, what);
      assert.equal(await isTcpAllowed(bed), isAllowed, `TCP: ${what}`);
      assert.equal(bed.seen().length, isAllowed ? 1 : 0, what);
    }
  }
});

row(8, 'CVE-2021-32777: a field that is sent twice', async (bed) => {
  const both = [
    ['admin', 'user'],
    ['user', 'admin'],
    ['admin', 'admin'],
    ['user', 'user', 'admin'],
    ['', 'admin'],
  ];
  bed.decideBy(when('DENY', ROLE, { values: ['admin'] }));
  for (const values of both) {
    const fields = values.flatMap((value) => ['x-role', value]);
    assertDenied(bed, await bed.ask({ fields }), values.join());
  }
  bed.decideBy();
  const fields = ['x-role', 'user', 'x-other', '1', 'x-role', 'admin'];
  const passed = assertPassed(bed, await bed.ask({ fields }), 'all of them');
  assert.deepEqual(valuesOf(passed, 'x-role'), ['user', 'admin'], 'in their order');
});

row(9, 'CVE-2026-26308: values joined before they are judged', async (bed) => {
  for (const [values, denied, allowed] of [
    [['admin', 'user'], true, false],
    [['user', 'admin'], true, false],
    [['user', 'user'], false, true],
    [['user,admin'], false, false],
  ] as const) {
    const fields = values.flatMap((value) => ['x-role', value]);
    bed.decideBy(when('DENY', ROLE, { values: ['admin'] }));
    const byDeny = await bed.ask({ fields });
    assert.equal(byDeny, denied ? 403 : 200, `DENY ${values.join(' ')}`);
    bed.decideBy(when('ALLOW', ROLE, { values: ['user'] }));
    const byAllow = await bed.ask({ fields });
    assert.equal(byAllow, allowed ? 200 : 403, `ALLOW ${values.join(' ')}`);
    bed.decideBy(when('ALLOW', ROLE, { notValues: ['admin'] }));
    assert.equal(await bed.ask({ fields }), denied ? 403 : 200, `ALLOW not ${values.join(' ')}`);
    bed.seen();
  }
});

row(11, 'CVE-2023-27487: fields that only the mesh writes', async (bed) => {
  const forged = [
    'x-envoy-original-path',
    'x-envoy-internal',
    'x-envoy-upstream-rq-timeout-ms',
    'x-envoy-attempt-count',
    'x-ambit-source',
    'x-forwarded-client-cert',
    'x_envoy_original_path',
    'x_ambit_source',
    'x-forwarded_client-cert',
  ];
  for (const name of forged) {
    const fields = [name, 'forged', name, 'forged'];
    const passed = assertPassed(bed, await bed.ask({ fields }), name);
    assert.ok(!passed.fields.includes('forged'), name);
    if (!name.includes('_')) {
      bed.decideBy(when('ALLOW', `request.headers[${name}]`, { values: ['*'] }));
      assertDenied(bed, await bed.ask({ fields }), name);
      bed.decideBy();
    }
  }
});

row(13, 'CVE-2024-45806: an address that counts as internal', async (bed) => {
  const fields = [
    ...['x-forwarded-for', '10.0.0.99', 'x-envoy-internal', 'true', 'forwarded', 'for=10.0.0.99'],
    ...[
      'x-real-ip',
      '10.0.0.99',
      'x-forwarded-client-cert',
      'URI=spiffe://cluster.local/ns/a/sa/b',
    ],
  ];
  const from = (action: string, source: object): object => ({
    action,
    rules: [{ from: [{ source }] }],
  });
  for (const source of [{ ipBlocks: ['10.0.0.99'] }, { principals: ['cluster.local/ns/a/sa/b'] }]) {
    bed.decideBy(from('ALLOW', source));
    assertDenied(bed, await bed.ask({ fields }), JSON.stringify(source));
  }
  bed.decideBy(from('DENY', { ipBlocks: [CALLER.ip] }));
  assertDenied(bed, await bed.ask({ fields }), 'the address of the tunnel counts');
  bed.decideBy();
  const passed = assertPassed(bed, await bed.ask({ fields }), 'nobody asks');
  assert.deepEqual(valuesOf(passed, 'x-forwarded-for'), [`10.0.0.99,${CALLER.ip}`]);
  assert.equal(valuesOf(passed, 'x-envoy-internal').length, 0);
  const [certificate = ''] = valuesOf(passed, 'x-forwarded-client-cert');
  assert.ok(certificate.endsWith(`;URI=${CALLER.identity}`), certificate);
});

row(16, 'CVE-2026-31837: tokens that nobody can check', async (bed) => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = part({ iss: 'https://issuer', sub: 'admin', exp: 4_102_444_800 });
  const tokens = [
    `${part({ alg: 'none' })}.${claims}.`,
    `${part({ alg: 'RS256', kid: 'default' })}.${claims}.AAAA`,
    `${part({ alg: 'HS256' })}.${claims}.${Buffer.alloc(32).toString('base64url')}`,
    '',
  ];
  const asked = { requestPrincipals: ['https://issuer/admin'] };
  const any = { requestPrincipals: ['*'] };
  for (const token of tokens) {
    const fields = ['authorization', `Bearer ${token}`.trim()];
    for (const source of [asked, any]) {
      bed.decideBy({ rules: [{ from: [{ source }] }] });
      assertDenied(bed, await bed.ask({ fields }), `ALLOW ${token}`);
      bed.decideBy({ action: 'DENY', rules: [{ from: [{ source }] }] });
      assertDenied(bed, await bed.ask({ fields }), `DENY ${token}`);
    }
    bed.decideBy(when('ALLOW', 'request.auth.claims[sub]', { values: ['admin'] }));
    assertDenied(bed, await bed.ask({ fields }), `claim ${token}`);
  }
});

row(17, 'CVE-2026-39350: characters that mean something to regular expressions', async (bed) => {
  const literal = async (spec: object, hit: boolean, sent: object): Promise<void> => {
    bed.decideBy(spec);
    const status = await bed.ask(sent);
    assert.equal(status, hit ? 200 : 403, JSON.stringify([spec, sent]));
    bed.seen();
  };
  const from = (source: object): object => ({ rules: [{ from: [{ source }] }] });
  await literal(from({ serviceAccounts: ['client'] }), true, {});
  for (const serviceAccount of ['clien.', 'cli[e]nt', 'clien', 'client|x', '(client)']) {
    await literal(from({ serviceAccounts: [serviceAccount] }), false, {});
  }
  for (const namespace of ['sho.', 'sh?p', '(shop)', '[s]hop', 'sho+p']) {
    await literal(from({ namespaces: [namespace] }), false, {});
  }
  for (const principal of ['cluster.local/ns/shop/sa/clien.', 'cluster-local/ns/shop/sa/client']) {
    await literal(from({ principals: [principal] }), false, {});
  }
  const to = (operation: object): object => ({ rules: [{ to: [{ operation }] }] });
  for (const [operation, sent, hit] of [
    [{ paths: ['/a.b'] }, { path: '/a.b' }, true],
    [{ paths: ['/a.b'] }, { path: '/axb' }, false],
    [{ paths: ['/a+'] }, { path: '/aa' }, false],
    [{ paths: ['/(a|b)'] }, { path: '/a' }, false],
    [{ paths: ['/(a|b)'] }, { path: '/(a|b)' }, true],
    [{ paths: ['/a.*'] }, { path: '/axx' }, false],
    [{ hosts: ['a.example'] }, { host: 'axexample' }, false],
    [{ methods: ['GE.'] }, {}, false],
  ] as const) {
    await literal(to(operation), hit, sent);
  }
  const role = ['x-role', 'admin'];
  await literal(when('ALLOW', ROLE, { values: ['adm.n'] }), false, { fields: role });
  await literal(when('ALLOW', ROLE, { values: ['[a-z]+'] }), false, { fields: role });
});

const utf8 = (text: string): string => Buffer.from(text).toString('latin1');

row(21, 'CVE-2026-73552: bytes that are no UTF-8', async (bed) => {
  bed.decideBy(when('DENY', ROLE, { values: ['é', 'admin*'] }));
  const denied = [utf8('é'), 'admin\xff', 'admin\xc3'];
  for (const value of denied) {
    assertDenied(bed, await bed.ask({ fields: ['x-role', value] }), JSON.stringify(value));
  }
  for (const value of ['\xe9', '\xff\xfe', 'a\x80', '\xc3']) {
    const passed = assertPassed(bed, await bed.ask({ fields: ['x-role', value] }), value);
    assert.deepEqual(valuesOf(passed, 'x-role'), [value], 'byte for byte');
  }
  bed.decideBy(when('ALLOW', ROLE, { values: ['é'] }));
  assertDenied(bed, await bed.ask({ fields: ['x-role', '\xe9'] }), 'another byte');
  assertPassed(bed, await bed.ask({ fields: ['x-role', utf8('é')] }), 'as it is sent');
});

async function refusesConnect(bed: Bed): Promise<void> {
  for (const path of ['/', '', 'reviews:80', '*']) {
    const sent = { method: 'CONNECT', host: 'reviews:80', path: path || '/' };
    assertRefused(bed, await bed.ask(sent), path);
  }
  assertPassed(bed, await bed.ask({ path: '/after' }), 'and the engine goes on');
}

row(
  22,
  'CVE-2026-73547: CONNECT, which has no path, through every phase',
  async (bed) => {
    await refusesConnect(bed);
    bed.decideBy(
      denyTo({ paths: ['/admin'], hosts: ['*'] }),
      when('DENY', ROLE, { values: ['x'] }),
    );
    await refusesConnect(bed);
    bed.decideBy(denyTo({ notPaths: ['/after'] }));
    await refusesConnect(bed);
  },
  {
    objects: [
      {
        kind: 'VirtualService',
        spec: {
          hosts: ['reviews'],
          http: [
            { match: [{ uri: { prefix: '/gone' } }], redirect: { uri: '/x' } },
            {
              match: [{ uri: { regex: '/.*' } }],
              headers: { request: { set: { 'x-path': '%REQ(:PATH)%' } } },
              rewrite: { uri: '/y' },
              retries: { attempts: 1 },
              route: [{ destination: { host: 'reviews' } }],
            },
          ],
        },
      },
    ],
  },
);
