/** The checks of nodes against reports of our own, without agents. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { FakeClock } from '@ambit/core/testing';
import { KubeClient } from '@ambit/kube';
import { type CheckResult, runChecks } from './check.ts';
import { NODE_CHECKS } from './node-checks.ts';

/** Reports by node; undefined: its agent answers 404. `others`: pods besides agents. */
export async function isChecked(
  reports: Readonly<Record<string, object | undefined>>,
  nowMs: number,
  others: readonly object[] = [],
): Promise<readonly CheckResult[]> {
  const nodes = Object.keys(reports);
  const servers = nodes.map((node) =>
    createServer((_, response) => {
      const report = reports[node];
      response.writeHead(report === undefined ? 404 : 200).end(JSON.stringify(report ?? {}));
    }).listen(0, '127.0.0.1'),
  );
  await Promise.all(
    servers.map((server) => new Promise((resolve) => server.once('listening', resolve))),
  );
  const agents = nodes.map((node, i) => ({
    metadata: { namespace: 'istio-system', name: `agent-${i}` },
    spec: { nodeName: node, containers: [{ name: 'a', image: 'x:0.1.0' }] },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  }));
  class FakeClient extends KubeClient {
    override async list(
      gvr: { readonly resource: string },
      options: { readonly labelSelector?: string } = {},
    ) {
      const { labelSelector } = options;
      if (gvr.resource !== 'pods') return [];
      if (labelSelector === undefined) return [...agents, ...others] as never;
      return (labelSelector === 'app.kubernetes.io/name=ambit-node-agent' ? agents : []) as never;
    }
    override portForward(_namespace: string, pod: string) {
      const server = servers[Number(pod.slice('agent-'.length))];
      assert.ok(server);
      return Promise.resolve(connect((server.address() as AddressInfo).port, '127.0.0.1'));
    }
  }
  const http = {
    credentials: { namespace: 'default' },
    open: () =>
      Promise.resolve({
        resume: () => undefined,
        headers: { date: new Date(nowMs).toUTCString() },
      }),
  };
  const client = new FakeClient({ http: http as never });
  const clock = new FakeClock({ wallStartMs: nowMs });
  try {
    const cluster = { client, clock, server: 'https://fake' };
    return await runChecks(NODE_CHECKS, { cluster, namespace: 'istio-system' });
  } finally {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}
