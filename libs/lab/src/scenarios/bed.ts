/** What the scenario tests share: YAML of a small world, and a lab with it. Imported by tests only. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MeshObject, parseObject, parseYaml } from '@ambit/api';
import type { AdminObject } from '@ambit/model';
import type { Lab } from '../lab.ts';
import type { MeshExtraEnv } from '../mesh.ts';
import type { Env } from '../mesh-programs.ts';
import { waypointFolder } from '../paths.ts';
import type { LabPod } from '../pod.ts';
import { type LabOptions, labStart } from '../start.ts';
import { unixGet } from '../unix-get.ts';
import { Caller } from './caller.ts';

/** Of a world whose programs start on a machine that others use too. */
const READY_MS_MAX = 90_000;

const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';

export const PROGRAMS = join(import.meta.dirname, 'programs');

/** A namespace; `mode` is its `istio.io/dataplane-mode`, none by default. */
export function namespaceYaml(
  name: string,
  labels: Readonly<Record<string, string>> = { 'istio.io/dataplane-mode': 'ambient' },
): string {
  return yaml({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}

export interface EchoOptions {
  readonly name: string;
  readonly namespace?: string;
  readonly app?: string;
  readonly version?: string;
  readonly node?: string;
  readonly replicas?: number;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A Deployment of `programs/echo.mjs`; its Service is `serviceYaml`. */
export function echoYaml(options: EchoOptions): string {
  const { name, namespace = 'shop', app = name, version = 'v1', replicas = 1 } = options;
  const labels = { app, version, ...options.labels };
  const spec = {
    serviceAccountName: options.serviceAccount ?? app,
    ...(options.node === undefined ? {} : { nodeName: options.node }),
    containers: [
      {
        name: 'echo',
        command: ['node', 'echo.mjs'],
        env: [{ name: 'VERSION', value: version }],
        ports: [
          { name: 'http', containerPort: 8080 },
          { name: 'tcp', containerPort: 9000 },
          { name: 'first', containerPort: 9001 },
          { name: 'large', containerPort: 9002 },
        ],
        readinessProbe: { tcpSocket: { port: 9002 }, periodSeconds: 1 },
      },
    ],
  };
  return yaml({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app, version } },
      template: { metadata: { labels }, spec },
    },
  });
}

/** Ports 80 (http), 9000 (tcp), 9001 (server speaks first), 9002 (large). */
export function serviceYaml(
  name: string,
  namespace = 'shop',
  extra: object = {},
  labels: Readonly<Record<string, string>> = {},
): string {
  return yaml({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels },
    spec: {
      selector: { app: name },
      ports: [
        { name: 'http', port: 80, targetPort: 'http' },
        { name: 'tcp', port: 9000, targetPort: 'tcp' },
        { name: 'tcp-first', port: 9001, targetPort: 'first' },
        { name: 'tcp-large', port: 9002, targetPort: 'large' },
      ],
      ...extra,
    },
  });
}

export interface ClientOptions {
  readonly name: string;
  readonly namespace?: string;
  readonly node?: string;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A pod that waits for a `Caller`. */
export function clientYaml(options: ClientOptions): string {
  const { name, namespace = 'shop', node, labels } = options;
  return yaml({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name, ...labels } },
    spec: {
      serviceAccountName: options.serviceAccount ?? name,
      ...(node === undefined ? {} : { nodeName: node }),
      containers: [{ name: 'wait', command: ['sleep', '1000000'] }],
    },
  });
}

/** JSON is YAML; one document. */
export function yaml(object: object): string {
  return `${JSON.stringify(object)}\n---\n`;
}

/** For `LabOptions.extraEnv`: every certificate lives so long. */
export function certificatesOf(seconds: number, controller: Env = {}): MeshExtraEnv {
  return {
    controller: { AMBIT_CERT_TTL_SECONDS: String(seconds), ...controller },
    agent: { SECRET_TTL: `${seconds}s` },
    waypoint: { SECRET_TTL: `${seconds}s` },
  };
}

export interface Bed extends AsyncDisposable {
  readonly lab: Lab;
  caller(pod: string): Caller;
}

