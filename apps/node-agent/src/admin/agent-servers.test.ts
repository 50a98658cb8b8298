/** What others than loopback can reach of the agent's own ports: metrics and readiness, and not a page more. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { systemClock } from '@ambit/core';
import {
  createLogger,
  LogLevels,
  loggingRoute,
  metricsRoute,
  profileRoutes,
  Readiness,
  readinessRoute,
} from '@ambit/telemetry';
import { parseConfig } from '../config.ts';
import { type AgentPages, agentRoutes } from './agent-routes.ts';
import { AgentServers } from './agent-servers.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}

const statusOf = async (port: number, path: string, method = 'GET'): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status;

/** The index of the admin socket. */
function indexOf(socketPath: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = request({ socketPath, path: '/' }, (response) => {
    let text = '';
    response.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    response.once('end', () => resolve(text));
  });
  call.once('error', reject);
  call.end();
  return promise;
}

it('19 CVE-2026-31838: shows nothing but metrics and readiness to others than loopback', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-servers-'));
  const [metrics, readiness] = [await freePort(), await freePort()];
  const config = parseConfig({
    ...{ NODE_NAME: 'node1', POD_NAME: 'agent-1', POD_NAMESPACE: 'istio-system' },
    ...{ SERVICE_ACCOUNT: 'ztunnel', AMBIT_RUN_DIR: folder },
    AMBIT_ADMIN_ADDRESS: '127.0.0.1:0',
    AMBIT_METRICS_ADDRESS: `127.0.0.1:${metrics}`,
    AMBIT_READINESS_ADDRESS: `127.0.0.1:${readiness}`,
  });
  const levels = new LogLevels('off');
  const log = createLogger({
    scope: 'agent',
    levels,
    sink: { write: () => undefined },
    wallNow: () => systemClock.wallNow(),
  });
  const servers = new AgentServers({ config, clock: systemClock, log });
  const ready = new Readiness();
  const metricsText = async (): Promise<string> => await Promise.resolve('');
  try {
    await servers.listenForPeople({
      // As the agent puts them together; what the pages show is not asked for.
      admin: [
        ...agentRoutes({} as AgentPages),
        readinessRoute('/ready', ready),
        metricsRoute('/metrics', metricsText),
        loggingRoute(levels),
        ...profileRoutes(systemClock),
      ],
      readiness: ready,
      metricsText,
    });
    const index = await indexOf(config.adminSocket);
    const pages = [...index.matchAll(/href="([^"]+)"/g)].map(([, path = '']) => `/${path}`);
    assert.ok(pages.includes('/config_dump') && pages.length > 8, index);
    const others = [
      ...pages,
      ...['/v1/objects', '/v1/policies', '/v1/workloads', '/v1/services', '/v1/certificates'],
      ...['/metrics/../config_dump', '/metrics/%2e%2e/config_dump', '/healthz/ready/config_dump'],
    ];
    for (const [port, open] of [
      [metrics, ['/metrics', '/stats/prometheus']],
      [readiness, ['/healthz/ready']],
    ] as const) {
      for (const path of open) {
        assert.equal(await statusOf(port, path), 200, path);
      }
      for (const path of others.filter((other) => !(open as readonly string[]).includes(other))) {
        for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
          assert.equal(await statusOf(port, path, method), 404, `${port} ${method} ${path}`);
        }
      }
    }
  } finally {
    servers.disown();
    await servers.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
