/** A controller's admin socket with answers of our own, and meshctl as a process, for tests. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type MeshObject, objectKey, parseObject, parseYaml } from '@ambit/api';
import {
  type AdminCertificate,
  type AdminController,
  type AdminObject,
  type AdminProxy,
  encodeSnapshot,
  MeshModel,
  meshSummary,
  type ObjectStatus,
} from '@ambit/model';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

/** The wall time of every fake. */
export const NOW_MS = 1_000_000_000_000;

export interface FakeState {
  readonly yaml?: string;
  readonly controller?: Partial<AdminController>;
  readonly proxies?: readonly AdminProxy[];
  readonly certificates?: readonly AdminCertificate[];
  /** Replaces what the model says of objects, or adds objects that were refused. */
  readonly statuses?: readonly ObjectStatus[];
  /** It has no page for a summary. */
  readonly isOld?: boolean;
  /** Absent: it says nothing of its CA. */
  readonly ca?: unknown;
}

/** Serves what a controller with these objects would. */
export class FakeController implements AsyncDisposable {
  readonly socket: string;
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string, server: Server) {
    this.#folder = folder;
    this.#server = server;
    this.socket = join(folder, 'admin.sock');
  }

  static async start(state: FakeState): Promise<FakeController> {
    const answers = answersOf(state);
    return await FakeController.startWith((path) => {
      const body = answers(path);
      return body === undefined
        ? { status: 404, text: '{"error":"not found"}' }
        : { status: 200, text: JSON.stringify(body) };
    });
  }

  static async startWith(
    answer: (path: string) => { readonly status: number; readonly text: string },
  ): Promise<FakeController> {
    const server = createServer((request, response) => {
      const { status, text: body } = answer(request.url ?? '');
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
    const fake = new FakeController(mkdtempSync(join(tmpdir(), 'meshctl-')), server);
    await new Promise<void>((resolve) => server.listen(fake.socket, resolve));
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly controller?: string;
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const compileCache = mkdtempSync(join(tmpdir(), 'meshctl-cache-'));
process.once('exit', () => rmSync(compileCache, { recursive: true, force: true }));

/** meshctl as a person starts it; without a controller, no lab or cluster of this machine is found either. */
export async function runMeshctl(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { controller, stdin = '', env } = options;
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: 'pipe',
    env: {
      PATH: process.env['PATH'],
      // Dozens of starts read the same sources.
      NODE_COMPILE_CACHE: compileCache,
      AMBIT_LAB_ROOT: join(tmpdir(), 'meshctl-no-labs'),
      KUBECONFIG: join(tmpdir(), 'meshctl-no-kubeconfig'),
      ...(controller === undefined ? {} : { AMBIT_CONTROLLER: controller }),
      ...env,
    },
  });
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

function answersOf(state: FakeState): (path: string) => unknown {
  const objects = parseAll(state.yaml ?? '');
  const model = new MeshModel(OPTIONS);
  model.apply({ upserts: objects });
  const { outputs } = model;
  const statuses = new Map([
    ...outputs.statuses,
    ...(state.statuses ?? []).map((status) => [status.key, status] as const),
  ]);
  const byKey = new Map(objects.map((object) => [objectKey(object), object]));
  const items = [...new Set([...byKey.keys(), ...statuses.keys()])].map((key): AdminObject => {
    const object = byKey.get(key);
    const status = statuses.get(key);
    return { key, ...(object && { object }), ...(status && { status }) };
  });
  const addresses = [...outputs.addresses.values()];
  const lists: Readonly<Record<string, unknown>> = {
    '/v1/objects': { items },
    '/v1/summary':
      state.isOld === true
        ? undefined
        : meshSummary(items, state.proxies ?? [], state.controller?.revision),
    '/v1/ca': state.ca,
    '/v1/snapshot': encodeSnapshot(outputs, { ...OPTIONS, takenAtMs: NOW_MS }),
    '/v1/proxies': {
      controller: { ...CONTROLLER, objects: objects.length, ...state.controller },
      proxies: state.proxies ?? [],
    },
    '/v1/workloads': {
      items: addresses.flatMap((address) =>
        address.kind === 'workload' ? [address.workload] : [],
      ),
    },
    '/v1/services': {
      items: addresses.flatMap((address) => (address.kind === 'service' ? [address.service] : [])),
    },
    '/v1/certificates': { items: state.certificates ?? [] },
  };
  return (path) => lists[path] ?? items.find(({ key }) => path === `/v1/objects/${key}`);
}

const CONTROLLER: AdminController = {
  version: '0.1.0',
  nowMs: NOW_MS,
  startedAtMs: NOW_MS - 600_000,
  changedAtMs: NOW_MS - 30_000,
  trustDomain: 'cluster.local',
  objects: 0,
  refused: 0,
  root: { notAfterMs: NOW_MS + 10 * 365 * 86_400_000 },
};

function parseAll(yaml: string): readonly MeshObject[] {
  return parseYaml(yaml, { source: 'test' }).documents.map(({ value }) => {
    const { object, findings } = parseObject(value);
    assert.ok(object !== undefined, JSON.stringify(findings));
    return object;
  });
}

/** One mesh for all tests of the file that calls this. */
export function meshOfAllTests(state: FakeState): {
  /** Of its controller, while tests run. */
  readonly socket: string;
  /** Runs meshctl against it. */
  run(...args: readonly string[]): Promise<Ran>;
} {
  let controller: FakeController | undefined;
  before(async () => {
    controller = await FakeController.start(state);
  });
  after(async () => {
    await controller?.[Symbol.asyncDispose]();
  });
  const socket = (): string => controller?.socket ?? '';
  return {
    get socket() {
      return socket();
    },
    run: async (...args) => await runMeshctl(args, { controller: socket() }),
  };
}