/** A lab with this YAML, ready. Its folder is its own, so that test files do not meet. */
export async function makeBed(text: string, options: LabOptions = {}): Promise<Bed> {
  const root = mkdtempSync(join(tmpdir(), 'ambit-bed-'));
  const callers: Caller[] = [];
  const lab = await labStart({ name: 'bed', root, workingFolder: PROGRAMS, ...options });
  const dispose = async (): Promise<void> => {
    await Promise.all(callers.map((caller) => caller[Symbol.asyncDispose]()));
    await lab.close();
    rmSync(root, { recursive: true, force: true });
  };
  try {
    lab.apply(text);
    await lab.ready(READY_MS_MAX);
  } catch (error) {
    process.stderr.write(tailOfLogs(lab));
    await dispose();
    throw error;
  }
  return {
    lab,
    caller: (pod) => {
      const caller = new Caller(lab, pod);
      callers.push(caller);
      return caller;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Of all Gateways; their logs have the names of their keys. */
export function waypointPods(lab: Lab): readonly LabPod[] {
  return lab.cluster.pods.all.filter(({ plan }) => GATEWAY_NAME in plan.labels);
}

/** The ends of the mesh's logs, without single requests, for a test that fails. */
export function tailOfLogs(lab: Lab, lines = 30): string {
  const names = [
    ...(lab.mesh?.components.keys() ?? []),
    ...waypointPods(lab).map(({ key }) => key),
  ];
  const tail = (name: string): string =>
    lab
      .logs(name)
      .trimEnd()
      .split('\n')
      .filter((line) => !line.includes('"scope":"access"'))
      .slice(-lines)
      .join('\n');
  return names.map((name) => `--- ${name}\n${tail(name)}\n`).join('');
}

/** The JSON of an admin path: `controller`, `agent/node1`, `waypoint/ns/name`. */
export async function admin(
  lab: Lab,
  component: string,
  path: string,
  timeoutMs?: number,
): Promise<unknown> {
  return await unixGet(adminSocket(lab, component), path, timeoutMs);
}

function adminSocket(lab: Lab, component: string): string {
  const [kind, first = '', second = ''] = component.split('/');
  if (kind === 'agent') {
    return join(lab.paths.nodes, first, 'admin.sock');
  }
  return kind === 'waypoint'
    ? join(waypointFolder(lab.paths, first, second), 'admin.sock')
    : join(lab.paths.controller, 'admin.sock');
}

export interface ObjectCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** Conditions that the controller keeps for an object (`Kind/namespace/name`); empty while it has none. */
export function conditionsOf(lab: Lab, key: string): readonly ObjectCondition[] {
  let text: string;
  try {
    text = readFileSync(join(lab.paths.controller, 'status.json'), 'utf8');
  } catch {
    // Not written yet.
    return [];
  }
  const status: unknown = JSON.parse(text);
  return findConditions(status, key);
}

/** `{KEY: {conditions}}`, `{objects: {KEY: …}}` or a list of `{key, conditions}`. */
function findConditions(status: unknown, key: string): readonly ObjectCondition[] {
  if (Array.isArray(status)) {
    const entry: unknown = status.find((one) => isRecord(one) && one['key'] === key);
    return isRecord(entry) ? listOf(entry['conditions']) : [];
  }
  if (!isRecord(status)) {
    return [];
  }
  const entry = status[key];
  if (isRecord(entry)) {
    return listOf(entry['conditions']);
  }
  return Object.values(status)
    .filter((value) => typeof value === 'object')
    .flatMap((value) => findConditions(value, key));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): readonly ObjectCondition[] {
  return Array.isArray(value) ? (value as ObjectCondition[]) : [];
}

/** Waits until every proxy concerned has applied an object as it was applied last, not as it was before. */
export async function inForce(lab: Lab, key: string, timeoutMs = 20_000): Promise<void> {
  await lab.waitFor(
    async () => {
      const { object, status } = (await admin(
        lab,
        'controller',
        `/v1/objects/${key}`,
      )) as AdminObject;
      const conditions = status?.conditions ?? [];
      const enforced = conditions.find(({ type }) => type === 'Enforced');
      const isCounted = enforced?.observedGeneration === object?.metadata.generation;
      if (enforced?.status !== 'True' || !isCounted || !isAsApplied(lab, key, object)) {
        const said = conditions.map(
          ({ type, status: is, reason, message }) => `${type}=${is} ${reason}: ${message}`,
        );
        throw new Error(said.join('; ') || 'it has no conditions');
      }
      return true;
    },
    { what: `${key} to be enforced`, timeoutMs },
  );
}

/** The controller reads files a moment after they were written. True for objects that `apply` was not given. */
function isAsApplied(lab: Lab, key: string, object: MeshObject | undefined): boolean {
  let text: string;
  try {
    text = readFileSync(join(lab.paths.applied, `${key.replaceAll('/', '.')}.yaml`), 'utf8');
  } catch {
    return true; // from the lab's own folder
  }
  const [document] = parseYaml(text, { source: key }).documents;
  const { object: written } = parseObject(document?.value);
  return JSON.stringify(specOf(written)) === JSON.stringify(specOf(object));
}

function specOf(object: MeshObject | undefined): unknown {
  return object !== undefined && 'spec' in object ? object.spec : undefined;
}
