/**
 * Everybody calls everybody: pods in the mesh, outside of it, behind a waypoint and in the network of their node, by service,
 * pod address and headless name, on the same node and the other. Once as it is, and once under STRICT.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Caller } from '@ambit/lab/testing';
import { MeshCluster } from './mesh-cluster.ts';
import {
  ENROLLED,
  type Json,
  needsWaypoint,
  type PodOptions,
  peerAuthentication,
  pod,
  service,
} from './objects.ts';

const KINDS = ['mesh', 'plain', 'way', 'host'] as const;
type Kind = (typeof KINDS)[number];
/** Servers in three languages; `host` has to leave the ports of the node alone. */
const PROGRAM = { mesh: 'go', plain: 'c', way: 'node', host: 'go' } as const;
const PORT = { mesh: 8080, plain: 8080, way: 8080, host: 18_080 } as const;

interface Target {
  readonly to: Kind;
  readonly by: 'service' | 'pod' | 'headless';
  readonly where: 'same node' | 'other node';
  readonly url: string;
}

let mesh: MeshCluster;
const namespaces = new Map<Kind, string>();
const callers = new Map<Kind, Caller>();
const targets: Target[] = [];

const inNetworkOfNode = { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' };

function objectsOf(kind: Kind, namespace: string): readonly Json[] {
  const port = PORT[kind];
  const spec = kind === 'host' ? { spec: inNetworkOfNode } : {};
  const servers = mesh.nodes.flatMap((node, i) => {
    const options: PodOptions = {
      name: `server-${i}`,
      namespace,
      program: PROGRAM[kind],
      node,
      port,
    };
    const app = `server-${i}`;
    return [
      pod(mesh.images, { ...options, ...spec }),
      service({ name: `by-service-${i}`, namespace, app, targetPort: port }),
      service({ name: `headless-${i}`, namespace, app, port, targetPort: port, isHeadless: true }),
    ];
  });
  const client = { name: 'client', namespace, program: 'client', node: mesh.nodes[0] } as const;
  return [...servers, pod(mesh.images, { ...client, ...spec })];
}

before(async () => {
  mesh = await MeshCluster.open();
  for (const kind of KINDS) {
    // A pod in the node's network stays out, whatever its namespace says.
    const labels = kind === 'plain' ? {} : ENROLLED;
    const namespace = await mesh.namespace(kind, labels);
    namespaces.set(kind, namespace);
    await mesh.apply(...objectsOf(kind, namespace));
    if (kind === 'way') {
      await mesh.apply(needsWaypoint(namespace));
    }
  }
  for (const [kind, namespace] of namespaces) {
    await mesh.ready(namespace);
    callers.set(kind, mesh.caller(namespace, 'client'));
    const pods = await mesh.pods(namespace);
    for (const i of [0, 1]) {
      const where = i === 0 ? 'same node' : 'other node';
      const ip = pods.find(({ name }) => name === `server-${i}`)?.ip ?? '';
      const host = (name: string): string => `${name}-${i}.${namespace}.svc.cluster.local`;
      targets.push(
        { to: kind, where, by: 'service', url: `http://${host('by-service')}/` },
        { to: kind, where, by: 'pod', url: `http://${ip}:${PORT[kind]}/` },
        { to: kind, where, by: 'headless', url: `http://${host('headless')}:${PORT[kind]}/` },
      );
    }
  }
  const way = namespaces.get('way') ?? '';
  await mesh.until('the waypoint is ready', async () =>
    (await mesh.pods(way, 'gateway.networking.k8s.io/gateway-name')).some(
      ({ phase }) => phase === 'Running',
    ),
  );
  await mesh.ready(way, 'gateway.networking.k8s.io/gateway-name');
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** Asks all at once; which of them answered, and what the others said. */
async function askAll(from: Kind): Promise<ReadonlyMap<Target, string>> {
  const caller = callers.get(from);
  assert.ok(caller !== undefined);
  const answers = targets.map(async (target) => {
    const { status, error, body } = await caller.http({ url: target.url, timeoutMs: 5_000 });
    const said = status === 200 ? 'ok' : `${status} ${error ?? body.slice(0, 200)}`;
    return [target, said] as const;
  });
  return new Map(await Promise.all(answers));
}

type Expected = (from: Kind, target: Target) => boolean;

async function expectAll(isExpected: Expected): Promise<void> {
  const wrong: string[] = [];
  const answers = await Promise.all(KINDS.map(async (from) => [from, await askAll(from)] as const));
  for (const [from, found] of answers) {
    for (const [target, said] of found) {
      if ((said === 'ok') !== isExpected(from, target)) {
        wrong.push(`${from} to ${target.to} by ${target.by} on the ${target.where}: ${said}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
}

const isInMesh = (kind: Kind): boolean => kind === 'mesh' || kind === 'way';
/** Programs in the network of a node are to its pods what the kubelet is: nothing tells them apart. */
const isOfNode = (from: Kind, { where }: Target): boolean =>
  from === 'host' && where === 'same node';
const mayCall = (from: Kind, target: Target): boolean => isInMesh(from) || isOfNode(from, target);

/** What only a waypoint decides is refused to those whom no waypoint can see. */
const isOpen: Expected = (from, target) => target.to !== 'way' || mayCall(from, target);
const isStrict: Expected = (from, target) => !isInMesh(target.to) || mayCall(from, target);

describe('all pairs', { timeout: 120_000 }, () => {
  it('talk, in three languages, by every address and on both nodes', async () => {
    await mesh.until('the first round is answered', async () => {
      await expectAll(isOpen);
      return true;
    });
    await expectAll(isOpen);
  });

  it('talk under STRICT exactly when the caller is in the mesh, or the server is not', async () => {
    for (const kind of ['mesh', 'way'] as const) {
      await mesh.apply(peerAuthentication(namespaces.get(kind) ?? '', 'STRICT'));
    }
    await mesh.until('STRICT is in force', async () => {
      await expectAll(isStrict);
      return true;
    });
  });

  it('talk without a word in clear where both are in the mesh', async () => {
    const word = 'n0body-says-this';
    const sniffers = await Promise.all(
      mesh.nodes.map(async (node) => await mesh.sniff(node, word)),
    );
    const caller = callers.get('mesh');
    const heard = targets.filter(({ to }) => isInMesh(to));
    const asked = heard.map(async ({ url }) => await caller?.http({ url: `${url}?${word}` }));
    assert.ok((await Promise.all(asked)).every((answer) => answer?.status === 200));
    for (const sniffer of sniffers) {
      const counts = await sniffer.stop();
      assert.ok((counts.get('packets') ?? 0) > 10, 'packets were seen');
      assert.equal(counts.get(word), 0);
    }
  });
});
