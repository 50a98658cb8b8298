/** What a part of the controller is given, on a fake API server or a real one. Tests only. */
import { type Clock, systemClock } from '@ambit/core';
import {
  createKubeMetrics,
  Discovery,
  KubeClient,
  KubeHttp,
  type KubeObject,
  type KubeRequest,
} from '@ambit/kube';
import { answer, FakeApiServer, type FakeKind, type TestCluster } from '@ambit/kube/testing';
import { createRegistry, silentLogger } from '@ambit/telemetry';

import type { KubernetesContext } from './context.ts';

export const CONTROLLER_NAMESPACE = 'istio-system';

/** Knows what it waits for. */
class CountingHttp extends KubeHttp {
  pending = 0;

  override async json(request: KubeRequest): Promise<unknown> {
    this.pending += 1;
    try {
      return await super.json(request);
    } finally {
      this.pending -= 1;
    }
  }
}

/** Turns of the event loop in which whoever had an answer asks on. */
const QUIET_TURNS = 5;

export interface FakeCluster extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly context: KubernetesContext;
  /** Until nobody waits for an answer and nobody asks on; what waits for a clock does not count. */
  settle(): Promise<void>;
}

/** Answers merge patches as the API server does; the fake one replaces whole fields. */
export async function fakeCluster(
  kinds: readonly FakeKind[],
  clock: Clock = systemClock,
): Promise<FakeCluster> {
  const server = new FakeApiServer(kinds);
  await server.start();
  server.intercept = (request, response) => {
    const parts = request.url.pathname.split('/');
    const resources = new Set(kinds.map((kind) => kind.resource));
    const at = parts.findIndex((part) => resources.has(part));
    const [resource = '', name = ''] = parts.slice(at);
    const namespace = parts[at - 2] === 'namespaces' ? `${parts[at - 1]}/` : '';
    const old = server.get(resource, `${namespace}${name}`);
    if (request.method !== 'PATCH' || old === undefined) return false;
    const patch = JSON.parse(request.body) as KubeObject;
    const { resourceVersion = old.metadata.resourceVersion } = patch.metadata ?? {};
    if (resourceVersion !== old.metadata.resourceVersion) return false;
    answer(response, 200, server.put(resource, merged(old, patch) as KubeObject));
    return true;
  };
  const http = new CountingHttp({ credentials: server.credentials, clock: systemClock });
  const discovery = new Discovery({ http, clock: systemClock, pollMs: 20 });
  const client = new KubeClient({ http });
  return {
    server,
    context: contextOf({ http, client, discovery }, clock),
    async settle() {
      for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
        await systemClock.sleep(1);
        if (http.pending > 0) quiet = -1;
      }
    },
    async [Symbol.asyncDispose]() {
      await discovery.stop();
      http.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

export function contextOf(
  { http, client, discovery }: Pick<TestCluster, 'http' | 'client' | 'discovery'>,
  clock: Clock = systemClock,
  namespace = CONTROLLER_NAMESPACE,
): KubernetesContext {
  const metrics = createKubeMetrics(createRegistry());
  const log = silentLogger();
  return { http, client, discovery, metrics, clock, log, namespace, podName: 'ambit-controller-0' };
}

function merged(old: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const before = typeof old === 'object' && old !== null && !Array.isArray(old) ? old : {};
  const result: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}
