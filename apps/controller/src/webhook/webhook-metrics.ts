/** The webhook's metrics: istiod's names where it has them, so that dashboards keep working. */
import { customResourceDefinitions } from '@ambit/api';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

import type { AdmissionFacts } from './admission-review.ts';
import { GATEWAY_GROUP } from './judge.ts';

export interface WebhookMetrics {
  readonly passed: (facts: AdmissionFacts) => void;
  readonly failed: (facts: AdmissionFacts, reason: string) => void;
  readonly httpError: (status: number) => void;
  /** Reviews that were let through unchecked. */
  readonly unchecked: () => void;
  readonly certificateChanged: () => void;
  readonly seconds: (value: number) => void;
}

const GATEWAY_RESOURCES = ['gateways', 'httproutes', 'tcproutes', 'grpcroutes', 'tlsroutes'];
const LABELS = ['group', 'version', 'resource'] as const;

export function createWebhookMetrics(
  registry: Registry,
  sources: { readonly waiting: () => number },
): WebhookMetrics {
  const registers = [registry];
  const labelsOf = labeller();
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames: [...labelNames], registers });
  const passed = counter('galley_validation_passed', 'Objects that were found valid', LABELS);
  const failed = counter('galley_validation_failed', 'Objects that were refused', [
    ...LABELS,
    'reason',
  ]);
  const httpError = counter('galley_validation_http_error', 'Requests that were no review', [
    'status',
  ]);
  const certificates = counter(
    'galley_validation_cert_key_updates',
    'Serving certificates put into use',
  );
  const unchecked = counter(
    'ambit_webhook_unchecked_total',
    'Reviews that were let through unchecked, since there was no time for them',
  );
  const seconds = new Histogram({
    name: 'ambit_webhook_seconds',
    help: 'Time from the whole request to the answer',
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5],
    registers,
  });
  new Gauge({
    name: 'ambit_webhook_waiting',
    help: 'Reviews that wait for a thread',
    registers,
    collect() {
      this.set(sources.waiting());
    },
  });
  return {
    passed: (facts) => {
      passed.inc(labelsOf(facts));
    },
    failed: (facts, reason) => {
      failed.inc({ ...labelsOf(facts), reason });
    },
    httpError: (status) => {
      httpError.inc({ status: String(status) });
    },
    unchecked: () => {
      unchecked.inc();
    },
    certificateChanged: () => {
      certificates.inc();
    },
    seconds: (value) => {
      seconds.observe(value);
    },
  };
}

/** Labels from names that exist; whatever else a request says is `other`. */
function labeller(): (facts: AdmissionFacts) => Record<(typeof LABELS)[number], string> {
  const known = new Set(
    customResourceDefinitions().flatMap(({ spec }) =>
      spec.versions.map(({ name }) => `${spec.group}/${name}/${spec.names.plural}`),
    ),
  );
  for (const version of ['v1', 'v1beta1', 'v1alpha2']) {
    for (const resource of GATEWAY_RESOURCES) known.add(`${GATEWAY_GROUP}/${version}/${resource}`);
  }
  return ({ group, version, resource }) =>
    known.has(`${group}/${version}/${resource}`)
      ? { group, version, resource }
      : { group: 'other', version: 'other', resource: 'other' };
}
