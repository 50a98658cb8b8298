/** The objects of the waypoint's measurement: the rules of `peers/http-rules.ts` as people write them for a mesh. */
import { stringify } from 'yaml';
import {
  allowRules,
  HTTP_HOST,
  HTTP_RULES,
  httpRules,
  MANY_HOST,
  MANY_ROUTES,
  RULE_HEADER,
} from '../peers/http-rules.ts';
import { holderPod, MESH, namespaceYaml, PLAIN } from './bench-lab.ts';
import { ORIGIN_PORT, SERVICE_PORT } from './waypoint-subjects.ts';

const clientAndServer = (namespace: string): readonly string[] => [
  holderPod(namespace, 'client', 'node1'),
  holderPod(namespace, 'server', 'node2'),
];

export const WAYPOINT_PLAIN_YAML = [namespaceYaml(PLAIN, false), ...clientAndServer(PLAIN)].join(
  '---',
);

/** A Service with its routes and rules. */
function objectsOf(name: string, host: string, routes: number): readonly unknown[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: MESH },
      spec: {
        selector: { app: 'server' },
        ports: [{ name: 'http', port: SERVICE_PORT, targetPort: ORIGIN_PORT }],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name, namespace: MESH },
      spec: {
        hosts: [host],
        http: httpRules(routes).map(({ index, prefix }) => ({
          name: `route-${index}`,
          match: [{ uri: { prefix } }],
          route: [{ destination: { host, port: { number: SERVICE_PORT } } }],
        })),
      },
    },
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name, namespace: MESH },
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name }],
        action: 'ALLOW',
        rules: allowRules(routes).map(({ prefix, method, headerValue }) => ({
          to: [{ operation: { methods: [method], paths: [`${prefix}*`] } }],
          when: [{ key: `request.headers[${RULE_HEADER}]`, values: [headerValue] }],
        })),
      },
    },
  ];
}

const OBJECTS: readonly unknown[] = [
  ...objectsOf('app', HTTP_HOST, HTTP_RULES.length),
  ...objectsOf('many', MANY_HOST, MANY_ROUTES),
];

export const WAYPOINT_MESH_YAML = [
  namespaceYaml(MESH, true),
  ...clientAndServer(MESH),
  ...OBJECTS.map((object) => `\n${stringify(object)}`),
].join('---');
