/**
 * How the mesh's own programs are started in a lab: the real ones, from source or as bundles, with the environment they
 * expect.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CONTROLLER } from './addresses.ts';
import { LabError } from './errors.ts';
import type { LabNode } from './network.ts';
import { type LabPaths, waypointFolder } from './paths.ts';
import type { TokenSubject } from './tokens.ts';
import { POD_PATH } from './tool-path.ts';

export const MESH_NAMESPACE = 'istio-system';
export const AGENT_ACCOUNT = 'ambit-node-agent';
const XDS_PORT = 15_012;
const ROOT_FOLDER = join(import.meta.dirname, '..', '..', '..');
const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';

export type MeshProgram = 'controller' | 'node-agent' | 'waypoint';
export type Env = Readonly<Record<string, string>>;

export interface MeshSettings {
  readonly paths: LabPaths;
  readonly clusterDomain: string;
  readonly trustDomain: string;
  /** The user's folder and what `apply` was given. */
  readonly sources: readonly string[];
  /** Names under which the controller is also reached. */
  readonly controllerNames: readonly string[];
}

/** Bundles are started as images start them, which have no source maps: one of the agent's takes 15 MB once an error is shown. */
export function programArgv(program: MeshProgram): string[] {
  const flags = bundleFolder() === '' ? ['--enable-source-maps'] : [];
  return [process.execPath, ...flags, programFile(program)];
}

function bundleFolder(): string {
  return process.env['AMBIT_LAB_PROGRAMS'] ?? '';
}

/** Bundles (`FOLDER/PROGRAM/dist/main.mjs`) where `AMBIT_LAB_PROGRAMS` names a folder of them, else this checkout's source. */
function programFile(program: MeshProgram): string {
  const bundles = bundleFolder();
  return bundles === ''
    ? join(ROOT_FOLDER, 'apps', program, 'src', 'main.ts')
    : resolve(bundles, program, 'dist', 'main.mjs');
}

/** Throws `LAB_COMPONENT_NOT_FOUND` for an incomplete checkout, or a folder without bundles. */
export function requirePrograms(): void {
  for (const program of ['controller', 'node-agent'] as const) {
    if (!existsSync(programFile(program))) {
      throw new LabError(
        'LAB_COMPONENT_NOT_FOUND',
        `there is no "${programFile(program)}"; AMBIT_LAB_PROGRAMS names a folder with PROGRAM/dist/main.mjs`,
      );
    }
  }
}

/** Folder of what the controller wants the cluster to run. */
export function managedFolder(paths: LabPaths): string {
  return join(paths.controller, 'managed');
}

/** Written by the controller where its `cacerts` have one. */
export function revocationLists(paths: LabPaths): string {
  return join(paths.controller, 'ca', 'ca-crl.pem');
}

export function rootCertificate(paths: LabPaths): string {
  return join(paths.controller, 'ca', 'root-cert.pem');
}

export function controllerEnv(settings: MeshSettings): Env {
  const { paths } = settings;
  return {
    ...commonEnv(settings),
    AMBIT_CONFIG_DIRS: [...settings.sources, paths.objects].join(':'),
    AMBIT_STATE_DIR: paths.controller,
    AMBIT_TOKEN_JWKS: paths.tokenKeys,
    // The lab starts nothing in a pod before its agent has answered.
    AMBIT_PODS_WAIT_FOR_AGENT: 'true',
    AMBIT_SERVING_NAMES: [CONTROLLER.v4, CONTROLLER.v6, ...settings.controllerNames].join(','),
  };
}

export function agentSubject(node: LabNode): TokenSubject {
  const name = `${AGENT_ACCOUNT}-${node.name}`;
  return {
    namespace: MESH_NAMESPACE,
    serviceAccount: AGENT_ACCOUNT,
    pod: { name, uid: `lab-${name}` },
    node: node.name,
  };
}

export function agentFolder(paths: LabPaths, node: LabNode): string {
  return join(paths.nodes, node.name);
}

export function agentEnv(settings: MeshSettings, node: LabNode, tokenFile: string): Env {
  const folder = agentFolder(settings.paths, node);
  return {
    ...commonEnv(settings),
    ...proxyEnv(settings, agentSubject(node), tokenFile),
    INSTANCE_IP: node.address.v4,
    AMBIT_RUN_DIR: folder,
    AMBIT_ADMIN_SOCKET: join(folder, 'admin.sock'),
  };
}

export interface WaypointInstance {
  readonly subject: TokenSubject;
  readonly tokenFile: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
}

/** `NAMESPACE/NAME` of the Gateway that a waypoint's pod belongs to. */
export function gatewayOf({ subject, labels }: WaypointInstance): {
  namespace: string;
  name: string;
} {
  return {
    namespace: subject.namespace,
    name: labels[GATEWAY_LABEL] ?? subject.serviceAccount,
  };
}

export function waypointEnv(settings: MeshSettings, instance: WaypointInstance): Env {
  const gateway = gatewayOf(instance);
  const folder = waypointFolder(settings.paths, gateway.namespace, gateway.name);
  return {
    ...commonEnv(settings),
    ...proxyEnv(settings, instance.subject, instance.tokenFile),
    INSTANCE_IP: instance.address,
    GATEWAY: `${gateway.namespace}/${gateway.name}`,
    AMBIT_ADMIN_SOCKET: join(folder, 'admin.sock'),
  };
}

function commonEnv({ clusterDomain, trustDomain }: MeshSettings): Env {
  const compileCache = process.env['NODE_COMPILE_CACHE'];
  return {
    PATH: POD_PATH,
    // From source, most of a start is reading it.
    ...(compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache }),
    HOME: '/tmp',
    TRUST_DOMAIN: trustDomain,
    CLUSTER_DOMAIN: clusterDomain,
    ROOT_NAMESPACE: MESH_NAMESPACE,
    CLUSTER_ID: 'Kubernetes',
    ISTIO_META_CLUSTER_ID: 'Kubernetes',
  };
}

function proxyEnv({ paths }: MeshSettings, subject: TokenSubject, tokenFile: string): Env {
  const controller = `https://${CONTROLLER.v4}:${XDS_PORT}`;
  return {
    NODE_NAME: subject.node,
    POD_NAME: subject.pod.name,
    POD_NAMESPACE: subject.namespace,
    SERVICE_ACCOUNT: subject.serviceAccount,
    NETWORK: '',
    XDS_ADDRESS: controller,
    CA_ADDRESS: controller,
    XDS_ROOT_CA: rootCertificate(paths),
    CA_ROOT_CA: rootCertificate(paths),
    CRL_PATH: revocationLists(paths),
    AMBIT_TOKEN_PATH: tokenFile,
    // A lab is the same wherever it runs, whatever its machine allows.
    AMBIT_WORKERS: '1',
  };
}
