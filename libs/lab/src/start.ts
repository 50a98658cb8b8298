/** Puts a lab together: folder, network, names, mesh, cluster. Whatever fails takes the rest down with it. */
import { mkdirSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Clock, systemClock } from '@ambit/core';
import { CONTROLLER, NODES_MAX } from './addresses.ts';
import { Cluster } from './cluster.ts';
import { DnsServer } from './dns-server.ts';
import { LabError } from './errors.ts';
import { Lab } from './lab.ts';
import { Mesh, type MeshExtraEnv } from './mesh.ts';
import { MESH_NAMESPACE, managedFolder } from './mesh-programs.ts';
import { LabNetwork } from './network.ts';
import { type LabPaths, labPaths, labsRoot } from './paths.ts';
import { claimFolder } from './record.ts';

export interface LabOptions {
  /** A DNS label; labs of different names do not see each other. Default `default`. */
  readonly name?: string;
  /** Folder of labs; default `labsRoot` of this user. */
  readonly root?: string;
  /** Folder or file of YAML, watched. None: only what `apply` is given. */
  readonly folder?: string;
  /** 1 to 32; default 2. */
  readonly nodes?: number;
  /** False: only what a cluster does; no controller, agents or waypoints. Default true. */
  readonly mesh?: boolean;
  readonly clusterDomain?: string;
  readonly trustDomain?: string;
  /** Added to the environment of the mesh's programs. */
  readonly extraEnv?: MeshExtraEnv;
  /** More names for the lab's name server: full name → addresses. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
  /** Where commands of applied pods run; default the folder, else the current one. */
  readonly workingFolder?: string;
  readonly clock?: Clock;
  readonly onProgress?: (line: string) => void;
}

/**
 * Makes a lab and starts it. Needs root, or to be root of a user namespace (`unshare -Urnm`). Throws
 * `LAB_ALREADY_RUNNING`, `LAB_INVALID_OPTION`, `LAB_NO_PRIVILEGES`, `LAB_NETWORK_FAILED`.
 */
export async function labStart(options: LabOptions = {}): Promise<Lab> {
  const lab = await build(options);
  try {
    options.onProgress?.('programs');
    await lab.start();
  } catch (error) {
    await lab.close();
    throw error;
  }
  return lab;
}

async function build(options: LabOptions): Promise<Lab> {
  const { name = 'default', nodes = 2, clock = systemClock } = options;
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) {
    throw new LabError('LAB_NO_PRIVILEGES', 'a lab needs root, or a user namespace: unshare -Urnm');
  }
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > NODES_MAX) {
    throw new LabError('LAB_INVALID_OPTION', `nodes is a number of 1 to ${NODES_MAX}`);
  }
  const folder = resolve(options.folder ?? '.');
  const paths = labPaths(options.root ?? labsRoot(process.env, uid), name);
  const names = Array.from({ length: nodes }, (_, i) => `node${i + 1}`);
  claimFolder(paths, { name, folder, nodes: names });
  options.onProgress?.('network');
  const network = await LabNetwork.create(nodes);
  const dns = new DnsServer();
  try {
    await dns.start(network.fabric);
    return new Lab({
      ...(await makeCluster(options, { paths, network, dns, clock, folder })),
      name,
      paths,
      folder,
      network,
      dns,
      clock,
    });
  } catch (error) {
    dns.close();
    network.close();
    throw error;
  }
}

interface Ground {
  readonly paths: LabPaths;
  readonly network: LabNetwork;
  readonly dns: DnsServer;
  readonly clock: Clock;
  readonly folder: string;
}

async function makeCluster(
  options: LabOptions,
  { paths, network, dns, clock, folder }: Ground,
): Promise<{ readonly mesh: Mesh | undefined; readonly cluster: Cluster }> {
  const { clusterDomain = 'cluster.local', trustDomain = 'cluster.local', extraEnv = {} } = options;
  const written = options.folder === undefined ? [] : [sourceFolder(paths, folder)];
  const sources = [...written, paths.applied];
  const controllerNames = ['istiod', 'ambit-controller'].flatMap((host) => [
    `${host}.${MESH_NAMESPACE}.svc`,
    `${host}.${MESH_NAMESPACE}.svc.${clusterDomain}`,
  ]);
  const settings = { paths, clusterDomain, trustDomain, sources, controllerNames };
  const mesh =
    options.mesh === false ? undefined : await Mesh.create({ settings, network, clock, extraEnv });
  if (mesh === undefined) {
    mkdirSync(managedFolder(paths), { recursive: true });
  }
  const controller = Object.fromEntries(
    controllerNames.map((host) => [host, [CONTROLLER.v4, CONTROLLER.v6]]),
  );
  const cluster = new Cluster({
    paths,
    clock,
    network,
    dns,
    mesh,
    clusterDomain,
    sources: [managedFolder(paths), ...sources],
    workingFolder: resolve(options.workingFolder ?? folderAt(folder)),
    names: { ...controller, ...options.names },
  });
  return { mesh, cluster };
}

function folderAt(path: string): string {
  return statSync(path).isFile() ? dirname(path) : path;
}

/** The controller reads folders only: a single file is put into one, as a link. */
function sourceFolder(paths: LabPaths, source: string): string {
  if (!statSync(source).isFile()) {
    return source;
  }
  const folder = join(paths.root, 'source');
  mkdirSync(folder);
  symlinkSync(source, join(folder, 'source.yaml'));
  return folder;
}
