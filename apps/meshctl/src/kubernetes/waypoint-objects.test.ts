import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runMeshctl } from '../testing.ts';
import { isWaypoint, waypointFacts } from './waypoint-objects.ts';

describe('waypointFacts', () => {
  const gateway = (conditions: readonly object[], labels: object = {}) => ({
    metadata: { namespace: 'shop', name: 'waypoint', generation: 2, labels },
    status: { conditions },
  });
  const programmed = { type: 'Programmed', status: 'True', reason: 'Programmed', message: 'runs' };
  for (const [title, given, isProgrammed, reason, message] of [
    [
      'one that runs',
      gateway([{ ...programmed, observedGeneration: 2 }]),
      true,
      'Programmed',
      'runs',
    ],
    [
      'one that ran as it was before',
      gateway([{ ...programmed, observedGeneration: 1 }]),
      false,
      'Programmed',
      'no controller has looked at it yet',
    ],
    ['one that nobody saw', gateway([]), false, 'Pending', 'no controller has looked at it yet'],
    [
      'one that is refused',
      gateway([
        { ...programmed, observedGeneration: 2, status: 'False' },
        { type: 'Accepted', status: 'False', reason: 'Invalid', message: 'bad port' },
      ]),
      false,
      'Invalid',
      'bad port',
    ],
    ['nothing', undefined, true, 'Pending', 'no controller has looked at it yet'],
  ] as const) {
    it(`tells of ${title}`, () => {
      const facts = waypointFacts(given);
      assert.equal(facts.reason, reason);
      assert.equal(facts.message, message);
      if (given !== undefined) assert.equal(facts.isProgrammed, isProgrammed);
      else assert.equal(facts.isProgrammed, false);
    });
  }

  it('knows the classes of waypoints', () => {
    const of = (gatewayClassName: string) => ({ spec: { gatewayClassName } });
    assert.deepEqual(
      ['istio-waypoint', 'ambit-waypoint', 'istio'].map((name) => isWaypoint(of(name))),
      [true, true, false],
    );
  });
});

it('meshctl waypoint generate asks nobody', async () => {
  const { stdout, code } = await runMeshctl([
    'waypoint',
    'generate',
    '--for',
    'workload',
    '-n',
    'shop',
    '-r',
    'blue',
  ]);
  assert.equal(code, 0);
  assert.equal(
    stdout,
    `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  labels:
    istio.io/rev: blue
    istio.io/waypoint-for: workload
  name: waypoint
  namespace: shop
spec:
  gatewayClassName: istio-waypoint
  listeners:
    - name: mesh
      port: 15008
      protocol: HBONE
`,
  );
});

describe('meshctl kube-inject', () => {
  it('passes every byte through and says why', async () => {
    const stdin = '# kept\nkind: Deployment\n---\nnot: [yaml';
    const { stdout, stderr, code } = await runMeshctl(['kube-inject', '-f', '-'], { stdin });
    assert.equal(stdout, stdin);
    assert.match(stderr, /no sidecars/);
    assert.equal(code, 0);
  });

  it('answers 2 without a file, 1 for one that is not there', async () => {
    assert.equal((await runMeshctl(['kube-inject'])).code, 2);
    assert.equal((await runMeshctl(['kube-inject', '-f', '/no/such.yaml'])).code, 1);
  });
});
