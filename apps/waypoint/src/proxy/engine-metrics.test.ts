/** Counters of attacks tell which of them it was. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { systemClock } from '@ambit/core';
import { HttpEngine } from '@ambit/http';
import { engineFamilies, engineMetrics } from './engine-metrics.ts';

const newEngine = (): HttpEngine =>
  new HttpEngine({
    clock: systemClock,
    identity: () => 'spiffe://cluster.local/ns/shop/sa/waypoint',
    observer: {
      onRequest: () => undefined,
      onConnectionOpened: () => undefined,
      onConnection: () => undefined,
    },
  });

/** Rows of the families, as people read them. */
const rowsOf = (engine: HttpEngine): readonly string[] =>
  (
    engineFamilies(engine) as readonly {
      readonly name: string;
      readonly values: readonly { readonly labels: { reason: string }; readonly value: number }[];
    }[]
  ).flatMap(({ name, values }) =>
    values.map(({ labels, value }) => `${name} ${labels.reason} ${value}`),
  );

it('has no series where nothing happened', () => {
  const engine = newEngine();
  assert.deepEqual(rowsOf(engine), []);
  engine.destroy();
});

it('has one for each reason', () => {
  const engine = newEngine();
  for (const code of ['H1_FIELDS_TOO_LARGE', 'H1_HEAD_TIMEOUT', 'H1_FIELDS_TOO_LARGE'] as const) {
    engine.http1Refusals.count(code);
  }
  engine.http2Counters.floods.unansweredResets += 3;
  engine.http2Counters.floods.pings += 1;
  engine.http2Counters.boundsReached += 1;
  assert.deepEqual(rowsOf(engine), [
    'ambit_waypoint_http1_refused_total H1_FIELDS_TOO_LARGE 2',
    'ambit_waypoint_http1_refused_total H1_HEAD_TIMEOUT 1',
    'ambit_waypoint_http2_floods_total pings 1',
    'ambit_waypoint_http2_floods_total unansweredResets 3',
    'ambit_waypoint_http2_floods_total boundsReached 1',
  ]);
  for (const name of ['ambit_waypoint_http1_refused_total', 'ambit_waypoint_http2_floods_total']) {
    assert.ok(!(name in engineMetrics(engine)), `${name} is not there without a label as well`);
  }
  engine.destroy();
});
