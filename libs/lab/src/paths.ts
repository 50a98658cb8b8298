/**
 * Where a lab keeps its files. One rule: unix socket paths stay under 100 bytes, because the kernel takes 108
 * and some programs add a suffix while they bind.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { LabError } from './errors.ts';

/** sun_path holds 108 bytes with its terminator. */
const SOCKET_PATH_BYTES_MAX = 100;
const NAME = /^[a-z0-9](?:[-a-z0-9]{0,30}[a-z0-9])?$/;

export interface LabPaths {
  readonly root: string;
  readonly record: string;
  readonly controlSocket: string;
  readonly objects: string;
  /** What `apply` was given; a later configuration folder than the user's. */
  readonly applied: string;
  readonly controller: string;
  readonly nodes: string;
  readonly waypoints: string;
  readonly tokens: string;
  readonly tokenKeys: string;
  readonly logs: string;
  readonly pods: string;
  readonly captures: string;
}

/** `${AMBIT_LAB_ROOT:-${XDG_RUNTIME_DIR:-/tmp}/ambit-lab-UID}`: where the labs of this user are. */
export function labsRoot(env: NodeJS.ProcessEnv, uid: number): string {
  return env['AMBIT_LAB_ROOT'] ?? join(env['XDG_RUNTIME_DIR'] ?? '/tmp', `ambit-lab-${uid}`);
}

/** Throws `LAB_INVALID_OPTION` for a name that is no DNS label of at most 32 characters, or too long a path. */
export function labPaths(root: string, name: string): LabPaths {
  if (!NAME.test(name)) {
    throw new LabError(
      'LAB_INVALID_OPTION',
      `lab name "${name.slice(0, 80)}" is not a DNS label of at most 32 characters`,
    );
  }
  const lab = join(root, name);
  const paths = {
    root: lab,
    record: join(lab, 'lab.json'),
    controlSocket: join(lab, 'lab.sock'),
    objects: join(lab, 'objects'),
    applied: join(lab, 'applied'),
    controller: join(lab, 'controller'),
    nodes: join(lab, 'nodes'),
    waypoints: join(lab, 'waypoints'),
    tokens: join(lab, 'tokens'),
    tokenKeys: join(lab, 'token-jwks.json'),
    logs: join(lab, 'logs'),
    pods: join(lab, 'pods'),
    captures: join(lab, 'captures'),
  };
  const longest = join(paths.nodes, 'node32', 'admin.sock');
  if (Buffer.byteLength(longest) > SOCKET_PATH_BYTES_MAX) {
    throw new LabError(
      'LAB_INVALID_OPTION',
      `the lab's folder "${lab}" is too long for unix sockets; set AMBIT_LAB_ROOT to a shorter one`,
    );
  }
  return paths;
}

/** Folder of a waypoint's admin socket, `waypoints/NAMESPACE.NAME`, with a hash where that would be too long. */
export function waypointFolder(paths: LabPaths, namespace: string, name: string): string {
  const folder = join(paths.waypoints, `${namespace}.${name}`);
  if (Buffer.byteLength(join(folder, 'admin.sock')) <= SOCKET_PATH_BYTES_MAX) {
    return folder;
  }
  const hash = createHash('sha256').update(`${namespace}/${name}`).digest('hex').slice(0, 12);
  return join(paths.waypoints, hash);
}
