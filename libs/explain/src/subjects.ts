/** What a person means by a source and by a destination, as the mesh knows them. */
import { canonicalIp } from '@ambit/api';
import type { MeshService, Workload } from '@ambit/model';
import { ExplainError } from './errors.ts';
import type { ExplainMesh } from './mesh.ts';

export type Source =
  | { readonly kind: 'workload'; readonly workload: Workload; readonly others: number }
  /** No workload of the mesh: plaintext from this address. */
  | { readonly kind: 'outside'; readonly ip: string };

export type Target =
  | { readonly kind: 'service'; readonly service: MeshService; readonly port: number }
  | { readonly kind: 'workload'; readonly workload: Workload; readonly port: number }
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  /** A name that the mesh does not know: the application's own DNS finds it. */
  | { readonly kind: 'name'; readonly name: string; readonly port: number };

/** Of TEST-NET-1: stands for a client that is in no namespace and behind no agent. */
const OUTSIDE_IP = '192.0.2.1';

/** Throws `EXPLAIN_NOT_FOUND`. */
export function findSource(text: string, given: string | undefined, mesh: ExplainMesh): Source {
  if (text === 'outside') return { kind: 'outside', ip: OUTSIDE_IP };
  const ip = canonicalIp(text);
  if (ip !== undefined) {
    const workload = mesh.index.workloadByAddress(mesh.index.network, ip);
    return workload === undefined
      ? { kind: 'outside', ip }
      : { kind: 'workload', workload, others: 0 };
  }
  const namespace = given ?? onlyNamespaceOf(text, mesh) ?? NAMESPACE_DEFAULT;
  const found = findWorkloads(text, namespace, mesh);
  const workload = found.find(({ status }) => status === 'HEALTHY') ?? found[0];
  if (workload === undefined) throw notFound('source', text, { namespace, mesh });
  return { kind: 'workload', workload, others: found.length - 1 };
}

/** Where names are looked up that say nothing of it. */
export const NAMESPACE_DEFAULT = 'default';

/** Throws `EXPLAIN_NOT_FOUND` and `EXPLAIN_PORT_NEEDED`. */
export function findTarget(
  query: { readonly text: string; readonly port?: number; readonly namespace: string },
  mesh: ExplainMesh,
): Target {
  const { text, namespace } = query;
  const ip = canonicalIp(text);
  if (ip !== undefined) {
    return { kind: 'address', ip, port: portOf(query, addressPorts(ip, namespace, mesh)) };
  }
  const service = findService(text, namespace, mesh);
  if (service !== undefined) {
    const ports = service.ports.map(({ servicePort }) => servicePort);
    return { kind: 'service', service, port: portOf(query, ports) };
  }
  const [workload] = findWorkloads(text, namespace, mesh);
  if (workload !== undefined) return { kind: 'workload', workload, port: portOf(query, []) };
  // Without a dot it can only be a name of the mesh's own.
  if (!text.includes('.') || text.includes('/'))
    throw notFound('destination', text, { namespace, mesh });
  return { kind: 'name', name: text.toLowerCase(), port: portOf(query, []) };
}

function findService(text: string, namespace: string, mesh: ExplainMesh): MeshService | undefined {
  const name = text.toLowerCase().replace(/\.$/, '');
  const [first = '', second] = name.split('/');
  if (second !== undefined) {
    return mesh.index.service(first, `${second}.${first}.svc.${mesh.clusterDomain}`);
  }
  const hosts = [
    name,
    `${name}.${namespace}.svc.${mesh.clusterDomain}`,
    `${name}.svc.${mesh.clusterDomain}`,
    `${name}.${mesh.clusterDomain}`,
  ];
  for (const host of hosts) {
    const service = mesh.index.serviceByHostname(host, namespace);
    if (service !== undefined) return service;
  }
  return undefined;
}

/** By pod name first, else by Deployment, canonical name or service account; in order of name. */
function findWorkloads(text: string, namespace: string, mesh: ExplainMesh): readonly Workload[] {
  const slash = text.indexOf('/');
  const ns = slash < 0 ? namespace : text.slice(0, slash);
  const name = text.slice(slash + 1);
  const local = [...mesh.index.workloads.values()]
    .filter((workload) => workload.namespace === ns || workload.uid === text)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const matches: ((workload: Workload) => boolean)[] = [
    (workload) => workload.name === name || workload.uid === text,
    (workload) => workload.workloadName === name,
    (workload) => workload.canonicalName === name,
    (workload) => workload.serviceAccount === name,
  ];
  for (const match of matches) {
    const found = local.filter(match);
    if (found.length > 0) return found;
  }
  return [];
}

function addressPorts(ip: string, namespace: string, mesh: ExplainMesh): readonly number[] {
  const service = mesh.index.serviceByAddress(mesh.index.network, ip, namespace);
  return service?.ports.map(({ servicePort }) => servicePort) ?? [];
}

function portOf(
  { text, port }: { readonly text: string; readonly port?: number },
  ports: readonly number[],
): number {
  const only = ports.length === 1 ? ports[0] : undefined;
  const chosen = port ?? only;
  if (chosen !== undefined) return chosen;
  const known = ports.length === 0 ? '' : `; it has ${ports.join(', ')}`;
  throw new ExplainError('EXPLAIN_PORT_NEEDED', `"${text}" needs a port${known}`, {
    side: 'local',
  });
}

function notFound(
  what: 'source' | 'destination',
  text: string,
  { namespace, mesh }: { readonly namespace: string; readonly mesh: ExplainMesh },
): ExplainError {
  const elsewhere = namespacesOf(text, mesh);
  const [first] = elsewhere;
  const written = what === 'source' ? `${first}/${text}` : `${text}.${first}`;
  const hint =
    first === undefined ? '' : `; there is one in ${elsewhere.join(', ')}: write ${written}`;
  const name = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  const message = `${what} "${name}" is neither a pod, a workload nor a service in namespace "${namespace}"${hint}`;
  return new ExplainError('EXPLAIN_NOT_FOUND', message, { side: 'local' });
}

function onlyNamespaceOf(text: string, mesh: ExplainMesh): string | undefined {
  if (text.includes('/')) return undefined;
  const namespaces = new Set<string>();
  for (const { namespace } of mesh.index.workloads.values()) namespaces.add(namespace);
  const having = [...namespaces].filter(
    (namespace) => findWorkloads(text, namespace, mesh).length > 0,
  );
  return having.length === 1 ? having[0] : undefined;
}

/** Where a pod, workload or service of that name is, in order. */
function namespacesOf(name: string, mesh: ExplainMesh): readonly string[] {
  const found = new Set<string>();
  for (const workload of mesh.index.workloads.values()) {
    if (workload.name === name || workload.workloadName === name) found.add(workload.namespace);
  }
  for (const service of mesh.index.services.values()) {
    if (service.name === name) found.add(service.namespace);
  }
  return [...found].sort();
}
