/** What is counted for whom, also where labels were made before. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  type Caller,
  type Destination,
  HttpError,
  type MeshEndpoint,
  type RequestRecord,
} from '@ambit/http';
import { workload } from '../testing.ts';
import { RequestMetrics } from './request-metrics.ts';

const CALLER = {
  identity: 'spiffe://cluster.local/ns/shop/sa/client',
  namespace: 'shop',
} as Caller;
const DESTINATION = { kind: 'workload', authority: '10.0.0.1:80', port: 80 } as Destination;

const endpoint = (name: string): MeshEndpoint =>
  ({ key: name, weight: 1, workload: workload(name, 80), targetPort: 80 }) as MeshEndpoint;

const record = (parts: Partial<RequestRecord>): RequestRecord =>
  ({
    kind: 'request',
    caller: CALLER,
    destination: DESTINATION,
    status: 200,
    phase: 'respond',
    flags: ['-'],
    isGrpc: false,
    durationMs: 1,
    bytesReceived: 1,
    bytesSent: 1,
    ...parts,
  }) as RequestRecord;

interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

it('counts by both ends and by outcome', () => {
  const metrics = new RequestMetrics();
  const [one, other] = [endpoint('one'), endpoint('other')];
  const seen: Partial<RequestRecord>[] = [
    { endpoint: one },
    { endpoint: one },
    { endpoint: one, status: 503, flags: ['UF', 'URX'] },
    { endpoint: one, isGrpc: true, grpcStatus: 0 },
    { endpoint: other },
    {},
    { destination: { ...DESTINATION, workload: workload('third', 80) } },
    { endpoint: one, caller: { ...CALLER, identity: 'spiffe://cluster.local/ns/shop/sa/x' } },
    { endpoint: one },
  ];
  for (const parts of seen) {
    metrics.request(record(parts));
  }
  const families = metrics.snapshot({}) as unknown as { name: string; values: Value[] }[];
  const total = families.find(({ name }) => name === 'istio_requests_total');
  const rows = (total?.values ?? []).map(({ labels, value }) =>
    [
      labels['source_principal']?.split('/').at(-1),
      labels['destination_workload'],
      labels['response_code'],
      labels['response_flags'],
      labels['grpc_response_status'],
      value,
    ].join(' '),
  );
  assert.deepEqual(rows.sort(), [
    'client one 200 -  3',
    'client one 200 - 0 1',
    'client one 503 UF,URX  1',
    'client other 200 -  1',
    'client third 200 -  1',
    'client unknown 200 -  1',
    'x one 200 -  1',
  ]);
});

it('counts what a phase answered itself, by phase', () => {
  const metrics = new RequestMetrics();
  const seen: Partial<RequestRecord>[] = [
    {},
    { error: new HttpError('HTTP_UPSTREAM_CLOSED', 'cut', { side: 'upstream' }) },
    { phase: 'authorise', status: 403 },
    { phase: 'authorise', status: 403 },
    { phase: 'answer', status: 301 },
    { phase: 'forward', status: 503 },
    // The client went before anybody answered.
    { phase: 'forward', status: 0 },
  ];
  for (const parts of seen) {
    metrics.request(record(parts));
  }
  metrics.answered('decode');
  const families = metrics.snapshot({}) as unknown as { name: string; values: Value[] }[];
  const family = families.find(({ name }) => name === 'ambit_waypoint_requests_answered_total');
  assert.deepEqual(family?.values, [
    { labels: { phase: 'authorise' }, value: 2 },
    { labels: { phase: 'answer' }, value: 1 },
    { labels: { phase: 'forward' }, value: 1 },
    { labels: { phase: 'decode' }, value: 1 },
  ]);
  const total = families.find(({ name }) => name === 'istio_requests_total');
  assert.ok(total?.values.every(({ labels }) => !('phase' in labels)));
});

it('27 CVE-2025-43915: has no row for what a client names', () => {
  const metrics = new RequestMetrics();
  const one = endpoint('one');
  for (let at = 0; at < 1_000; at += 1) {
    const named = {
      authority: `${at}.example`,
      path: `/${at}`,
      method: `M${at}`,
      requestId: `${at}`,
    };
    metrics.request(record({ endpoint: one, ...named }));
  }
  const families = metrics.snapshot({}) as unknown as { name: string; values: Value[] }[];
  const total = families.find(({ name }) => name === 'istio_requests_total');
  assert.deepEqual(
    total?.values.map(({ value }) => value),
    [1_000],
  );
});
