/** Meshes of this machine: a lab's folder has the admin socket of each of its programs; a bare socket is a controller. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type LabPaths, labPaths, labsRoot, readLiveRecord } from '@ambit/lab';
import { getObjects } from '../admin-answers.ts';
import { AdminClient } from '../admin-client.ts';
import type { MeshTarget, ProxyAdmin } from './mesh-target.ts';

const ADMIN_SOCKET = 'admin.sock';
const ROOT_NAMESPACE = 'istio-system';

export interface LabMesh extends MeshTarget {
  readonly name: string;
  readonly socket: string;
}

/** A controller alone: it says which proxies there are, but none of them can be asked. */
export function socketMesh(target: string): MeshTarget {
  const client = new AdminClient(target);
  return {
    where: `"${target}"`,
    meshNamespace: ROOT_NAMESPACE,
    controllers: () => Promise.resolve([{ name: 'controller', client, isReady: true }]),
    proxies: () => Promise.resolve([]),
    nodeOf: (namespace, pod) => nodeOfPod(client, namespace, pod),
  };
}

/** The lab whose controller's socket that is; undefined if it is none of a lab. */
export function labAround(socket: string): MeshTarget | undefined {
  const folder = dirname(dirname(socket));
  if (!existsSync(join(folder, 'nodes')) || !existsSync(join(folder, 'lab.json'))) return undefined;
  const name = folder.slice(folder.lastIndexOf('/') + 1);
  return isLabName(name) ? labMesh(name, labPaths(dirname(folder), name)) : undefined;
}

/** Of this user, by name. */
export function labsRunning(): { readonly root: string; readonly labs: readonly LabMesh[] } {
  const root = labsRoot(process.env, process.getuid?.() ?? 0);
  const labs = namesIn(root)
    .filter(isLabName)
    .flatMap((name) => {
      const paths = labPaths(root, name);
      return readLiveRecord(paths) === undefined ? [] : [labMesh(name, paths)];
    });
  return { root, labs };
}

function labMesh(name: string, paths: LabPaths): LabMesh {
  const socket = join(paths.controller, ADMIN_SOCKET);
  const client = new AdminClient(socket);
  return {
    name,
    socket,
    where: `lab "${name}"`,
    meshNamespace: ROOT_NAMESPACE,
    logsFolder: paths.logs,
    controllers: () => Promise.resolve([{ name: 'controller', client, isReady: true }]),
    proxies: () => Promise.resolve(proxiesOf(paths)),
    nodeOf: (namespace, pod) => nodeOfPod(client, namespace, pod),
  };
}

function proxiesOf({ nodes, waypoints }: LabPaths): readonly ProxyAdmin[] {
  const agents = namesIn(nodes).map((node) =>
    proxy('node-agent', node, join(nodes, node, ADMIN_SOCKET)),
  );
  // The folder is NAMESPACE.NAME, and a namespace has no dot.
  const others = namesIn(waypoints).map((folder) =>
    proxy('waypoint', folder.replace('.', '/'), join(waypoints, folder, ADMIN_SOCKET)),
  );
  return [...agents, ...others].filter(({ client }) => existsSync(client.target));
}

function proxy(kind: ProxyAdmin['kind'], name: string, socket: string): ProxyAdmin {
  const who = `the ${kind === 'waypoint' ? 'waypoint' : 'agent of'} ${name}`;
  const fix = 'meshctl lab status says whether it runs';
  const client = new AdminClient(socket, { who, fix });
  return { kind, name, client, isReady: true, ...(kind === 'waypoint' ? {} : { node: name }) };
}

async function nodeOfPod(
  client: AdminClient,
  namespace: string | undefined,
  name: string,
): Promise<string | undefined> {
  for (const { object } of await getObjects(client)) {
    if (object?.kind !== 'Pod' || object.metadata.name !== name) continue;
    if (namespace === undefined || object.metadata.namespace === namespace) {
      return object.spec.nodeName;
    }
  }
  return undefined;
}

function isLabName(name: string): boolean {
  return /^[a-z0-9](?:[-a-z0-9]{0,30}[a-z0-9])?$/.test(name);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    // There has never been one.
    return [];
  }
}
