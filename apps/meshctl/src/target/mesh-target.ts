/**
 * Which mesh a command asks: the controller that is named, else the only lab that runs, else the cluster of the
 * kubeconfig. `--context` and `--kubeconfig` name a cluster, whatever else there is.
 */
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.ts';
import { EXIT, UserError } from '../errors.ts';
import { type Cluster, connect } from '../install/cluster.ts';
import { clusterMesh } from './cluster-mesh.ts';
import { labAround, labsRunning, socketMesh } from './lab-mesh.ts';
import { type TargetOptions, targetOptionsOf } from './target-options.ts';

/** One program's admin API, and what is known of it without asking. */
export interface AdminOf {
  /** Pod of a controller, node of an agent, `namespace/name` of a waypoint. */
  readonly name: string;
  readonly client: AdminClient;
  /** `namespace/name` of its pod. */
  readonly pod?: string;
  readonly node?: string;
  readonly version?: string;
  readonly isReady: boolean;
}

export interface ProxyAdmin extends AdminOf {
  readonly kind: 'node-agent' | 'waypoint';
  /** `namespace/name` of a waypoint's Deployment: another than its Gateway's where that says so. */
  readonly deployment?: string;
}

export interface MeshTarget {
  /** For people: `lab "default"`, `namespace istio-system of https://…`. */
  readonly where: string;
  /** Of a mesh on Kubernetes. */
  readonly cluster?: Cluster;
  readonly meshNamespace: string;
  /** Of a lab. */
  readonly logsFolder?: string;
  /** Of the context; names without one are looked for there. Absent: everywhere. */
  readonly namespace?: string;
  /** Replicas, those that are ready first. Throws a UserError when there is none. */
  controllers(): Promise<readonly AdminOf[]>;
  proxies(): Promise<readonly ProxyAdmin[]>;
  /** Node that a pod runs on; undefined if there is no such pod. */
  nodeOf(namespace: string | undefined, pod: string): Promise<string | undefined>;
}

/** Throws a UserError with exit code 69 when there is none, or it is not clear which. */
export function meshOf(command: Command): MeshTarget {
  const options = targetOptionsOf(command);
  const named = options.controller ?? process.env['AMBIT_CONTROLLER'] ?? '';
  if (named !== '') return labAround(named) ?? socketMesh(named);
  if (options.context !== undefined || options.kubeconfig !== undefined) {
    return clusterMesh(connect(options), options);
  }
  const { root, labs } = labsRunning();
  const [only] = labs;
  if (only !== undefined && labs.length === 1) return only;
  if (only !== undefined) {
    throw new UserError('it is not clear which controller to ask', {
      why: `${labs.length} labs run: ${labs.map(({ name }) => name).join(', ')}`,
      fix: `choose one: --controller ${only.socket}; or a cluster: --context NAME`,
      exitCode: EXIT.unavailable,
    });
  }
  return clusterMesh(connectElse(options, root), options);
}

/** A replica that is ready; of several any, since all know the same. */
export async function controllerOf(command: Command): Promise<AdminClient> {
  const [first] = await meshOf(command).controllers();
  if (first === undefined) throw new TypeError('a target has no controller and did not say so');
  return first.client;
}

function connectElse(options: TargetOptions, labRoot: string): Cluster {
  try {
    return connect(options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError('no controller to ask', {
      why: `neither --controller nor AMBIT_CONTROLLER names one; no lab runs in "${labRoot}"; and ${error.why ?? 'there is no kubeconfig'}`,
      fix: 'name a cluster (--context, --kubeconfig), start a lab (meshctl lab up -f DIR), or name an admin socket (--controller)',
      exitCode: EXIT.unavailable,
      cause: error,
    });
  }
}
