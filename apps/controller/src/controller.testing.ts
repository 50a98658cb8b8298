/** The controller as a process, with folders of its own, and proxies that talk to it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { formatYaml } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { PodTokenIssuer } from '@ambit/identity';
import type { AdminObject } from '@ambit/model';
import {
  announceNames,
  buildNode,
  type ControlPlaneAddress,
  DeltaClient,
  fileText,
  openDeltaStream,
  type Rejection,
  type Subscription,
  TYPE_URL,
} from '@ambit/xds';
import type { ProxyIdentity } from './shop-objects.testing.ts';
import { until } from './until.testing.ts';

/** One response, as a proxy saw it. */
export interface Received {
  readonly type: string;
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export class TestController {
  readonly folder: string;
  readonly configDir: string;
  readonly objectsDir: string;
  readonly stateDir: string;
  readonly tokens: PodTokenIssuer;
  /** The same for every start, so that proxies find it again. */
  readonly #port: number;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(folder: string, tokens: PodTokenIssuer, port: number) {
    this.folder = folder;
    this.#port = port;
    this.configDir = join(folder, 'config');
    this.objectsDir = join(folder, 'objects');
    this.stateDir = join(folder, 'state');
    this.tokens = tokens;
  }

  static async create(): Promise<TestController> {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-c-'));
    const tokens = await PodTokenIssuer.create({ clock: systemClock });
    const controller = new TestController(folder, tokens, await freePort());
    for (const dir of [controller.configDir, controller.objectsDir, controller.stateDir]) {
      await mkdir(dir);
    }
    writeFileSync(join(folder, 'jwks.json'), JSON.stringify(tokens.jwks()));
    return controller;
  }

  get output(): string {
    return this.#output;
  }

  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
        AMBIT_CONFIG_DIRS: `${this.configDir}:${this.objectsDir}`,
        AMBIT_STATE_DIR: this.stateDir,
        AMBIT_XDS_ADDRESS: `127.0.0.1:${this.#port}`,
        AMBIT_METRICS_ADDRESS: '127.0.0.1:0',
        AMBIT_ADMIN_ADDRESS: '127.0.0.1:0',
        AMBIT_TOKEN_JWKS: join(this.folder, 'jwks.json'),
        AMBIT_PODS_WAIT_FOR_AGENT: 'true',
        ...env,
      },
    });
    this.#process = child;
    this.#output = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    const serving = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#output += `${line}\n`;
      const entry = JSON.parse(line) as { message: string };
      if (entry.message === 'serving') serving.resolve();
    });
    child.once('exit', (code) => serving.reject(new Error(`exit ${code}: ${this.#output}`)));
    await serving.promise;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Replaced whole, as editors and the lab do. */
  write(name: string, ...objects: readonly unknown[]): void {
    this.writeText(name, objects.map(formatYaml).join('---\n'));
  }

  writeText(name: string, text: string): void {
    const path = join(this.configDir, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }

  remove(name: string): void {
    rmSync(join(this.configDir, name));
  }

  address(identity: ProxyIdentity): ControlPlaneAddress {
    const { namespace, serviceAccount, pod, node } = identity;
    return {
      address: `127.0.0.1:${this.#port}`,
      rootCa: fileText(join(this.stateDir, 'ca', 'root-cert.pem')),
      clusterId: 'Kubernetes',
      token: () =>
        this.tokens.mint({
          namespace,
          serviceAccount,
          pod: { name: pod, uid: `uid-${pod}` },
          node,
          ttlSeconds: 600,
        }),
    };
  }

  get(path: string): Promise<{ readonly status: number; readonly json: unknown }> {
    const socketPath = join(this.stateDir, 'admin.sock');
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, path }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = response.headers['content-type'] === 'application/json';
          const json: unknown = isJson ? JSON.parse(text) : text;
          resolve({ status: response.statusCode ?? 0, json });
        });
      });
      call.on('error', reject);
      call.end();
    });
  }

  /** `type=status reason` of an object's conditions. */
  async conditions(key: string): Promise<readonly string[]> {
    const { json } = await this.get(`/v1/objects/${key}`);
    const conditions = (json as AdminObject).status?.conditions ?? [];
    return conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  }

  async waitForCondition(key: string, wanted: string): Promise<void> {
    let seen: readonly string[] = [];
    await until(
      async () => {
        seen = await this.conditions(key);
        return seen.includes(wanted);
      },
      () => `${key}: wanted ${wanted}, is ${seen.join(', ')}`,
    );
  }
}

/** A proxy that records what it gets, and refuses what it is told to. */
export class TestProxy {
  readonly received: Received[] = [];
  readonly held = new Map<string, Map<string, Uint8Array>>();
  refuse: (name: string, value: Uint8Array) => string | undefined = () => undefined;
  readonly #client: DeltaClient;
  #controller: Pick<TestController, 'address'>;

  constructor(
    controller: Pick<TestController, 'address'>,
    identity: ProxyIdentity,
    gateway?: string,
  ) {
    this.#controller = controller;
    const types =
      identity.type === 'ztunnel'
        ? [TYPE_URL.enrolment, TYPE_URL.authorization, TYPE_URL.address]
        : [TYPE_URL.address, TYPE_URL.object];
    const { type, namespace, pod, serviceAccount, node } = identity;
    this.#client = new DeltaClient({
      clock: systemClock,
      open: (signal) => openDeltaStream(this.#controller.address(identity))(signal),
      node: buildNode({
        type,
        ip: '127.0.0.1',
        podName: pod,
        namespace,
        metadata: {
          NODE_NAME: node,
          SERVICE_ACCOUNT: serviceAccount,
          ...(gateway === undefined ? {} : { GATEWAY: gateway }),
        },
      }),
      subscriptions: [
        ...types.map((typeUrl) => this.#record(typeUrl)),
        announceNames(TYPE_URL.capture),
      ],
    });
  }

  async start(): Promise<void> {
    this.#client.start();
    await until(
      () => Promise.resolve(this.#client.status().isSynced),
      () => `not synced: ${this.#client.status().lastError ?? ''}`,
    );
  }

  /** From its next connection on. */
  moveTo(controller: Pick<TestController, 'address'>): void {
    this.#controller = controller;
  }

  capture(...uids: readonly string[]): void {
    this.#client.setNames(TYPE_URL.capture, new Set(uids));
  }

  async stop(): Promise<void> {
    await this.#client.stop();
  }

  async waitFor(found: () => boolean, what: string): Promise<void> {
    await until(
      () => Promise.resolve(found()),
      () => `${what}; got ${JSON.stringify(this.received)}`,
    );
  }

  #record(typeUrl: string): Subscription {
    const held = new Map<string, Uint8Array>();
    const type = typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
    this.held.set(type, held);
    return {
      typeUrl,
      mode: 'wildcard',
      apply: ({ changed, removed }) => {
        const rejections: Rejection[] = [];
        for (const { name, value } of changed) {
          const reason = this.refuse(name, value);
          if (reason === undefined) held.set(name, value);
          else rejections.push({ name, reason });
        }
        for (const name of removed) held.delete(name);
        this.received.push({ type, changed: changed.map(({ name }) => name), removed });
        return Promise.resolve(rejections);
      },
    };
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}
