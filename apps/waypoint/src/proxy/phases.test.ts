/** In which phase a request ended is told under one name by log and metrics, and the name is the table's. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { PHASES, type PhaseName } from '@ambit/routing';
import { PORT, service, workload } from '../testing.ts';
import { ask, client, policy, type Rig, startRig } from './proxy-worker.testing.ts';

const RULES: MeshObject = (() => {
  const route = [{ destination: { host: 'reviews', port: { number: PORT } } }];
  const { object, findings } = parseObject({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: {
      hosts: ['reviews'],
      http: [
        { match: [{ uri: { prefix: '/fine' } }], route },
        {
          match: [{ uri: { prefix: '/cors' } }],
          corsPolicy: { allowOrigins: [{ exact: 'https://a.example' }] },
          route,
        },
        {
          match: [{ uri: { prefix: '/fault' } }],
          fault: { abort: { percentage: { value: 100 }, httpStatus: 418 } },
          route,
        },
        { match: [{ uri: { prefix: '/answer' } }], directResponse: { status: 299 } },
        {
          match: [{ uri: { prefix: '/forward' } }],
          route: [{ destination: { host: 'reviews', subset: 'none' } }],
        },
      ],
    },
  });
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
})();
const NO_ADMIN = policy('no-admin', {
  selector: { matchLabels: { app: 'reviews' } },
  action: 'DENY',
  rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }],
});

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  /** Undefined: an upstream answered. */
  readonly phase: PhaseName | undefined;
}

const ASKED: readonly Asked[] = [
  { path: '/fine', status: 200, phase: undefined },
  { path: '/%zz', status: 400, phase: 'normalise' },
  { path: '/admin', status: 403, phase: 'authorise' },
  { path: '/nowhere', status: 404, phase: 'route' },
  {
    path: '/cors',
    method: 'OPTIONS',
    headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' },
    status: 501,
    phase: 'cors',
  },
  { path: '/fault', status: 418, phase: 'fault' },
  { path: '/answer', status: 299, phase: 'answer' },
  { path: '/forward', status: 503, phase: 'forward' },
];

async function rigWithRules(): Promise<Rig> {
  const rig = await startRig();
  rig.tell(
    [
      { kind: 'service', service: service('HTTP11') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
    ],
    [RULES, NO_ADMIN],
  );
  return rig;
}

/** `phase` of metrics, each with its count. */
function answeredBy(rig: Rig): Readonly<Record<string, number>> {
  rig.worker.receive({ kind: 'report', id: 1, what: 'metrics' });
  const report = rig.said.findLast(({ kind }) => kind === 'report');
  assert.ok(report?.kind === 'report');
  const families = report.value as readonly {
    readonly name: string;
    readonly values: readonly { readonly labels: { phase: string }; readonly value: number }[];
  }[];
  const family = families.find(({ name }) => name === 'ambit_waypoint_requests_answered_total');
  assert.ok(family);
  return Object.fromEntries(family.values.map(({ labels, value }) => [labels.phase, value]));
}

describe('the phase in which a request ended', () => {
  for (const { path, status, phase, ...more } of ASKED) {
    it(`${path}: ${status}, ${phase ?? 'none'}`, async () => {
      await using rig = await rigWithRules();
      assert.equal((await ask(await rig.tunnel(client), { path, ...more })).status, status);
      const line = rig.lines.find((entry) => entry['message'] === 'request complete');
      assert.equal(line?.['phase'], phase);
      assert.ok(phase === undefined || PHASES.some(({ name }) => name === phase));
      assert.deepEqual(answeredBy(rig), phase === undefined ? {} : { [phase]: 1 });
    });
  }

  it('is decode for bytes that are no request', async () => {
    await using rig = await rigWithRules();
    const conn = await rig.tunnel(client);
    const ended = Promise.withResolvers<void>();
    conn.start({
      onData: () => undefined,
      onEnd: () => ended.resolve(),
      onDrain: () => undefined,
      onClose: () => ended.resolve(),
    });
    conn.write(Buffer.from('GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n'));
    await ended.promise;
    const line = rig.lines.find((entry) => entry['message'] === 'connection failed');
    assert.equal(line?.['phase'], 'decode' satisfies PhaseName);
    assert.deepEqual(answeredBy(rig), { decode: 1 });
  });
});
