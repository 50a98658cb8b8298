/** The context of a replica, with what it logged, on an API server in this process or a real one. Tests only. */
import { afterEach, beforeEach } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { systemClock } from '@ambit/core';
import { Discovery, KubeClient, KubeHttp, type KubeObject } from '@ambit/kube';
import { answer, FakeApiServer, type FakeKind } from '@ambit/kube/testing';
import { createLogger, LogLevels } from '@ambit/telemetry';

import { contextOf } from '../context.testing.ts';
import type { KubernetesContext } from '../context.ts';

const KINDS: readonly FakeKind[] = [
  { group: '', versions: ['v1'], resource: 'secrets', kind: 'Secret' },
  { group: '', versions: ['v1'], resource: 'configmaps', kind: 'ConfigMap' },
  {
    group: 'cert-manager.io',
    versions: ['v1'],
    resource: 'certificaterequests',
    kind: 'CertificateRequest',
  },
  {
    group: 'admissionregistration.k8s.io',
    versions: ['v1'],
    resource: 'validatingwebhookconfigurations',
    kind: 'ValidatingWebhookConfiguration',
  },
];

export interface TestContext extends KubernetesContext {
  readonly lines: string[];
}

/** On any server; the caller closes the http. */
export function contextOn(
  credentials: ConstructorParameters<typeof KubeHttp>[0]['credentials'],
  namespace: string,
): TestContext {
  const clock = systemClock;
  const http = new KubeHttp({ credentials, clock });
  const lines: string[] = [];
  const client = new KubeClient({ http });
  const discovery = new Discovery({ http, clock });
  const log = createLogger({
    scope: 'trust',
    levels: new LogLevels('debug'),
    wallNow: () => clock.wallNow(),
    sink: { write: (line) => void lines.push(line) },
  });
  return { ...contextOf({ http, client, discovery }, clock, namespace), log, lines };
}

/** Applies whole objects: what others own in them is not kept, as a real server would. */
function applying(server: FakeApiServer): FakeApiServer['intercept'] {
  return (request, response) => {
    if (request.headers['content-type'] !== 'application/apply-patch+yaml') return false;
    const resource = request.url.pathname.split('/').at(-2) ?? '';
    const object = JSON.parse(request.body) as KubeObject;
    const { namespace, name } = object.metadata;
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    const old = server.get(resource, key);
    const isSame = old !== undefined && isDeepStrictEqual(bare(old), bare(object));
    answer(response, 200, isSame ? old : server.put(resource, object));
    return true;
  };
}

function bare({ metadata, ...object }: KubeObject): unknown {
  const { uid: _uid, resourceVersion: _version, ...rest } = metadata;
  return { ...object, metadata: rest };
}

export interface FakeBed extends AsyncDisposable {
  readonly server: FakeApiServer;
  /** One for each replica. */
  context(): TestContext;
}

export async function openFakeBed(): Promise<FakeBed> {
  const server = new FakeApiServer(KINDS);
  await server.start();
  server.intercept = applying(server);
  const contexts: TestContext[] = [];
  return {
    server,
    context() {
      const context = contextOn(server.credentials, 'mesh');
      contexts.push(context);
      return context;
    },
    async [Symbol.asyncDispose]() {
      for (const { discovery, http } of contexts) {
        await discovery.stop();
        http.close();
      }
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A server of its own for each test of the file or block that calls this. */
export interface BedOfEachTest extends Pick<FakeBed, 'server' | 'context'> {
  /** Done at the end of the test, the last one first, before the server goes. */
  atEnd(...closers: readonly (() => unknown)[]): void;
  /** Aborted at the end of the test. */
  term(): AbortController;
}

export function bedOfEachTest(): BedOfEachTest {
  let bed: FakeBed | undefined;
  const closers: (() => unknown)[] = [];
  const now = (): FakeBed => {
    if (bed === undefined) throw new Error('there is a server in tests only');
    return bed;
  };
  beforeEach(async () => {
    bed = await openFakeBed();
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    await bed?.[Symbol.asyncDispose]();
    bed = undefined;
  });
  return {
    get server() {
      return now().server;
    },
    context: () => now().context(),
    atEnd: (...more) => void closers.push(...more),
    term() {
      const term = new AbortController();
      closers.push(() => term.abort());
      return term;
    },
  };
}
