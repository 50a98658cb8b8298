/** The objects of the waypoint's measurement: the rules of `peers/http-rules.ts` as people write them for a mesh. */
import type { Lab } from '@ambit/lab';
import { stringify } from 'yaml';
import { HTTP_HOST, HTTP_RULES, RULE_HEADER } from '../peers/http-rules.ts';
import { holderPod, MESH, namespaceYaml, PLAIN } from './bench-lab.ts';
import { ORIGIN_PORT, SERVICE_PORT } from './waypoint-subjects.ts';

const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';

const clientAndServer = (namespace: string): readonly string[] => [
  holderPod(namespace, 'client', 'node1'),
  holderPod(namespace, 'server', 'node2'),
];

export const WAYPOINT_PLAIN_YAML = [namespaceYaml(PLAIN, false), ...clientAndServer(PLAIN)].join(
  '---',
);

const OBJECTS: readonly unknown[] = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'app', namespace: MESH },
    spec: {
      selector: { app: 'server' },
      ports: [{ name: 'http', port: SERVICE_PORT, targetPort: ORIGIN_PORT }],
    },
  },
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'app', namespace: MESH },
    spec: {
      hosts: [HTTP_HOST],
      http: HTTP_RULES.map(({ index, prefix }) => ({
        name: `route-${index}`,
        match: [{ uri: { prefix } }],
        route: [{ destination: { host: HTTP_HOST, port: { number: SERVICE_PORT } } }],
      })),
    },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'app', namespace: MESH },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'app' }],
      action: 'ALLOW',
      rules: HTTP_RULES.map(({ prefix, method, headerValue }) => ({
        to: [{ operation: { methods: [method], paths: [`${prefix}*`] } }],
        when: [{ key: `request.headers[${RULE_HEADER}]`, values: [headerValue] }],
      })),
    },
  },
];

export const WAYPOINT_MESH_YAML = [
  namespaceYaml(MESH, true),
  ...clientAndServer(MESH),
  ...OBJECTS.map((object) => `\n${stringify(object)}`),
].join('---');

/** The pod that the controller asked for on account of the objects above. */
export function waypointPod(lab: Lab): ReturnType<Lab['pod']> | undefined {
  return lab.cluster.pods.all.find(
    ({ plan }) => plan.namespace === MESH && plan.labels[GATEWAY_LABEL] !== undefined,
  );
}
