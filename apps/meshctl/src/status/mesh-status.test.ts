import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeController, meshOfAllTests, runMeshctl } from '../testing.ts';
import { FINE_MESH, manyBroken, TROUBLED_MESH } from '../testing-meshes.ts';

/** Against a mesh that is as it should be. */
const { run } = meshOfAllTests(FINE_MESH);

describe('meshctl status', { concurrency: 3 }, () => {
  it('answers 0 when everything is in force', async () => {
    const { code, stdout, stderr } = await run('status');
    assert.equal(stderr, '');
    assert.equal(stdout, STATUS_FINE);
    assert.equal(code, 0);
  });

  it('answers 1 and lists what is wrong', async () => {
    await using troubled = await FakeController.start(TROUBLED_MESH);
    const { code, stdout } = await runMeshctl(['status'], { controller: troubled.socket });
    assert.equal(stdout, STATUS_TROUBLED);
    assert.equal(code, 1);
  });

  it('names the pods that are left out, and why, and takes them for no problem', async () => {
    const yaml = (FINE_MESH.yaml ?? '').replace(
      'labels: {app: client}',
      'labels: {app: client, istio.io/dataplane-mode: none}',
    );
    await using fake = await FakeController.start({ ...FINE_MESH, yaml });
    const { code, stdout } = await runMeshctl(['status'], { controller: fake.socket });
    assert.match(
      stdout,
      /\n\nLEFT OUT\nshop: client-1: its label istio\.io\/dataplane-mode is none\n\n/,
    );
    assert.equal(code, 0);
  });

  it('counts what is too much to name, and says how much of it JSON has', async () => {
    await using fake = await FakeController.start({ ...FINE_MESH, statuses: manyBroken(250) });
    const { stdout } = await runMeshctl(['status'], { controller: fake.socket });
    assert.match(stdout, /\nand 230 more \(-o json has 200\)\n$/);
  });

  it('has everything in JSON', async () => {
    const { stdout } = await run('status', '-o', 'json');
    const status = JSON.parse(stdout) as { certificates: { count: number }; problems: string[] };
    assert.equal(status.certificates.count, 1);
    assert.deepEqual(status.problems, []);
  });
});

const STATUS_FINE = `controller    0.1.0, up 10m, trust domain cluster.local
configuration 6 objects, changed 30s ago
certificates  1, next expiry in 23h; root valid for 3650d

PROXY  KIND        STATE      FOR  BEHIND  PODS  CONFIG
n1     node-agent  connected  5m   -       2     1s

NAMESPACE  MODE     PODS  CAPTURED
shop       ambient  2     2

everything is in force
`;

const STATUS_TROUBLED = `controller    0.1.0, up 10m, trust domain cluster.local
configuration 6 objects, 1 refused, changed 30s ago
certificates  1, 1 expired; root valid for 3650d

PROXY          KIND        STATE        FOR  BEHIND                       PODS  CONFIG
n1             node-agent  connected    5m   Address 60s, Object refused  2     -
shop/waypoint  waypoint    unreachable  -    -                            -     -

NAMESPACE  MODE     PODS  CAPTURED
shop       ambient  2     2

PROBLEMS
node-agent n1 has not acknowledged Address for 60s
node-agent n1 refuses Object: kind "Foo" is not known
waypoint shop/waypoint is not connected
certificate of spiffe://cluster.local/ns/shop/sa/client at n1 has expired
VirtualService/shop/broken is not accepted: Invalid: spec.hosts is required
`;
