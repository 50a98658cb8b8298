/** The nouns of `meshctl proxy-config`, as people type them, and what agents and waypoints show for each. */
import {
  AGENT_LISTENER_COLUMNS,
  agentListenerRows,
  CONNECTION_COLUMNS,
  connectionRows,
  POLICY_COLUMNS,
  policyRows,
} from './agent-views.ts';
import type { ProxyDump, Row } from './dump.ts';
import {
  CERTIFICATE_COLUMNS,
  certificateRows,
  ENDPOINT_COLUMNS,
  endpointRows,
  SERVICE_COLUMNS,
  serviceRows,
  WORKLOAD_COLUMNS,
  workloadRows,
} from './shared-views.ts';
import {
  CLUSTER_COLUMNS,
  clusterRows,
  OBJECT_POLICY_COLUMNS,
  ROUTE_COLUMNS,
  routeRows,
  WAYPOINT_LISTENER_COLUMNS,
  waypointListenerRows,
  waypointPolicyRows,
} from './waypoint-views.ts';

export interface View {
  readonly columns: readonly string[];
  readonly rows: (dump: ProxyDump, nowMs: number) => readonly Row[];
}

export interface Noun {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Each proxy has its own: without a name, all agents are asked. Else any agent will do. */
  readonly isOfEach?: boolean;
  readonly agent?: View;
  readonly waypoint?: View;
  /** What to ask instead where a kind of proxy has no such thing. */
  readonly instead?: string;
}

const workloads: View = { columns: WORKLOAD_COLUMNS, rows: workloadRows };
const services: View = { columns: SERVICE_COLUMNS, rows: serviceRows };
const endpoints: View = { columns: ENDPOINT_COLUMNS, rows: endpointRows };
const certificates: View = { columns: CERTIFICATE_COLUMNS, rows: certificateRows };

export const NOUNS: readonly Noun[] = [
  {
    name: 'workloads',
    aliases: ['workload', 'w'],
    summary: 'pods and addresses, and how each is reached',
    agent: workloads,
    waypoint: workloads,
  },
  {
    name: 'services',
    aliases: ['service', 'svc'],
    summary: 'services with their addresses, waypoints and endpoints',
    agent: services,
    waypoint: services,
  },
  {
    name: 'policies',
    aliases: ['policy', 'p'],
    summary: 'policies in force',
    agent: { columns: POLICY_COLUMNS, rows: policyRows },
    waypoint: { columns: OBJECT_POLICY_COLUMNS, rows: waypointPolicyRows },
  },
  {
    name: 'certificates',
    aliases: ['certificate', 'cert', 'certs', 'secrets', 'secret', 's'],
    summary: 'certificates and when they end; keys are never shown',
    isOfEach: true,
    agent: certificates,
    waypoint: certificates,
  },
  {
    name: 'connections',
    aliases: ['connection'],
    summary: 'connections that are open now',
    isOfEach: true,
    agent: { columns: CONNECTION_COLUMNS, rows: connectionRows },
    instead:
      'a waypoint counts them: meshctl pc clusters; each request is in its log (meshctl logs)',
  },
  {
    name: 'listeners',
    aliases: ['listener', 'l'],
    summary: 'where a proxy listens',
    isOfEach: true,
    agent: { columns: AGENT_LISTENER_COLUMNS, rows: agentListenerRows },
    waypoint: { columns: WAYPOINT_LISTENER_COLUMNS, rows: waypointListenerRows },
  },
  {
    name: 'routes',
    aliases: ['route', 'r'],
    summary: 'match and destination of each rule',
    waypoint: { columns: ROUTE_COLUMNS, rows: routeRows },
    instead:
      'agents carry connections and have no routes: meshctl pc services says where each goes',
  },
  {
    name: 'clusters',
    aliases: ['cluster', 'c'],
    summary: 'services that requests have gone to, with load and ejections',
    waypoint: { columns: CLUSTER_COLUMNS, rows: clusterRows },
    instead: 'agents have services instead: meshctl pc services, meshctl pc endpoints',
  },
  {
    name: 'endpoints',
    aliases: ['endpoint', 'ep'],
    summary: 'addresses behind each service',
    agent: endpoints,
    waypoint: endpoints,
  },
];

/** Of istioctl, for what only Envoy has. */
export const FOREIGN_NOUNS: readonly { readonly name: string; readonly instead: string }[] = [
  {
    name: 'ecds',
    instead: 'there are no Wasm extensions here',
  },
  {
    name: 'envoy-stats',
    instead: 'there is no Envoy: kubectl port-forward to :15020, then /metrics, or Prometheus',
  },
  {
    name: 'rootca-compare',
    instead:
      'meshctl pc secrets shows the roots of each proxy; compare SERIAL NUMBER where TYPE is Root',
  },
];
