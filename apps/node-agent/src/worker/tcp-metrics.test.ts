import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { mergedText } from '@ambit/telemetry';

import { type MetricLabels, TcpMetrics } from './tcp-metrics.ts';

const LABELS: MetricLabels = {
  reporter: 'source',
  source: { workload: 'productpage-v1', canonicalService: 'productpage', namespace: 'shop' },
  destination: { workload: 'reviews-v1', principal: 'spiffe://cluster.local/ns/shop/sa/reviews' },
  service: { hostname: 'reviews.shop.svc.cluster.local', namespace: 'shop', name: 'reviews' },
  isMutualTls: true,
};

describe('TcpMetrics', () => {
  it('adds to one series for the same labels', () => {
    const metrics = new TcpMetrics({ seriesMax: 10 });
    assert.equal(metrics.series(LABELS, '-'), metrics.series({ ...LABELS }, '-'));
    assert.notEqual(metrics.series(LABELS, '-'), metrics.series(LABELS, 'DENY'));
  });

  it('is what prom-client merges, in the names and labels of the reference', async () => {
    const worker = (): TcpMetrics => {
      const metrics = new TcpMetrics({ seriesMax: 10 });
      metrics.series(LABELS, '-').opened += 2;
      metrics.series(LABELS, '-').received += 10;
      return metrics;
    };
    const text = await mergedText([worker().snapshot({}), worker().snapshot({})]);
    const line = text.split('\n').find((l) => l.startsWith('istio_tcp_connections_opened_total{'));
    assert.match(line ?? '', / 4$/);
    for (const part of [
      'reporter="source"',
      'source_workload="productpage-v1"',
      'source_app="productpage"',
      'source_version="unknown"',
      'destination_principal="spiffe://cluster.local/ns/shop/sa/reviews"',
      'destination_service="reviews.shop.svc.cluster.local"',
      'request_protocol="tcp"',
      'response_flags="-"',
      'connection_security_policy="mutual_tls"',
    ]) {
      assert.ok(line?.includes(part), part);
    }
    assert.ok(
      !text.includes('istio_tcp_sent_bytes_total{'),
      'a family without samples is left out',
    );
  });

  it('counts what is beyond its bound together', async () => {
    const metrics = new TcpMetrics({ seriesMax: 1 });
    metrics.series(LABELS, '-').opened += 1;
    for (const workload of ['a', 'b']) {
      metrics.series({ ...LABELS, source: { workload } }, '-').opened += 1;
    }
    const text = await mergedText([metrics.snapshot({})]);
    assert.match(text, /ambit_metric_series_overflow_total 2/);
    assert.match(text, /source_workload="unknown".* 2/);
  });
});
