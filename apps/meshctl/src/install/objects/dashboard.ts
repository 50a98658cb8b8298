/** A Grafana dashboard: what a person on call looks at first, top to bottom. */
import { type Node, releaseNamespace, SPREAD_KEY, spread, value, when } from '../symbolic.ts';
import { CONTROLLER, labelsOf } from './common.ts';

interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly Query[];
}

const WIDTH = 12;
const HEIGHT = 8;

const PANELS: readonly Panel[] = [
  {
    title: 'Connections opened, by destination',
    unit: 'cps',
    queries: [
      {
        expr: 'topk(10, sum by (destination_workload_namespace, destination_workload) (rate(istio_tcp_connections_opened_total{reporter="source"}[$__rate_interval])))',
        legend: '{{destination_workload_namespace}}/{{destination_workload}}',
      },
    ],
  },
  {
    title: 'Connections refused or failed, by reason',
    unit: 'cps',
    queries: [
      {
        expr: 'sum by (response_flags) (rate(istio_tcp_connections_failed_total[$__rate_interval]))',
        legend: '{{response_flags}}',
      },
    ],
  },
  {
    title: 'Share of connections that are mutual TLS',
    unit: 'percentunit',
    queries: [
      {
        expr: 'sum(rate(istio_tcp_connections_opened_total{reporter="destination",connection_security_policy="mutual_tls"}[$__rate_interval])) / sum(rate(istio_tcp_connections_opened_total{reporter="destination"}[$__rate_interval]))',
        legend: 'mutual TLS',
      },
    ],
  },
  {
    title: 'Bytes',
    unit: 'Bps',
    queries: [
      {
        expr: 'sum(rate(istio_tcp_received_bytes_total{reporter="source"}[$__rate_interval]))',
        legend: 'client to server',
      },
      {
        expr: 'sum(rate(istio_tcp_sent_bytes_total{reporter="source"}[$__rate_interval]))',
        legend: 'server to client',
      },
    ],
  },
  {
    title: 'Requests through waypoints, by code',
    unit: 'reqps',
    queries: [
      {
        expr: 'sum by (response_code) (rate(istio_requests_total{reporter="waypoint"}[$__rate_interval]))',
        legend: '{{response_code}}',
      },
    ],
  },
  {
    title: 'Time of requests through waypoints',
    unit: 'ms',
    queries: ['0.5', '0.99'].map((quantile) => ({
      expr: `histogram_quantile(${quantile}, sum by (le) (rate(istio_request_duration_milliseconds_bucket{reporter="waypoint"}[$__rate_interval])))`,
      legend: `p${Number(quantile) * 100}`,
    })),
  },
  {
    title: 'Pods captured and pending, by agent',
    unit: 'short',
    queries: [
      { expr: 'sum by (pod) (workload_manager_active_proxy_count)', legend: '{{pod}}' },
      {
        expr: 'sum by (pod) (workload_manager_pending_proxy_count) > 0',
        legend: '{{pod}} pending',
      },
    ],
  },
  {
    title: 'Certificates issued and refused',
    unit: 'ops',
    queries: [
      {
        expr: 'sum(rate(ambit_controller_certificates_issued_total[$__rate_interval]))',
        legend: 'issued',
      },
      {
        expr: 'sum(rate(ambit_controller_certificates_refused_total[$__rate_interval]))',
        legend: 'refused',
      },
    ],
  },
  {
    title: 'Configuration pushed and refused',
    unit: 'ops',
    queries: [
      {
        expr: 'sum(rate(ambit_controller_pushed_resources_total[$__rate_interval]))',
        legend: 'pushed',
      },
      {
        expr: 'sum(rate(ambit_controller_push_refusals_total[$__rate_interval]))',
        legend: 'refused',
      },
    ],
  },
  {
    title: 'Memory of the programs',
    unit: 'bytes',
    queries: [
      {
        expr: 'sum by (pod) (process_resident_memory_bytes) and on (pod) istio_build{component=~"controller|node-agent|waypoint"}',
        legend: '{{pod}}',
      },
    ],
  },
];

export function dashboardJson(): string {
  const dashboard = {
    uid: 'ambit-mesh',
    title: 'Ambit',
    tags: ['ambit'],
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
    },
    panels: PANELS.map(panelOf),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

function panelOf({ title, unit, queries }: Panel, at: number): unknown {
  const datasource = { type: 'prometheus', uid: '$datasource' };
  return {
    id: at + 1,
    title,
    type: 'timeseries',
    datasource,
    gridPos: { x: (at % 2) * WIDTH, y: Math.floor(at / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource,
      expr,
      legendFormat: legend,
    })),
  };
}

export function dashboardConfigMap(): Node {
  return when(value('monitoring.dashboard.enabled'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'ambit-dashboard',
      namespace: releaseNamespace,
      labels: { ...labelsOf(CONTROLLER), [SPREAD_KEY]: spread('monitoring.dashboard.labels') },
    },
    data: { 'ambit.json': dashboardJson() },
  });
}
