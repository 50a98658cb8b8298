/**
 * One client, and what it asks for all the time while something happens to the mesh: on new connections, on ones that stay, and
 * through a waypoint. The servers are two pods of a Service `web`, once in a namespace without waypoint and once in one with.
 */
import assert from 'node:assert/strict';
import type { Caller, HttpCall, LoadReport } from '@ambit/lab/testing';
import type { MeshCluster } from './mesh-cluster.ts';
import { deployment, ENROLLED, type Json, needsWaypoint, pod, service } from './objects.ts';

const EVERY_MS = 20;
/** Fewer say nothing. */
const SENT_MIN = 20;

export interface LoadedOptions {
  readonly mesh: MeshCluster;
  /** More objects of the namespace with the waypoint, before anything is waited for. Default: what makes one on demand. */
  readonly waypoint?: (namespace: string) => readonly Json[];
}

export interface UnderLoadOptions {
  /** How often each of the connections that stay may be cut, at the end of a grace period. */
  readonly cutsMax?: number;
}

/** What became of each of the loads while `change` happened. */
export async function reportsOf(
  caller: Caller,
  calls: Readonly<Record<string, HttpCall>>,
  change: () => Promise<void>,
): Promise<ReadonlyMap<string, LoadReport>> {
  for (const [name, call] of Object.entries(calls)) {
    await caller.startLoad(name, call, EVERY_MS);
  }
  const reports = new Map<string, LoadReport>();
  try {
    await change();
  } finally {
    for (const name of Object.keys(calls)) {
      reports.set(name, await caller.stopLoad(name));
    }
  }
  return reports;
}

export function requireNoFailure(reports: ReadonlyMap<string, LoadReport>): void {
  for (const [name, { sent, ok, errors }] of reports) {
    assert.deepEqual(errors, {}, `${name}: ${ok} of ${sent}`);
    assert.ok(sent > SENT_MIN, `${name}: ${sent} requests`);
  }
}

export class LoadedMesh {
  /** The namespaces without and with a waypoint. */
  readonly plain: string;
  readonly way: string;
  /** On the first node; the servers are on the second. */
  readonly caller: Caller;

  private constructor(plain: string, way: string, caller: Caller) {
    this.plain = plain;
    this.way = way;
    this.caller = caller;
  }

  /** Resolves when both services answer. */
  static async open({ mesh, waypoint }: LoadedOptions): Promise<LoadedMesh> {
    const plain = await mesh.namespace('direct', ENROLLED);
    const way = await mesh.namespace('way', ENROLLED);
    const [first, node] = mesh.nodes;
    await mesh.apply(
      ...(waypoint?.(way) ?? [needsWaypoint(way)]),
      ...[plain, way].flatMap((namespace) => [
        deployment(mesh.images, { name: 'web', namespace, program: 'go', node, replicas: 2 }),
        service({ name: 'web', namespace }),
      ]),
      pod(mesh.images, { name: 'client', namespace: plain, program: 'client', node: first }),
    );
    await Promise.all([mesh.ready(plain), mesh.ready(way)]);
    const caller = mesh.caller(plain, 'client');
    for (const namespace of [plain, way]) {
      await mesh.until(`web of ${namespace} answers`, async () => {
        const { status } = await caller.http({ url: `http://web.${namespace}/` });
        return status === 200;
      });
    }
    return new LoadedMesh(plain, way, caller);
  }

  /** No request fails while `change` happens. */
  async underLoad(change: () => Promise<void>, options: UnderLoadOptions = {}): Promise<void> {
    const { plain, way, caller } = this;
    const calls = {
      direct: { url: `http://web.${plain}/` },
      kept: { url: `http://web.${plain}/`, reuse: true },
      waypoint: { url: `http://web.${way}/` },
      'kept at the waypoint': { url: `http://web.${way}/`, reuse: true },
    };
    const reports = await reportsOf(caller, calls, change);
    const { cutsMax = 0 } = options;
    for (const [name, { sent, ok, errors, connections }] of reports) {
      const cuts = name.startsWith('kept') ? (errors['ECONNRESET'] ?? 0) : 0;
      assert.ok(cuts <= cutsMax * connections, `${name}: ${cuts} of ${connections} were cut`);
      assert.deepEqual(errors, cuts > 0 ? { ECONNRESET: cuts } : {}, `${name}: ${ok} of ${sent}`);
      assert.ok(sent > SENT_MIN, `${name}: ${sent} requests`);
    }
  }
}
