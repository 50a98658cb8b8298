/** Alert rules, in Prometheus' own format; names of metrics are those that the programs export. */
import { stringify } from 'yaml';
import {
  join,
  type Node,
  type NodeMap,
  releaseNamespace,
  SPREAD_KEY,
  spread,
  value,
  when,
} from '../symbolic.ts';
import { CONTROLLER, labelsOf } from './common.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
  readonly action: string;
}

const ALERTS: readonly Alert[] = [
  {
    alert: 'AmbitControllerDown',
    expr: 'absent(ambit_controller_objects)',
    for: '5m',
    severity: 'critical',
    summary: 'No controller of Ambit is scraped.',
    action:
      'Traffic goes on with what agents know; no change and no new certificate arrives. Run meshctl check.',
  },
  {
    alert: 'AmbitCertificatesRefused',
    expr: 'sum(rate(ambit_controller_certificates_refused_total[5m])) > 0',
    for: '10m',
    severity: 'warning',
    summary: 'The CA refuses requests for certificates.',
    action: "The controller's log names the account and the reason.",
  },
  {
    alert: 'AmbitConfigurationRefused',
    expr: 'sum(rate(ambit_controller_push_refusals_total[5m])) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'An agent or waypoint refuses configuration.',
    action: 'meshctl status names the proxy and the object.',
  },
  {
    alert: 'AmbitPodsPending',
    expr: 'max by (pod) (workload_manager_pending_proxy_count) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'Agent {{ $labels.pod }} cannot capture {{ $value }} pods.',
    action:
      'Those pods wait in ContainerCreating or refuse traffic. The log of the agent says why.',
  },
  {
    alert: 'AmbitConnectionsDenied',
    expr: 'sum by (destination_workload, destination_workload_namespace) (rate(istio_tcp_connections_failed_total{reporter="destination",response_flags="DENY"}[5m])) > 1',
    for: '10m',
    severity: 'warning',
    summary:
      'Policy refuses connections to {{ $labels.destination_workload_namespace }}/{{ $labels.destination_workload }}.',
    action: 'meshctl why SOURCE DESTINATION names the rule.',
  },
  {
    alert: 'AmbitTlsFailures',
    expr: 'sum by (reporter) (rate(istio_tcp_connections_failed_total{response_flags=~"TLS_FAILURE|IDENTITY_ERROR"}[5m])) > 0',
    for: '5m',
    severity: 'critical',
    summary: 'Tunnels fail for certificates ({{ $labels.reporter }}).',
    action: 'Compare clocks and roots: meshctl check.',
  },
  {
    alert: 'AmbitRevocationListEnding',
    expr: 'min(ambit_crl_next_update_timestamp_seconds) - time() < 6 * 3600',
    for: '10m',
    severity: 'warning',
    summary: 'A revocation list runs out in {{ $value | humanizeDuration }}.',
    action:
      'Put the next list of that CA into ca-crl.pem of the CA, before connections to and from what it signed are refused.',
  },
  {
    alert: 'AmbitRevocationListEnded',
    expr: 'min(ambit_crl_next_update_timestamp_seconds) - time() <= 0',
    for: '1m',
    severity: 'critical',
    summary: 'A revocation list has run out: nobody new below its CA is taken.',
    action:
      'Put the next list of that CA into ca-crl.pem of the CA. Open connections go on until their certificates end.',
  },
  {
    alert: 'AmbitRevocationListsUnused',
    expr: 'max by (pod) (ambit_crl_file_problem) > 0',
    for: '5m',
    severity: 'critical',
    summary: 'The file of revocation lists is not what {{ $labels.pod }} goes by.',
    action:
      'Its log says why, and whether the lists before are in use or nobody is taken. Read ca-crl.pem with openssl crl.',
  },
  {
    alert: 'AmbitRequestErrors',
    expr: 'sum by (destination_service) (rate(istio_requests_total{reporter="waypoint",response_code=~"5.."}[5m])) / sum by (destination_service) (rate(istio_requests_total{reporter="waypoint"}[5m])) > 0.05',
    for: '10m',
    severity: 'warning',
    summary: 'More than 5 % of the requests to {{ $labels.destination_service }} fail.',
    action:
      "response_flags in the waypoint's access log say whether the application or the mesh answered.",
  },
  {
    alert: 'AmbitControllerUnreachable',
    expr: 'sum by (pod) (increase(istio_xds_connection_terminations_total{reason=~"ConnectionError|Error"}[10m])) > 5',
    for: '10m',
    severity: 'warning',
    summary: '{{ $labels.pod }} keeps losing the controller.',
    action: 'It serves what it knows. Look for a NetworkPolicy that blocks port 15012.',
  },
  {
    alert: 'AmbitDnsFailures',
    expr: 'sum by (pod) (rate(istio_dns_upstream_failures_total[5m])) > 1',
    for: '10m',
    severity: 'warning',
    summary: 'Names cannot be resolved upstream of {{ $labels.pod }}.',
    action: "The cluster's DNS does not answer the agent.",
  },
  {
    alert: 'AmbitWorkersReplaced',
    expr: 'sum by (pod) (increase(ambit_workers_replaced_total[30m])) > 2',
    for: '1m',
    severity: 'critical',
    summary: 'Threads of {{ $labels.pod }} die.',
    action: 'The log before each end says why; connections of that thread were lost.',
  },
];

/** A file for Prometheus' `rule_files`. */
export function alertRules(): NodeMap {
  return {
    groups: [
      {
        name: 'ambit',
        rules: ALERTS.map(({ severity, summary, action, ...rule }) => ({
          ...rule,
          labels: { severity },
          annotations: { summary, action },
        })),
      },
    ],
  };
}

export function alertRulesText(): string {
  return stringify(alertRules(), { lineWidth: 0 });
}

export function alertsConfigMap(): Node {
  return when(value('monitoring.rules.configMap'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: rulesMetadata(),
    data: { 'ambit-alerts.yaml': alertRulesText() },
  });
}

export function alertsPrometheusRule(): Node {
  return when(value('monitoring.rules.prometheusRule'), {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: rulesMetadata(),
    spec: alertRules(),
  });
}

function rulesMetadata(): NodeMap {
  return {
    name: 'ambit-alerts',
    namespace: releaseNamespace,
    labels: { ...labelsOf(CONTROLLER), [SPREAD_KEY]: spread('monitoring.rules.labels') },
    annotations: { 'ambit.io/alerts-of': join(releaseNamespace, '/', CONTROLLER) },
  };
}
