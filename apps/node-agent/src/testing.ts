/** A controller in the test's process and the agent as a process of its own; for lab tests only. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import { CertificateAuthority, PodTokenIssuer } from '@ambit/identity';
import type { Address, Enrolment, Workload } from '@ambit/model';
import { service as anyService, workload as anyWorkload } from '@ambit/model/testing';
import {
  addressResource,
  ControlPlaneServer,
  DeltaServer,
  enrolmentResource,
  loadContentHash,
  type Resource,
  type ResourceChange,
  type ResourceSource,
  TYPE_URL,
} from '@ambit/xds';

const NODE = 'node1';
const AGENT = {
  namespace: 'istio-system',
  name: 'agent-node1',
  serviceAccount: 'ztunnel',
} as const;

/** A folder that is gone at the end. */
export class Workspace implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'ambit-agent-'));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class TestController implements ResourceSource {
  readonly delta: DeltaServer;
  readonly #server: ControlPlaneServer;
  readonly #hash: Awaited<ReturnType<typeof loadContentHash>>;
  readonly #resources = new Map<string, ReadonlyMap<string, Resource>>();
  readonly #listeners = new Set<(change: ResourceChange) => void>();
  readonly #folder: string;
  port = 0;

  private constructor(parts: {
    folder: string;
    authority: CertificateAuthority;
    tokens: PodTokenIssuer;
    hash: Awaited<ReturnType<typeof loadContentHash>>;
  }) {
    this.#folder = parts.folder;
    this.#hash = parts.hash;
    const { authority, tokens } = parts;
    this.delta = new DeltaServer({ clock: systemClock, source: this });
    this.#server = new ControlPlaneServer({
      delta: this.delta,
      verifier: tokens,
      certificates: {
        verifier: tokens,
        authority,
        // Whatever is asked for runs there.
        index: {
          pod: () => ({ uid: 'agent', serviceAccount: AGENT.serviceAccount, node: NODE }),
          hasPodOnNode: () => true,
        },
        trustedNodeAccounts: new Set([`${AGENT.namespace}/${AGENT.serviceAccount}`]),
      },
      serving: authority.issueServing({ names: ['127.0.0.1'], ttlSeconds: 3600 }),
    });
  }

  static async start(folder: string): Promise<TestController> {
    const clock = systemClock;
    const authority = await CertificateAuthority.openOwn({
      folder: join(folder, 'ca'),
      trustDomain: 'cluster.local',
      clock,
      defaultTtlSeconds: 3600,
    });
    const tokens = await PodTokenIssuer.create({ clock });
    const controller = new TestController({
      folder,
      authority,
      tokens,
      hash: await loadContentHash(),
    });
    controller.port = await controller.#server.listen('127.0.0.1:0');
    writeFileSync(join(folder, 'root.pem'), authority.rootBundlePem);
    const token = await tokens.mint({
      namespace: AGENT.namespace,
      serviceAccount: AGENT.serviceAccount,
      pod: { name: AGENT.name, uid: 'agent' },
      node: NODE,
      ttlSeconds: 3600,
    });
    writeFileSync(join(folder, 'token'), token);
    return controller;
  }

  resources(typeUrl: string): ReadonlyMap<string, Resource> {
    return this.#resources.get(typeUrl) ?? new Map();
  }

  onChange(listener: (change: ResourceChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setAddresses(addresses: readonly Address[]): void {
    this.#set(
      TYPE_URL.address,
      addresses.map((address) => addressResource(address, this.#hash)),
    );
  }

  setEnrolments(enrolments: readonly Enrolment[]): void {
    this.#set(
      TYPE_URL.enrolment,
      enrolments.map((one) => enrolmentResource(one, this.#hash)),
    );
  }

  /** What agents say that they have captured. */
  get captured(): readonly string[] {
    return this.delta
      .streams()
      .flatMap((stream) => [...(stream.types.get(TYPE_URL.capture)?.names ?? [])]);
  }

  /** `host`: a path to the namespace that stands for the node's own. */
  environment(runDir: string, host: string): Readonly<Record<string, string>> {
    const root = join(this.#folder, 'root.pem');
    return {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      NODE_NAME: NODE,
      POD_NAME: AGENT.name,
      POD_NAMESPACE: AGENT.namespace,
      SERVICE_ACCOUNT: AGENT.serviceAccount,
      XDS_ADDRESS: `https://127.0.0.1:${this.port}`,
      XDS_ROOT_CA: root,
      CA_ROOT_CA: root,
      AMBIT_TOKEN_PATH: join(this.#folder, 'token'),
      AMBIT_RUN_DIR: runDir,
      AMBIT_HOST_NETNS: host,
      AMBIT_ADMIN_ADDRESS: '127.0.0.1:0',
      AMBIT_METRICS_ADDRESS: '127.0.0.1:0',
      AMBIT_READINESS_ADDRESS: '127.0.0.1:0',
      TERMINATION_GRACE_PERIOD_SECONDS: '3',
    };
  }

  stop(): void {
    this.#server.stop();
  }

  #set(typeUrl: string, resources: readonly Resource[]): void {
    const before = this.resources(typeUrl);
    this.#resources.set(typeUrl, new Map(resources.map((resource) => [resource.name, resource])));
    const names = new Set([...before.keys(), ...resources.map(({ name }) => name)]);
    for (const listener of this.#listeners) {
      listener({ typeUrl, names });
    }
  }
}

export class AgentProcess {
  readonly child: ChildProcess;
  readonly #runDir: string;
  readonly #ended: Promise<unknown>;
  output = '';

  private constructor(child: ChildProcess, runDir: string) {
    this.child = child;
    this.#runDir = runDir;
    this.#ended = once(child, 'exit');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  /** Resolves when it serves pods. */
  static async start(
    env: Readonly<Record<string, string>>,
    settings: { readonly isReplacing?: boolean } = {},
  ): Promise<AgentProcess> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
      env: { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const agent = new AgentProcess(child, env['AMBIT_RUN_DIR'] ?? '');
    const isUp = (): boolean => agent.output.includes('"message":"serving pods"');
    await until(
      () => isUp() || child.exitCode !== null,
      settings.isReplacing ? 'takeover' : 'start',
    );
    if (!isUp()) {
      throw new Error(`the agent ended: ${agent.output}`);
    }
    return agent;
  }

  async call(method: string, path: string, body?: unknown, socket = 'agent.sock') {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: unknown }>();
    const outgoing = request(
      { socketPath: join(this.#runDir, socket), method, path, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: parse(text) });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    return await promise;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal);
    await this.#ended;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Polls until it holds; the test's own timeout is the limit. */
export async function until(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = systemClock.now() + 20_000;
  while (!(await check())) {
    if (systemClock.now() > deadline) {
      throw new Error(`did not happen: ${what}`);
    }
    await systemClock.sleep(20);
  }
}

export function workload(name: string, address: string, extra: Partial<Workload> = {}): Address {
  return {
    kind: 'workload',
    workload: anyWorkload(name, { addresses: [address], node: NODE, ...extra }),
  };
}

export function service(name: string, addresses: readonly string[]): Address {
  const meshService = anyService(name, {
    addresses: addresses.map((address) => ({ network: '', address })),
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'TCP' }],
    canonical: true,
  });
  return { kind: 'service', service: meshService };
}

export const SHOP_ENROLLED: Enrolment = {
  namespace: 'shop',
  mode: 'ambient',
  exceptions: [],
  dnsCapture: true,
};
