/** The objects of the tunnel's measurement: a client and a server outside the mesh, and the same two inside. */
import { holderPod, MESH, namespaceYaml, PLAIN } from './bench-lab.ts';
import { SERVER_PORTS } from './tunnel-subjects.ts';

const pods = (namespace: string): string =>
  [holderPod(namespace, 'client', 'node1'), holderPod(namespace, 'server', 'node2')].join('---');
export const TUNNEL_PLAIN_YAML = [namespaceYaml(PLAIN, false), pods(PLAIN)].join('---');
/** Ports named `tcp-`, so that no proxy looks into them. */
export const TUNNEL_MESH_YAML = `
${namespaceYaml(MESH, true)}---
${pods(MESH)}---
apiVersion: v1
kind: Service
metadata: { name: server, namespace: ${MESH} }
spec:
  selector: { app: server }
  ports:
${Object.entries(SERVER_PORTS)
  .map(([name, port]) => `    - { name: tcp-${name}, port: ${port}, targetPort: ${port} }`)
  .join('\n')}
`;
