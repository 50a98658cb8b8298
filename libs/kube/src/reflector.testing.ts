/** A reflector of widgets on a fake server, and a record of what it told. Tests only. */
import { systemClock } from '@ambit/core';
import { Discovery } from './discovery.ts';
import { FakeApiServer, type FakeKind } from './fake-api-server.ts';
import { KubeHttp } from './http.ts';
import { Reflector } from './reflector.ts';
import type { ReflectorOptions } from './reflector-options.ts';
import type { ReflectorEvent } from './reflector-store.ts';

export const WIDGETS: FakeKind = {
  group: 'test.ambit.io',
  versions: ['v1', 'v1beta1'],
  resource: 'widgets',
  kind: 'Widget',
};

export interface Kept {
  readonly name: string;
  readonly size: unknown;
}

export interface Bed extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly discovery: Discovery;
  readonly reflector: Reflector<Kept>;
  /** `added a/x`, `deleted a/y`, `synced`, `malformed a/z`. */
  readonly told: string[];
}

/** A server with widgets a/one and a/two and a reflector that has not begun. */
export async function bed(
  options: Partial<ReflectorOptions<Kept>> & { readonly kinds?: readonly FakeKind[] } = {},
): Promise<Bed> {
  const server = new FakeApiServer(options.kinds ?? [WIDGETS]);
  await server.start();
  server.put('widgets', widget('one', 1));
  server.put('widgets', widget('two', 2));
  const http = new KubeHttp({ credentials: server.credentials, clock: systemClock });
  const discovery = new Discovery({ http, clock: systemClock, pollMs: 20 });
  const told: string[] = [];
  const reflector = new Reflector<Kept>({
    http,
    discovery,
    clock: systemClock,
    resource: { group: 'test.ambit.io', resource: 'widgets', versions: ['v1'] },
    prune: (object) => ({
      name: object.metadata.name,
      size: (object['spec'] as { size: unknown }).size,
    }),
    onEvent: (event) => told.push(describeEvent(event)),
    backoff: { initialMs: 1, maxMs: 5, jitter: 0.2 },
    ...options,
  });
  return {
    server,
    discovery,
    reflector,
    told,
    async [Symbol.asyncDispose]() {
      await reflector.stop();
      await discovery.stop();
      http.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A list of widgets, as an `intercept` sees it. */
export const isList = (request: { url: URL; isWatch: boolean; method: string }): boolean =>
  !request.isWatch && request.url.pathname.endsWith('/widgets');

function describeEvent(event: ReflectorEvent<Kept>): string {
  return event.kind === 'synced' ? 'synced' : `${event.kind} ${event.key ?? '?'}`;
}

export function widget(name: string, size: unknown) {
  return { metadata: { namespace: 'a', name }, spec: { size } };
}

const WAIT_MS_MAX = 20_000;

/** Waits for a claim to become true. Throws when it has not after 20 s. */
export async function until(isTrue: () => boolean): Promise<void> {
  const end = systemClock.now() + WAIT_MS_MAX;
  while (!isTrue()) {
    if (systemClock.now() > end) {
      throw new Error(`not within ${WAIT_MS_MAX} ms: ${isTrue.toString()}`);
    }
    await systemClock.sleep(1);
  }
}
