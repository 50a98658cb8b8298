/** A context on an API server that is in this process, and what tests of the trust wait with. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import { systemClock } from '@ambit/core';
import { createKubeMetrics, Discovery, KubeClient, KubeHttp, type KubeObject } from '@ambit/kube';
import { answer, FakeApiServer, type FakeKind } from '@ambit/kube/testing';
import { createLogger, createRegistry, LogLevels } from '@ambit/telemetry';

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
const PATIENCE_MS = 20_000;

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
  return {
    http,
    client: new KubeClient({ http }),
    discovery: new Discovery({ http, clock }),
    metrics: createKubeMetrics(createRegistry()),
    clock,
    log: createLogger({
      scope: 'trust',
      levels: new LogLevels('debug'),
      wallNow: () => clock.wallNow(),
      sink: { write: (line) => void lines.push(line) },
    }),
    namespace,
    podName: 'controller-0',
    lines,
  };
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

export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    assert.ok(
      performance.now() < deadline,
      `not within ${PATIENCE_MS} ms: ${typeof what === 'string' ? what : what()}`,
    );
    await systemClock.sleep(20);
  }
}
