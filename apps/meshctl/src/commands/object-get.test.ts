import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeController, meshOfAllTests, runMeshctl } from '../testing.ts';
import { FINE_MESH, TROUBLED_MESH } from '../testing-meshes.ts';

/** Against a mesh that is as it should be. */
const { run } = meshOfAllTests(FINE_MESH);

describe('meshctl get', { concurrency: 3 }, () => {
  for (const [what, golden] of [
    ['workloads', 'GET_WORKLOADS'],
    ['services', 'GET_SERVICES'],
    ['policies', 'GET_POLICIES'],
    ['routes', 'GET_ROUTES'],
    ['certificates', 'GET_CERTIFICATES'],
    ['proxies', 'GET_PROXIES'],
    ['destinationrules', 'GET_DESTINATION_RULES'],
    ['DR', 'GET_DESTINATION_RULES'],
    ['namespaces', 'GET_NAMESPACES'],
  ] as const) {
    it(`shows ${what}`, async () => {
      const { code, stdout, stderr } = await run('get', what);
      assert.equal(stderr, '');
      assert.equal(stdout, GOLDEN[golden]);
      assert.equal(code, 0);
    });
  }

  it('shows conditions and findings of one object', async () => {
    await using troubled = await FakeController.start(TROUBLED_MESH);
    const { stdout, code } = await runMeshctl(['get', 'vs', 'shop/broken'], {
      controller: troubled.socket,
    });
    assert.equal(stdout, GOLDEN.GET_BROKEN);
    assert.equal(code, 0);
  });

  // For a moment after an edit, Enforced was shown as it was of the generation before.
  it('shows no condition that was counted for another generation', async () => {
    const counted = { type: 'Enforced', status: 'True', reason: 'Enforced', message: '' } as const;
    const key = 'AuthorizationPolicy/shop/nobody-else';
    const conditions = [{ ...counted, observedGeneration: 7 }];
    const stale = { ...FINE_MESH, statuses: [{ key, conditions, findings: [] }] };
    await using controller = await FakeController.start(stale);
    const options = { controller: controller.socket };
    const one = await runMeshctl(['get', 'ap', 'shop/nobody-else'], options);
    assert.match(one.stdout, /Enforced +Unknown +Pending +7 +generation 0 is not counted yet/);
    const all = await runMeshctl(['status'], options);
    assert.match(all.stdout, /nobody-else is not enforced: Pending: generation 0/);
    assert.equal(all.code, 1);
  });

  it('finds one object without its namespace, and shows its official form', async () => {
    const { stdout, code } = await run('get', 'dr', 'reviews', '-o', 'yaml');
    assert.equal(code, 0);
    assert.match(stdout, /^apiVersion: networking\.istio\.io\/v1\nkind: DestinationRule\n/);
    assert.match(stdout, /simple: ROUND_ROBIN/);
    assert.match(stdout, /type: Enforced/);
  });

  it('filters by namespace, and says when nothing is left', async () => {
    const { stdout, stderr, code } = await run('get', 'workloads', '-n', 'other');
    assert.deepEqual([stdout, stderr, code], ['', 'no workloads in namespace "other"\n', 0]);
  });

  for (const [title, args, code, message] of [
    ['a name that is not there', ['workloads', 'nobody'], 1, /fix: there are: client-1, reviews-1/],
    [
      'a name of another namespace',
      ['workloads', 'client-1', '-n', 'x'],
      1,
      /there is one in namespace "shop": add -n shop/,
    ],
    ['an object that is not there', ['vs', 'reviews', '-n', 'shop'], 1, /no "reviews"/],
    ['a kind that nobody knows', ['flowers'], 2, /there is nothing called "flowers"/],
    [
      'a format that nobody knows',
      ['workloads', '-o', 'xml'],
      2,
      /Allowed choices are table, json, yaml/,
    ],
    ['nothing', [], 2, /missing required argument/],
  ] as const) {
    it(`answers ${code} to ${title}`, async () => {
      const { stderr, code: actual } = await run('get', ...args);
      assert.match(stderr, message);
      assert.equal(actual, code);
    });
  }
});

const GOLDEN = {
  GET_WORKLOADS: `NAMESPACE  NAME       ADDRESS   NODE  TUNNEL  ACCOUNT  WAYPOINT  GUARDED BY  STATE
shop       client-1   10.0.0.1  n1    HBONE   client   -         -           ready
shop       reviews-1  10.0.0.2  n2    HBONE   reviews  -         -           ready
`,
  GET_SERVICES: `NAMESPACE  NAME     HOSTNAME                        ADDRESSES  PORTS      ENDPOINTS  WAYPOINT
shop       reviews  reviews.shop.svc.cluster.local  10.96.0.1  80/HTTP11  1/1        -
`,
  GET_POLICIES: `NAMESPACE  NAME         KIND                 ACTION  APPLIES TO   ACCEPTED  ENFORCED  MESSAGE
shop       nobody-else  AuthorizationPolicy  ALLOW   app=reviews  True      True      -
`,
  GET_ROUTES: `NAMESPACE  NAME     KIND             FOR      ACCEPTED  ENFORCED  MESSAGE
shop       reviews  DestinationRule  reviews  True      True      -
`,
  GET_CERTIFICATES: `IDENTITY                                  PROXY  STATE  ISSUED   EXPIRES  SERIAL
spiffe://cluster.local/ns/shop/sa/client  n1     valid  60m ago  in 23h   01ab
`,
  GET_PROXIES: `PROXY  KIND        STATE      FOR  BEHIND  PODS  ADDRESS            RESOURCES
n1     node-agent  connected  5m   -       2     192.168.0.1:40000  Address 3, Authorization 1
`,
  GET_DESTINATION_RULES: `NAMESPACE  NAME     ACCEPTED  ENFORCED  MESSAGE
shop       reviews  True      True      -
`,
  GET_NAMESPACES: `NAME  ACCEPTED  ENFORCED  MESSAGE
shop  -         -         -
`,
  GET_BROKEN: `VirtualService/shop/broken (refused, no version of it is in force)

CONDITION  STATUS  REASON   GENERATION  MESSAGE
Accepted   False   Invalid  2           spec.hosts is required

FINDINGS
error: spec.hosts is required. Fix: name a host. [REQUIRED_FIELD]
`,
};
